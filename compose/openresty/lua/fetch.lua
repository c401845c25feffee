-- Asks a watchdog for something: one GET, answered in full or not at all. For timers only.

local names = require("names")

local fetch = {}

local CONNECT_MS, TALK_MS = 500, 1500
-- The whole of it: one that answers byte by byte must not keep the gateway from asking another.
local LONGEST_S = 5
local HEADERS_MOST = 100
-- A table of 100,000 push monitors has 6 MB.
local LARGEST = 32 * 1024 * 1024

local function read_head(socket, ends_at)
  local line, reason = socket:receive("*l")
  local status = line and tonumber(line:match("^HTTP/1%.%d (%d%d%d)"))
  if not status then
    return nil, reason or "not HTTP"
  end
  local headers = {}
  for _ = 1, HEADERS_MOST do
    if ngx.now() > ends_at then
      return nil, "it takes too long"
    end
    line, reason = socket:receive("*l")
    if not line then
      return nil, reason
    elseif line == "" then
      return status, headers
    end
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    if name then
      headers[name:lower()] = value
    end
  end
  return nil, "too many headers"
end

local function read_body(socket, size, ends_at)
  local parts, missing = {}, size
  while missing > 0 do
    local part, reason = socket:receiveany(missing)
    if not part then
      return nil, reason
    elseif ngx.now() > ends_at then
      return nil, "it takes too long"
    end
    parts[#parts + 1] = part
    missing = missing - #part
  end
  return table.concat(parts)
end

local function talk(socket, host, path, headers)
  -- Of HTTP/1.0 the answer is never cut into chunks.
  local request = { "GET " .. path .. " HTTP/1.0", "Host: " .. host, "Connection: close" }
  for name, value in pairs(headers) do
    request[#request + 1] = name .. ": " .. value
  end
  local sent, reason = socket:send(table.concat(request, "\r\n") .. "\r\n\r\n")
  if not sent then
    return nil, reason
  end
  local ends_at = ngx.now() + LONGEST_S
  local status, answered = read_head(socket, ends_at)
  if not status then
    return nil, answered
  end
  local size = tonumber(answered["content-length"])
  if status == 304 or size == 0 then
    return { status = status, headers = answered, body = "" }
  elseif not size or size > LARGEST then
    return nil, "an answer without a sensible length"
  end
  local body
  body, reason = read_body(socket, size, ends_at)
  return body and { status = status, headers = answered, body = body }, reason
end

-- `{ status, headers, body }`, or nil and why not.
function fetch.get(watchdog, path, headers)
  local ip = names.resolve(watchdog.host)
  if not ip then
    return nil, "no address"
  end
  local socket = ngx.socket.tcp()
  socket:settimeouts(CONNECT_MS, TALK_MS, TALK_MS)
  local connected, reason = socket:connect(ip, watchdog.port)
  if not connected then
    return nil, reason
  end
  local answer
  answer, reason = talk(socket, watchdog.host, path, headers or {})
  socket:close()
  return answer, reason
end

return fetch
