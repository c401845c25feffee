-- A push waits here for its turn and for its owner: while a monitor moves, its pushes are held and handed to the new owner, so
-- that whoever pushes and never tries again loses none. What is held is a connection and its head, no body: neither Kuma nor
-- a native node reads one of a push.
--
-- Pushes of one monitor go one after another, in their order: Kuma refuses those that meet across a full minute.

local balance = require("balance")
local choice = require("choice")
local failing = require("failing")
local pushes = require("pushes")
local routes = require("routes")
local turns = require("turns")

local holding = {}

-- Less than most clients wait, and more than a planned move takes.
local LONGEST_S = 10
-- Held by one process at once; a head has at most 40 KiB.
local AT_ONCE = 512
-- Of these, of tokens that nobody is known to have: of monitors that were just made, or made up by somebody.
local UNKNOWN_AT_ONCE = 128
-- Between two looks at what all processes share.
local LOOK_S = 0.1
-- Between two tries at one node, which may be one that has just begun: soon, then seldom.
local SOON_S, SELDOM_S = 0.2, 1
-- An answer that is on its way is waited for so long at least.
local SHORTEST_TRY_S = 2
-- And at most: an owner that is frozen takes what it is given and says nothing, while the next one may have it by then.
local LONGEST_TRY_S = 4
-- Kuma's word for a token of no monitor, which is also that of a native node for a monitor that another one runs.
local NO_SUCH = "Monitor not found or not active."

local held, held_unknown = 0, 0

-- Whether an answer is the last word: not that of a node which says that it did not take the push, nor that of an owner which
-- does not know yet, or not any more, that it is one. Pure.
function holding.is_final(status, body, has_owner)
  if status == 404 then
    return not (has_owner and body and body:find(NO_SUCH, 1, true))
  end
  return status ~= 502 and status ~= 503 and status ~= 504
end

-- Whom to ask; nil while it is nobody's.
local function route_of(owner)
  local field, now = routes.field()
  if owner == nil then
    local address = function() return ngx.var.binary_remote_addr:byte(-1) end
    local via, order = choice.of(field, nil, nil, address, failing.at(now))
    return { via = via, order = order, tried = 0 }
  end
  local node = field.by_id[owner]
  return node and { via = "push-owner", order = { node }, tried = 0 }
end

local function pause(token, owner, longest, ends_at)
  local until_at = math.min(ngx.now() + longest, ends_at)
  while ngx.now() < until_at and pushes.owner(token) == owner do
    ngx.sleep(LOOK_S)
  end
end

-- The answer and the route by which it came; nil when nobody took it in time.
local function bring(token, ends_at)
  local rest = SOON_S
  repeat
    local owner = pushes.owner(token)
    local route = route_of(owner)
    if route then
      route.patience = math.min(math.max(ends_at - ngx.now(), SHORTEST_TRY_S), LONGEST_TRY_S)
      local answer = ngx.location.capture("/push-to-owner", { ctx = route })
      if holding.is_final(answer.status, answer.body, owner ~= nil) then
        return answer, route
      end
    end
    pause(token, owner, rest, ends_at)
    rest = math.min(rest * 2, SELDOM_S)
  until ngx.now() >= ends_at
  return nil
end

local function in_turn(token)
  local ends_at = ngx.now() + LONGEST_S
  -- Made up tokens have no turns: there are as many as somebody likes.
  local turn = pushes.owner(token) and turns.take(token)
  while turn and not turns.is_next(token, turn) and ngx.now() < ends_at do
    ngx.sleep(LOOK_S / 2)
  end
  local is_done, answer, route = pcall(bring, token, ends_at)
  if turn then
    turns.over(token, turn)
  end
  if not is_done then
    -- Without the error's words, which may hold the address.
    ngx.log(ngx.CRIT, "a push could not be passed on")
  end
  return is_done and answer, route
end

local OURS = { ["content-length"] = true, ["connection"] = true, ["transfer-encoding"] = true }

local function pass_on(answer, route)
  local node = route.order[route.tried]
  ngx.var.routed_via, ngx.var.routed_to = route.via, node and node.id or ""
  ngx.status = answer.status
  for name, value in pairs(answer.header) do
    if not OURS[name:lower()] then
      ngx.header[name] = value
    end
  end
  ngx.header["Content-Length"] = #answer.body
  ngx.print(answer.body)
  return ngx.exit(ngx.HTTP_OK)
end

-- Answers a push.
function holding.push()
  ngx.req.discard_body()
  local token = ngx.var.uri:match("^/[aA][pP][iI]/[pP][uU][sS][hH]/([^/]+)/?$") or ""
  local answer, route
  local unknown = pushes.owner(token) == nil and 1 or 0
  if held < AT_ONCE and held_unknown + unknown <= UNKNOWN_AT_ONCE then
    held, held_unknown = held + 1, held_unknown + unknown
    answer, route = in_turn(token)
    held, held_unknown = held - 1, held_unknown - unknown
  end
  local stale = routes.stale()
  if stale then
    ngx.var.routes_stale = stale
  end
  if answer then
    return pass_on(answer, route)
  end
  return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
end

-- Hands nginx the node of a try.
function holding.to_owner()
  return balance.next(ngx.ctx)
end

return holding
