-- Nodes that turned the gateway away a moment ago. Forgotten by themselves: the watchdogs' word is the lasting one.

local failing = {}

local FORGOTTEN_AFTER_S = 3
-- That there is any at all, so that a request looks up one thing when there is none.
local ANY = "*"

local marks = ngx.shared.komainu_failing

function failing.note(id)
  marks:set(id, true, FORGOTTEN_AFTER_S)
  marks:set(ANY, true, FORGOTTEN_AFTER_S)
end

local function is_marked(id)
  return marks:get(id) ~= nil
end

local function never()
  return false
end

-- The question to ask of each node, for one request.
function failing.now()
  return marks:get(ANY) and is_marked or never
end

return failing
