-- Nodes that turned the gateway away a moment ago. Forgotten by themselves: the watchdogs' word is the lasting one.

local failing = {}

local FORGOTTEN_AFTER_S = 3
-- Between two looks of a process at what the others noticed.
local LOOK_S = 0.05
-- That there is any at all.
local ANY = "*"

local marks = ngx.shared.komainu_failing

-- Of each process.
local is_any, looked_at = false, 0

function failing.note(id)
  marks:set(id, true, FORGOTTEN_AFTER_S)
  marks:set(ANY, true, FORGOTTEN_AFTER_S)
  looked_at = 0
end

local function is_marked(id)
  return marks:get(id) ~= nil
end

-- The question to ask of each node, for one request; nil while nobody is failing.
function failing.at(now)
  if now - looked_at > LOOK_S then
    is_any, looked_at = marks:get(ANY) ~= nil, now
  end
  return is_any and is_marked or nil
end

return failing
