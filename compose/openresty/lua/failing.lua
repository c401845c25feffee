-- Nodes that turned the gateway away a moment ago, or left it without an answer. Forgotten by themselves: the watchdogs' word
-- is the lasting one.

local failing = {}

local REFUSED_S = 3
-- Each who finds out anew waits for seconds. By then the watchdogs know.
local SILENT_S = 15
-- Between two looks of a process at what the others noticed.
local LOOK_S = 0.05
-- That there is any at all.
local ANY = "*"

local marks = ngx.shared.komainu_failing

-- Of each process.
local is_any, looked_at = false, 0

-- It refused a connection.
function failing.refused(id)
  marks:set(id, "refused", REFUSED_S)
  marks:set(ANY, true, SILENT_S)
  looked_at = 0
end

-- It took a request and did not answer in time: frozen, or only slow.
function failing.silent(id)
  marks:set(id, "silent", SILENT_S)
  marks:set(ANY, true, SILENT_S)
  looked_at = 0
end

local function mark_of(id)
  return marks:get(id)
end

-- The question to ask of each node, for one request: "refused", "silent" or nil; no question while nobody is failing.
function failing.at(now)
  if now - looked_at > LOOK_S then
    is_any, looked_at = marks:get(ANY) ~= nil, now
  end
  return is_any and mark_of or nil
end

return failing
