-- JSON, as much as the watchdogs speak: Debian's Lua module comes without a library for it.
--
-- `null` reads as nil: a field that is null is a field that is not there.

local json = {}

local DEEPEST = 32
local ESCAPED = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local read_value

local function fail(at, what)
  error({ message = what .. " at " .. at })
end

local function skip(text, at)
  return (text:find("[^ \t\r\n]", at)) or #text + 1
end

local function utf8(code)
  if code < 0x80 then
    return string.char(code)
  elseif code < 0x800 then
    return string.char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
  end
  return string.char(0xE0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
end

local function read_string(text, at)
  local from, parts = at + 1, nil
  while true do
    local stop = text:find('["\\]', from) or fail(at, "a text without an end")
    if text:byte(stop) == 34 then
      local rest = text:sub(from, stop - 1)
      return parts and table.concat(parts) .. rest or rest, stop + 1
    end
    parts = parts or {}
    parts[#parts + 1] = text:sub(from, stop - 1)
    local letter = text:sub(stop + 1, stop + 1)
    if letter == "u" then
      local digits = text:match("^%x%x%x%x", stop + 2) or fail(stop, "a wrong escape")
      parts[#parts + 1] = utf8(tonumber(digits, 16))
      from = stop + 6
    else
      parts[#parts + 1] = ESCAPED[letter] or fail(stop, "a wrong escape")
      from = stop + 2
    end
  end
end

local function read_list(text, at, depth)
  local list, count = {}, 0
  at = skip(text, at + 1)
  if text:byte(at) == 93 then
    return list, at + 1
  end
  while true do
    count = count + 1
    list[count], at = read_value(text, at, depth)
    at = skip(text, at)
    local mark = text:byte(at)
    if mark == 93 then
      return list, at + 1
    elseif mark ~= 44 then
      fail(at, "a list without an end")
    end
    at = skip(text, at + 1)
  end
end

local function read_object(text, at, depth)
  local object = {}
  at = skip(text, at + 1)
  if text:byte(at) == 125 then
    return object, at + 1
  end
  while true do
    if text:byte(at) ~= 34 then
      fail(at, "no name")
    end
    local name
    name, at = read_string(text, at)
    at = skip(text, at)
    if text:byte(at) ~= 58 then
      fail(at, "no colon")
    end
    object[name], at = read_value(text, skip(text, at + 1), depth)
    at = skip(text, at)
    local mark = text:byte(at)
    if mark == 125 then
      return object, at + 1
    elseif mark ~= 44 then
      fail(at, "an object without an end")
    end
    at = skip(text, at + 1)
  end
end

function read_value(text, at, depth)
  if depth > DEEPEST then
    fail(at, "too deep")
  end
  local first = text:byte(at)
  if first == 34 then
    return read_string(text, at)
  elseif first == 123 then
    return read_object(text, at, depth + 1)
  elseif first == 91 then
    return read_list(text, at, depth + 1)
  end
  local word = text:match("^[%a]+", at)
  if word == "true" then
    return true, at + 4
  elseif word == "false" then
    return false, at + 5
  elseif word == "null" then
    return nil, at + 4
  end
  local digits = text:match("^-?%d[%d.eE+-]*", at)
  local number = digits and tonumber(digits) or fail(at, "no value")
  return number, at + #digits
end

-- The value of a text; nil and the reason when it is none.
function json.decode(text)
  local is_read, value, at = pcall(function()
    return read_value(text, skip(text, 1), 0)
  end)
  if not is_read then
    return nil, type(value) == "table" and value.message or tostring(value)
  end
  if skip(text, at) <= #text then
    return nil, "something after the end"
  end
  return value
end

local function quote(text)
  local quoted = text:gsub('[%c"\\]', function(letter)
    return string.format("\\u%04x", letter:byte())
  end)
  return '"' .. quoted .. '"'
end

-- The text of a value. A table with a first element, or made by `json.list`, is a list; names are sorted.
function json.encode(value)
  local kind = type(value)
  if kind == "string" then
    return quote(value)
  elseif kind == "number" then
    return string.format("%.14g", value)
  elseif kind ~= "table" then
    return kind == "boolean" and tostring(value) or "null"
  end
  local parts = {}
  if value[1] ~= nil or getmetatable(value) == json then
    for at, item in ipairs(value) do
      parts[at] = json.encode(item)
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local names = {}
  for name in pairs(value) do
    names[#names + 1] = name
  end
  table.sort(names)
  for at, name in ipairs(names) do
    parts[at] = quote(name) .. ":" .. json.encode(value[name])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- A list that stays one when it is empty.
function json.list(items)
  return setmetatable(items, json)
end

return json
