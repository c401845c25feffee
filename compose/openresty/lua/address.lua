-- Base addresses as the watchdogs and the operator write them (`http://kuma1:3001`), taken apart.

local address = {}

local function taken_apart(text, rest, usual_port)
  local host, port = rest:match("^(%[[%x:.]+%]):(%d+)$")
  if not host then
    host, port = rest:match("^([%w._-]+):(%d+)$")
  end
  if not host then
    host, port = rest:match("^%[[%x:.]+%]$") or rest:match("^[%w._-]+$"), usual_port
  end
  port = tonumber(port)
  if not host or port < 1 or port > 65535 then
    return nil, "not a base address: " .. text
  end
  return { host = host, port = port }
end

-- `{ host, port }`, or nil and why not: a node's. Only plain HTTP.
function address.parse(text)
  if text:find("^https:") then
    return nil, "the gateway speaks plain HTTP with nodes, not " .. text
  end
  local rest = text:match("^http://([^/?#]+)/*$")
  if not rest then
    return nil, "not a base address: " .. text
  end
  return taken_apart(text, rest, "80")
end

-- The same of a watchdog, and `is_tls`.
function address.of_watchdog(text)
  local rest = text:match("^https://([^/?#]+)/*$")
  if not rest then
    return address.parse(text)
  end
  local parsed, reason = taken_apart(text, rest, "443")
  if parsed and address.is_literal(parsed.host) then
    return nil, "nginx looks for a name in a certificate, and finds no address: " .. text
  end
  if parsed then
    parsed.is_tls = true
  end
  return parsed, reason
end

-- Whether a host is an address already.
function address.is_literal(host)
  return host:find("^%d+%.%d+%.%d+%.%d+$") ~= nil or host:find("^%[") ~= nil
end

return address
