-- What the gateway is told by its environment. Wrong settings end the start, saying what is wrong.

local address = require("address")

local settings = {}

local function watchdogs(text)
  local list = {}
  for one in (text or ""):gmatch("[^,%s]+") do
    local parsed, reason = address.of_watchdog(one)
    list[#list + 1] = parsed or error("KOMAINU_WATCHDOGS: " .. reason, 0)
  end
  for _, watchdog in ipairs(list) do
    if watchdog.is_tls ~= list[1].is_tls then
      error("KOMAINU_WATCHDOGS: all of them http://, or all of them https://", 0)
    end
  end
  if #list == 0 then
    error("KOMAINU_WATCHDOGS names no watchdog (http://w1:8900,http://w2:8900)", 0)
  end
  return list
end

local function key(path)
  local file = io.open(path or "", "r")
  if not file then
    error("KOMAINU_GATEWAY_KEY_FILE is no file that can be read", 0)
  end
  local text = file:read("*a"):match("^%s*(%x+)%s*$")
  file:close()
  if not text or #text ~= 64 then
    error("KOMAINU_GATEWAY_KEY_FILE: a gateway's key is 64 hex digits, as `komainu keygen --gateway` prints it", 0)
  end
  return text:lower()
end

function settings.read()
  settings.watchdogs = watchdogs(os.getenv("KOMAINU_WATCHDOGS"))
  settings.key = key(os.getenv("KOMAINU_GATEWAY_KEY_FILE"))
  settings.state = os.getenv("KOMAINU_GATEWAY_STATE_DIR")
end

return settings
