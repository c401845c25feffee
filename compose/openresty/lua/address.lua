-- Base addresses as the watchdogs and the operator write them (`http://kuma1:3001`), taken apart.

local address = {}

-- `{ host, port }`, or nil and why not. Only plain HTTP: TLS ends at the gateway.
function address.parse(text)
  if text:find("^https:") then
    return nil, "the gateway speaks plain HTTP with nodes and watchdogs, not " .. text
  end
  local rest = text:match("^http://([^/?#]+)/*$")
  if not rest then
    return nil, "not a base address: " .. text
  end
  local host, port = rest:match("^(%[[%x:.]+%]):(%d+)$")
  if not host then
    host, port = rest:match("^([%w._-]+):(%d+)$")
  end
  if not host then
    host, port = rest:match("^%[[%x:.]+%]$") or rest:match("^[%w._-]+$"), "80"
  end
  port = tonumber(port)
  if not host or port < 1 or port > 65535 then
    return nil, "not a base address: " .. text
  end
  return { host = host, port = port }
end

-- Whether a host is an address already.
function address.is_literal(host)
  return host:find("^%d+%.%d+%.%d+%.%d+$") ~= nil or host:find("^%[") ~= nil
end

return address
