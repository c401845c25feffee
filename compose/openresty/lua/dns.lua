-- One question to a name server and its answer, as bytes. Pure.
--
-- RFC 1035: nginx's balancer takes addresses only, and asks nobody.

local dns = {}

dns.A, dns.AAAA = 1, 28

local function pair(number)
  return string.char(math.floor(number / 256), number % 256)
end

local function number(text, at)
  local high, low = text:byte(at, at + 1)
  return high and low and high * 256 + low or nil
end

-- The question; nil for a name that is none.
function dns.question(id, name, kind)
  local labels = {}
  for label in name:gmatch("[^.]+") do
    if #label > 63 then
      return nil
    end
    labels[#labels + 1] = string.char(#label) .. label
  end
  if #labels == 0 or #name > 253 then
    return nil
  end
  return pair(id) .. "\1\0\0\1\0\0\0\0\0\0" .. table.concat(labels) .. "\0" .. pair(kind) .. "\0\1"
end

-- Behind the name at this place.
local function skip_name(text, at)
  while true do
    local size = text:byte(at)
    if not size then
      return nil
    elseif size == 0 then
      return at + 1
    elseif size >= 192 then
      return at + 2
    end
    at = at + 1 + size
  end
end

local function shown(text, at, kind)
  if kind == dns.A then
    return string.format("%d.%d.%d.%d", text:byte(at, at + 3))
  end
  local groups = {}
  for group = 0, 7 do
    groups[#groups + 1] = string.format("%x", number(text, at + 2 * group))
  end
  return "[" .. table.concat(groups, ":") .. "]"
end

-- The first address of an answer to this question, and for how many seconds it is good; nil when it holds none.
function dns.answer(text, id, kind)
  local flags, questions, answers = number(text, 3), number(text, 5), number(text, 7)
  if number(text, 1) ~= id or not answers or flags < 0x8000 or flags % 16 ~= 0 then
    return nil
  end
  local at = 13
  for _ = 1, questions do
    at = skip_name(text, at)
    if not at then
      return nil
    end
    at = at + 4
  end
  for _ = 1, answers do
    at = skip_name(text, at)
    local size = at and number(text, at + 8)
    if not size or at + 9 + size > #text then
      return nil
    end
    local expected = kind == dns.A and 4 or 16
    if number(text, at) == kind and size == expected then
      local ttl = number(text, at + 4) * 65536 + number(text, at + 6)
      return shown(text, at + 10, kind), ttl
    end
    at = at + 10 + size
  end
  return nil
end

return dns
