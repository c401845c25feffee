-- What happens to a request, phase by phase. The decisions are in choice.lua and retry.lua.

local balance = require("balance")
local choice = require("choice")
local cookies = require("cookies")
local failing = require("failing")
local routes = require("routes")
local sessions = require("sessions")
local settings = require("settings")

local gateway = {}

local ROUND_S = 1
local COOKIE = "cookie_" .. cookies.NAME

-- Before there are processes.
function gateway.prepare()
  settings.read()
  for _, name in ipairs({ "guard", "holding", "lb", "pages" }) do
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

-- A number of the client: neighbours in a network differ in the last byte.
local function address()
  return ngx.var.binary_remote_addr:byte(-1)
end

local function choose(route, session)
  local field, now = routes.field()
  route.via, route.order, route.clears_cookie =
    choice.of(field, session, cookies.node(ngx.var[COOKIE]), address, failing.at(now))
end

-- Says why (nginx.conf has said the `usual` reason of a location already), how old the knowledge is that chose, and that a
-- cookie is no good any more.
local function say(route, usual)
  local var, stale = ngx.var, routes.stale()
  if route.via ~= usual then
    var.routed_via = route.via
  end
  if stale then
    var.routes_stale = stale
  end
  if route.clears_cookie then
    var.fixed_node_cleared = cookies.cleared(var.https == "on")
  end
end

-- Chooses once for a request, and hands out one after another of whom was chosen. The request's context is its route.
local function send(choose_for, usual)
  local route = ngx.ctx
  if not route.tried then
    route.tried = 0
    choose_for(route)
    say(route, usual)
  end
  local peer = balance.next(route)
  if peer and route.via == "watchdog" then
    ngx.var.watchdog_host = peer.host
  elseif peer then
    ngx.var.routed_to = peer.id
  end
end

-- Uptime Kuma's pages and files.
function gateway.to_node()
  return send(choose, "load-balancer")
end

local function choose_by_session(route)
  local id = sessions.id(ngx.var.arg_sid)
  choose(route, id and sessions.node(id))
  route.opens_session = id == nil
  -- Whoever polls is answered when there is something to say.
  route.waits = id ~= nil
end

-- Socket.IO: polling and websocket of one session to one node.
function gateway.to_session()
  return send(choose_by_session)
end

local function choose_watchdog(route)
  local field, now = routes.field()
  route.via, route.order = "watchdog", choice.of_all(field.watchdogs, failing.at(now))
  route.waits = ngx.var.arg_wait ~= nil
end

-- What watching is about.
function gateway.to_watchdog()
  return send(choose_watchdog)
end

return gateway
