-- The tables of this gateway's last life, for a start while no watchdog answers. One file each: a signature with the gateway's
-- key, when it was written, and what the watchdog said. Whatever is not exactly that is no table.

local settings = require("settings")

local disk = {}

-- A table of 100,000 push monitors has 6 MB.
local LARGEST = 32 * 1024 * 1024
-- Addresses that old may be somebody else's by now.
local OLDEST_S = 7 * 86400
-- Loads change each second: where people go first after a start matters less than a quiet disk.
local PAUSE_S = 10

-- Of the process that reads the tables: what is to be there and what is, and when each was written.
local offered, written, written_at, is_told = {}, {}, {}, false

local function hex(bytes)
  return (bytes:gsub(".", function(byte)
    return string.format("%02x", byte:byte())
  end))
end

local function signed(name, at, body)
  return hex(ngx.hmac_sha1(settings.key, name .. "\n" .. at .. "\n" .. body))
end

local function write(path, text)
  local file, reason = io.open(path .. ".new", "w")
  if not file then
    return nil, reason
  end
  local is_written
  is_written, reason = file:write(text)
  local is_closed, wrong = file:close()
  if not is_written or not is_closed then
    return nil, reason or wrong
  end
  -- One or the other is there, never half of one.
  return os.rename(path .. ".new", path)
end

local function save(name, now)
  local body = offered[name]
  local at = math.floor(now)
  local is_kept, reason = write(settings.state .. "/" .. name, signed(name, at, body) .. "\n" .. at .. "\n" .. body)
  written_at[name] = now
  if is_kept then
    written[name], is_told = body, false
  elseif not is_told then
    ngx.log(ngx.WARN, "the tables cannot be kept for the next start: ", reason)
    is_told = true
  end
end

-- Keeps what a watchdog said: at once where the last writing was a while ago, otherwise when it is said again, or at the end.
function disk.keep(name, body)
  local now = ngx.now()
  offered[name] = body
  if settings.state and body ~= written[name] and #body <= LARGEST and now - (written_at[name] or 0) >= PAUSE_S then
    save(name, now)
  end
end

-- Writes what there was no time for yet: this process ends.
function disk.flush()
  for name, body in pairs(offered) do
    if settings.state and body ~= written[name] and #body <= LARGEST then
      save(name, ngx.now())
    end
  end
end

-- What was kept, and when; nil when there is nothing that this gateway wrote, or it is too old.
function disk.read(name)
  local file = settings.state and io.open(settings.state .. "/" .. name, "r")
  if not file then
    return nil
  end
  local text = file:read(LARGEST + 256) or ""
  file:close()
  local signature, at, body = text:match("^(%x+)\n(%d+)\n(.*)$")
  if not signature or #body > LARGEST or signature ~= signed(name, at, body) then
    ngx.log(ngx.WARN, "the ", name, " on disk are none that this gateway wrote: they are left out")
    return nil
  elseif ngx.now() - tonumber(at) > OLDEST_S then
    ngx.log(ngx.WARN, "the ", name, " on disk are too old: they are left out")
    return nil
  end
  return body, tonumber(at)
end

return disk
