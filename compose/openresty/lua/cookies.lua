-- The cookie by which a person stays on one node. Pure.

local cookies = {}

-- As users of uptime-kuma-cluster know it.
cookies.NAME = "KUMA_FIXED_NODE"
local SEVEN_DAYS_S = 604800

-- What may be the id of a node: only such a text is compared with anything.
function cookies.node(value)
  return value and #value <= 64 and value:find("^[%w._-]+$") and value or nil
end

local function line(value, age, is_secure)
  local secure = is_secure and "; Secure" or ""
  return cookies.NAME .. "=" .. value .. "; Path=/; Max-Age=" .. age .. "; HttpOnly; SameSite=Lax" .. secure
end

function cookies.fixed(node, is_secure)
  return line(node, SEVEN_DAYS_S, is_secure)
end

function cookies.cleared(is_secure)
  return line("", 0, is_secure)
end

return cookies
