-- What happens to a request, phase by phase. The decisions are in choice.lua and retry.lua.

local choice = require("choice")
local cookies = require("cookies")
local failing = require("failing")
local pushes = require("pushes")
local routes = require("routes")
local sessions = require("sessions")
local settings = require("settings")

local gateway = {}

local ROUND_S = 1
local COOKIE = "cookie_" .. cookies.NAME

-- Before there are processes.
function gateway.prepare()
  settings.read()
  for _, name in ipairs({ "balance", "lb", "ngx.resp", "pages" }) do
    require(name)
  end
end

local is_busy = false

local function round(premature)
  if premature or is_busy then
    return
  end
  is_busy = true
  local is_done, reason = pcall(routes.refresh)
  is_busy = false
  if not is_done then
    ngx.log(ngx.ERR, "the routes cannot be read: ", reason)
  end
end

-- In each process: one of them reads for all.
function gateway.begin()
  if ngx.worker.id() == 0 then
    math.randomseed(ngx.time() + ngx.worker.pid())
    ngx.timer.at(0, round)
    ngx.timer.every(ROUND_S, round)
  end
end

local function address()
  return ngx.crc32_short(ngx.var.binary_remote_addr)
end

local function send(route)
  if not route.order[1] then
    return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
  end
  route.tried = 0
  ngx.ctx.route = route
end

local function chosen(session)
  return choice.of(routes.field(), {
    session = session,
    cookie = cookies.node(ngx.var[COOKIE]),
    address = address,
    is_failing = failing.now(),
  })
end

-- Uptime Kuma's pages and files.
function gateway.to_node()
  return send(chosen(nil))
end

-- Socket.IO: polling and websocket of one session to one node.
function gateway.to_session()
  local id = sessions.id(ngx.var.arg_sid)
  local route = chosen(id and sessions.node(id))
  route.opens_session = id == nil
  return send(route)
end

-- A push, to the node that owns the monitor and to no other: another one says that there is no such monitor.
function gateway.to_owner()
  local token = ngx.var.uri:match("^/api/push/([^/]+)/?$")
  local owner = token and pushes.owner(token)
  if not owner then
    return send(chosen(nil))
  end
  local node = routes.field().by_id[owner]
  if not node then
    -- On its way from one node to another, which takes some seconds.
    return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
  end
  return send({ via = "push-owner", order = { node } })
end

-- What watching is about.
function gateway.to_watchdog()
  local is_failing = failing.now()
  local order, last = {}, {}
  for _, watchdog in ipairs(routes.watchdogs()) do
    local list = is_failing(watchdog.id) and last or order
    list[#list + 1] = watchdog
  end
  for _, watchdog in ipairs(last) do
    order[#order + 1] = watchdog
  end
  return send({ via = "watchdog", order = order })
end

-- Says where the answer comes from, and how old the knowledge is that chose.
function gateway.head()
  local header, route = ngx.header, ngx.ctx.route
  if route then
    header["X-Routed-Via"] = route.via
    if route.via ~= "watchdog" then
      header["X-Routed-To"] = route.order[route.tried].id
    end
    if route.clears_cookie then
      require("ngx.resp").add_header("Set-Cookie", cookies.cleared(ngx.var.https == "on"))
    end
  end
  local stale = routes.stale()
  if stale then
    header["X-Routes-Stale"] = stale
  end
end

return gateway
