-- JSON as the watchdogs speak it. Reading is cjson's business; writing is here, since older ones of it cannot write an empty
-- list.
--
-- `null` reads as nil: a field that is null is a field that is not there.

local cjson = require("cjson.safe").new()

cjson.decode_max_depth(32)
cjson.decode_invalid_numbers(false)

local json = {}

local function without_null(value)
  if type(value) == "table" then
    for name, item in pairs(value) do
      value[name] = without_null(item)
    end
  elseif value == cjson.null then
    return nil
  end
  return value
end

-- The value of a text; nil and the reason when it is none.
function json.decode(text)
  local value, reason = cjson.decode(text)
  if value == nil then
    return nil, reason
  end
  return without_null(value)
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
