-- Which node owns which push monitor: its statistics are counters in that node's memory, so only that one may take a push.
--
-- The watchdogs tell owners by HMAC-SHA1(gateway's key, token): the tokens themselves never leave the database.

local disk = require("disk")
local fetch = require("fetch")
local json = require("json")
local settings = require("settings")

local pushes = {}

local owners = ngx.shared.komainu_pushes

-- No digest: whether owners were ever told.
local TOLD = "told"

-- Of the process that reads: what the dictionary holds, its tag, whether somebody was told that it is old, and what is to be kept on disk.
local known, tag, is_told, text

local function hex(bytes)
  return (bytes:gsub(".", function(byte)
    return string.format("%02x", byte:byte())
  end))
end

-- The owner of a token: a node's id; "" when it is on its way from one to another, or nothing is known of any; nil when it is nobody's.
function pushes.owner(token)
  return owners:get(hex(ngx.hmac_sha1(settings.key, token))) or (not owners:get(TOLD) and "" or nil)
end

-- What a process before this one put there: it stays in use until it is known to be wrong.
local function left_behind()
  local found = {}
  for _, digest in ipairs(owners:get_keys(0)) do
    found[digest] = digest ~= TOLD and owners:get(digest) or nil
  end
  return found
end

local function are_owners(list)
  if type(list) ~= "table" then
    return false
  end
  for digest, node in pairs(list) do
    if type(digest) ~= "string" or type(node) ~= "string" then
      return false
    end
  end
  return true
end

local function keep(list)
  known = known or left_behind()
  for digest, node in pairs(list) do
    if known[digest] ~= node then
      local is_kept, reason = owners:safe_set(digest, node)
      if not is_kept then
        ngx.log(ngx.ERR, "no room for the owners of all push monitors: ", reason)
        return false
      end
    end
  end
  for digest in pairs(known) do
    if list[digest] == nil then
      owners:delete(digest)
    end
  end
  known = list
  owners:set(TOLD, true)
  return true
end

local function keep_text(body)
  local list = json.decode(body)
  local is_good = type(list) == "table" and are_owners(list.owners)
  return is_good, is_good and keep(list.owners)
end

-- What this gateway knew in its last life, while it knows nothing yet.
function pushes.recall()
  local body = not owners:get(TOLD) and disk.read("pushes")
  if body then
    keep_text(body)
  end
end

-- Reads them anew from this watchdog, if they changed.
function pushes.refresh(watchdog)
  local headers = { Authorization = "Bearer " .. settings.key, ["If-None-Match"] = tag }
  local answer, reason = fetch.get(watchdog, "/lb/pushes", headers)
  if answer and answer.status == 304 then
    is_told = false
    return text and disk.keep("pushes", text)
  end
  local is_good, is_kept = false, false
  if answer and answer.status == 200 then
    is_good, is_kept = keep_text(answer.body)
  end
  if is_good then
    tag, text, is_told = is_kept and answer.headers.etag or nil, answer.body, false
    disk.keep("pushes", text)
  elseif not is_told then
    ngx.log(ngx.WARN, "no owners of push monitors from ", watchdog.host, ": ", reason or answer.status)
    is_told = true
  end
end

return pushes
