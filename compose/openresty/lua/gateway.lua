-- What happens to a request, phase by phase. The decisions are in choice.lua and retry.lua.

local balance = require("balance")
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
  for _, name in ipairs({ "lb", "pages" }) do
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

local function chosen(session)
  local via, order, clears_cookie =
    choice.of(routes.field(), session, cookies.node(ngx.var[COOKIE]), address, failing.now())
  return { via = via, order = order, tried = 0, clears_cookie = clears_cookie }
end

-- Says why, how old the knowledge is that chose, and that a cookie is no good any more.
local function say(route)
  local var, stale = ngx.var, routes.stale()
  var.routed_via = route.via
  if stale then
    var.routes_stale = stale
  end
  if route.clears_cookie then
    var.fixed_node_cleared = cookies.cleared(var.https == "on")
  end
end

-- Chooses once for a request, and hands out one after another of whom was chosen.
local function send(choose)
  local ctx = ngx.ctx
  local route = ctx.route
  if not route then
    route = choose()
    ctx.route = route
    say(route)
  end
  local peer = balance.next(route)
  if peer and route.via ~= "watchdog" then
    ngx.var.routed_to = peer.id
  end
end

-- Uptime Kuma's pages and files.
function gateway.to_node()
  return send(chosen)
end

local function of_session()
  local id = sessions.id(ngx.var.arg_sid)
  local route = chosen(id and sessions.node(id))
  route.opens_session = id == nil
  return route
end

-- Socket.IO: polling and websocket of one session to one node.
function gateway.to_session()
  return send(of_session)
end

local function of_owner()
  local token = ngx.var.uri:match("^/api/push/([^/]+)/?$")
  local owner = token and pushes.owner(token)
  if not owner then
    return chosen(nil)
  end
  -- One on its way from one node to another, which takes some seconds, is nobody's.
  return { via = "push-owner", order = { routes.field().by_id[owner] }, tried = 0 }
end

-- A push, to the node that owns the monitor and to no other: another one says that there is no such monitor.
function gateway.to_owner()
  return send(of_owner)
end

local function of_watchdogs()
  return { via = "watchdog", order = choice.of_all(routes.field().watchdogs, failing.now()), tried = 0 }
end

-- What watching is about.
function gateway.to_watchdog()
  return send(of_watchdogs)
end

return gateway
