-- Which node a request goes to, and why. Pure.
--
-- In this order: the node that has the session; the node that an operator pinned for everybody; the node that this person
-- fixed by cookie; the least loaded. Whoever does not answer (`is_failing`: the gateway itself was turned away there a
-- moment ago) comes last, because the watchdogs need some seconds to agree that a node is gone.

local choice = {}

local function first_then_accepting(field, first)
  local order = { first }
  for _, node in ipairs(field.accepting) do
    if node ~= first then
      order[#order + 1] = node
    end
  end
  return order
end

-- Of those that are loaded alike each address has its own, so that a person's page and its files come from one node.
local function by_load(field, address, is_failing)
  local order, last = {}, {}
  local turn = field.least > 1 and address() % field.least or 0
  for at, node in ipairs(field.accepting) do
    if at <= field.least then
      node = field.accepting[(at - 1 + turn) % field.least + 1]
    end
    if is_failing(node.id) then
      last[#last + 1] = node
    else
      order[#order + 1] = node
    end
  end
  for _, node in ipairs(last) do
    order[#order + 1] = node
  end
  return order
end

-- `ask`: `session` and `cookie` are node ids or nil; `address()` is a number of the client; `is_failing(id)`.
-- Answers `{ via, order, clears_cookie }`; `order` is whom to try, in turn, and empty when there is nobody.
function choice.of(field, ask)
  local fixed = ask.cookie and field.by_id[ask.cookie]
  -- A node that is being drained is online: its cookie stays, for later.
  local clears_cookie = ask.cookie ~= nil and not (fixed and fixed.status == "online")
  local function to(via, node)
    return { via = via, order = first_then_accepting(field, node), clears_cookie = clears_cookie }
  end
  local holder = ask.session and field.by_id[ask.session]
  if holder and holder.keeps and not ask.is_failing(holder.id) then
    return to("session", holder)
  end
  local pinned = field.pinned and field.by_id[field.pinned]
  if pinned and pinned.keeps and not ask.is_failing(pinned.id) then
    return to("cluster-pin", pinned)
  end
  if fixed and fixed.takes and not clears_cookie and not ask.is_failing(fixed.id) then
    return to("fixed-node", fixed)
  end
  return { via = "load-balancer", order = by_load(field, ask.address, ask.is_failing), clears_cookie = clears_cookie }
end

return choice
