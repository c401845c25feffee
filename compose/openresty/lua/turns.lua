-- Whose turn it is among those that wait for the same: each takes a number, the number that is done is raised. Shared by all
-- processes; forgotten a while after the last one. Where it was forgotten too early (another process was killed, or there was
-- no room) those that wait go on when their time is over, and the next ones are in order again.

local turns = {}

local KEPT_S = 60

local numbers = ngx.shared.komainu_turns

-- A number, one higher than the last; nil where there is no room for one.
function turns.take(name)
  local taken = "taken " .. ngx.md5(name)
  local turn = numbers:incr(taken, 1, 0)
  numbers:expire(taken, KEPT_S)
  return turn
end

function turns.is_next(name, turn)
  return (numbers:get("done " .. ngx.md5(name)) or 0) >= turn - 1
end

function turns.over(name, turn)
  local done = "done " .. ngx.md5(name)
  if turn > (numbers:get(done) or 0) then
    numbers:set(done, turn, KEPT_S)
  end
end

return turns
