-- The last table of the watchdogs: read once a second by one process, kept where all processes look.
--
-- Whichever watchdog answers is asked, the one of last time first. One whose rounds stand still (its `checked_at` does not
-- move) tells of the past: another is asked. When none moves the last table stays, and its age grows.

local address = require("address")
local disk = require("disk")
local fetch = require("fetch")
local field = require("field")
local json = require("json")
local names = require("names")
local pushes = require("pushes")
local settings = require("settings")

local routes = {}

-- Rounds are a second apart; the database may take three.
local STILL_S = 5
-- A table that old is said to be.
local STALE_S = 5
-- Thousands of requests a second need not each take the lock of what all processes share.
local LOOK_S = 0.05

local shared = ngx.shared.komainu_routes

-- Of the process that reads: when each watchdog's rounds were last seen to move, who answered last, whether anybody did.
local seen, current, is_lost = {}, 1, false

-- Of each process: the field it made of the version it saw last, whether that is old, and when it looked.
local version, arranged, stale, looked_at

-- Whether this watchdog's rounds move, given what it answered and when. Pure but for its own memory `one`.
function routes.is_moving(one, checked_at, now)
  if checked_at ~= one.checked_at then
    one.checked_at, one.moved_at = checked_at, now
  end
  return checked_at ~= nil and now - one.moved_at < STILL_S
end

local function ask(at)
  -- Where strangers are told nothing, the gateway is known by its key.
  local headers = { Authorization = "Bearer " .. settings.key }
  local answer, reason = fetch.get(settings.watchdogs[at], "/lb/routes", headers)
  local shown = answer and answer.status == 200 and json.decode(answer.body)
  if field.wrong(shown) then
    return nil, reason or field.wrong(shown)
  end
  seen[at] = seen[at] or {}
  return shown, routes.is_moving(seen[at], shown.checked_at, ngx.now()), answer.body
end

local function keep(shown, told_at)
  local text = json.encode(field.of_routes(shown, address.parse, names.resolve))
  if text ~= shared:get("table") then
    shared:set("table", text)
    shared:incr("version", 1, 0)
  end
  shared:set("renewed_at", told_at)
end

-- What this gateway knew in its last life, while it knows nothing yet: old in any case, however the clock was set.
local function recall()
  local body, at = disk.read("routes")
  local shown = body and json.decode(body)
  if shown and not field.wrong(shown) then
    ngx.log(ngx.WARN, "no watchdog answers: people go where they went before the start")
    keep(shown, math.min(at, ngx.now() - STALE_S - 1))
    pushes.recall()
  end
end

-- Addresses of the watchdogs, who answers first: requests of people go there.
local function keep_watchdogs()
  local list = json.list({})
  for turn = 0, #settings.watchdogs - 1 do
    local watchdog = settings.watchdogs[(current - 1 + turn) % #settings.watchdogs + 1]
    local ip = names.resolve(watchdog.host)
    if ip then
      local id = "watchdog " .. watchdog.host .. ":" .. watchdog.port
      list[#list + 1] = { id = id, ip = ip, port = watchdog.port, host = watchdog.host }
    end
  end
  local text = json.encode(list)
  if text ~= shared:get("watchdogs") then
    shared:set("watchdogs", text)
    shared:incr("version", 1, 0)
  end
end

-- Reads the table anew.
function routes.refresh()
  for turn = 0, #settings.watchdogs - 1 do
    local at = (current - 1 + turn) % #settings.watchdogs + 1
    local shown, is_moving, body = ask(at)
    -- Without any table an old one is better than none.
    if shown and (is_moving or not shared:get("table")) then
      if is_lost then
        ngx.log(ngx.WARN, "the routes are fresh again, from ", settings.watchdogs[at].host)
      end
      current, is_lost = at, false
      keep(shown, ngx.now())
      disk.keep("routes", body)
      keep_watchdogs()
      return pushes.refresh(settings.watchdogs[at])
    end
  end
  if not is_lost then
    ngx.log(ngx.WARN, "no watchdog tells anything new: the routes stay as they are")
    is_lost = true
  end
  if not shared:get("table") then
    recall()
  end
  keep_watchdogs()
end

local function look(now)
  local latest = shared:get("version")
  if not arranged or latest ~= version then
    local text, watchdogs = shared:get("table"), shared:get("watchdogs")
    arranged = field.arrange(text and json.decode(text) or { nodes = {} })
    arranged.watchdogs = watchdogs and json.decode(watchdogs) or {}
    version = latest
  end
  local renewed_at = shared:get("renewed_at")
  local age = renewed_at and now - renewed_at
  stale = age and age > STALE_S and math.floor(age) or nil
  looked_at = now
end

-- The nodes as they are now known, and `watchdogs`, whom to ask first; and what time it is.
function routes.field()
  local now = ngx.now()
  if not looked_at or now - looked_at > LOOK_S then
    look(now)
  end
  return arranged, now
end

-- Seconds since a watchdog last renewed the table, when that is long ago; nil when it is not.
function routes.stale()
  return stale
end

return routes
