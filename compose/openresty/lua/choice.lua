-- Which node a request goes to, and why. Pure.
--
-- In this order: the node that has the session; the node that an operator pinned for everybody; the node that this person
-- fixed by cookie; the least loaded. Whoever does not answer (`is_failing`: the gateway itself was turned away there a
-- moment ago) comes last, because the watchdogs need some seconds to agree that a node is gone.

local choice = {}

local function first_then_accepting(field, first)
  local order = { first }
  for _, node in ipairs(field.accepting) do
    if node ~= first then
      order[#order + 1] = node
    end
  end
  return order
end

local function failing_last(nodes, is_failing)
  local order, last = {}, {}
  for _, node in ipairs(nodes) do
    local list = is_failing(node.id) and last or order
    list[#list + 1] = node
  end
  for _, node in ipairs(last) do
    order[#order + 1] = node
  end
  return order
end

-- Whoever answers, of those nodes or watchdogs.
function choice.of_all(all, is_failing)
  return is_failing and failing_last(all, is_failing) or all
end

-- Of those that are loaded alike each address has its own, so that a person's page and its files come from one node.
local function by_load(field, address, is_failing)
  local orders = field.orders
  local count = #orders
  local order = count > 1 and orders[address() % count + 1] or orders[1] or field.accepting
  return choice.of_all(order, is_failing)
end

local function answers(node, is_failing)
  return node.keeps and not (is_failing and is_failing(node.id))
end

-- One that was slow once still has its sessions, and nobody else has.
local function has_session(node, is_failing)
  return answers(node, is_failing) or (node.keeps and is_failing(node.id) == "silent")
end

-- `session` and `cookie` are node ids or nil; `address()` is a number of the client; `is_failing(id)`, or nil when nobody
-- is. Returns why; whom to try in turn, nobody when it is empty; whether the cookie is to be cleared.
function choice.of(field, session, cookie, address, is_failing)
  local fixed = cookie and field.by_id[cookie]
  -- A node that is being drained is online: its cookie stays, for later.
  local clears_cookie = cookie ~= nil and not (fixed and fixed.status == "online")
  local holder = session and field.by_id[session]
  if holder and has_session(holder, is_failing) then
    return "session", first_then_accepting(field, holder), clears_cookie
  end
  local pinned = field.pinned and field.by_id[field.pinned]
  if pinned and answers(pinned, is_failing) then
    return "cluster-pin", first_then_accepting(field, pinned), clears_cookie
  end
  if fixed and fixed.takes and not clears_cookie and answers(fixed, is_failing) then
    return "fixed-node", first_then_accepting(field, fixed), false
  end
  return "load-balancer", by_load(field, address, is_failing), clears_cookie
end

return choice
