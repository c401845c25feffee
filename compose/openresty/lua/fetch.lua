-- Asks a watchdog for something: one GET, answered in full or not at all. For timers only.

local names = require("names")

local fetch = {}

local CONNECT_MS, TALK_MS = 500, 1500
-- The whole of it: one that answers byte by byte must not keep the gateway from asking another.
local LONGEST_S = 5
local HEAD_MOST = 16 * 1024
-- A table of 100,000 push monitors has 6 MB.
local LARGEST = 32 * 1024 * 1024

-- Status, headers by their names in small letters, and what came behind them. Read as it comes: waiting for the end of a
-- line, nobody could look at the clock.
local function read_head(socket, ends_at)
  local text, head_ends, head_end = "", nil, nil
  while not head_ends do
    local part, reason = socket:receiveany(HEAD_MOST)
    if not part then
      return nil, reason
    elseif ngx.now() > ends_at then
      return nil, "it takes too long"
    end
    text = text .. part
    head_ends, head_end = text:find("\r\n\r\n", 1, true)
    if (head_ends or #text) > HEAD_MOST then
      return nil, "too many headers"
    end
  end
  local status = tonumber(text:match("^HTTP/1%.%d (%d%d%d)"))
  if not status then
    return nil, "not HTTP"
  end
  local headers = {}
  for name, value in text:sub(1, head_ends + 1):gmatch("\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    headers[name:lower()] = value
  end
  return status, headers, text:sub(head_end + 1)
end

local function read_body(socket, size, begun, ends_at)
  local parts, missing = { begun }, size - #begun
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
  local status, answered, begun = read_head(socket, ends_at)
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
  body, reason = read_body(socket, size, begun, ends_at)
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
  -- The whole chain and the name, by the CA that nginx.conf's own settings name.
  if watchdog.is_tls then
    local is_trusted
    is_trusted, reason = socket:sslhandshake(nil, watchdog.host, true)
    if not is_trusted then
      socket:close()
      return nil, reason
    end
  end
  local answer
  answer, reason = talk(socket, watchdog.host, path, headers or {})
  socket:close()
  return answer, reason
end

return fetch
