-- The nodes as the last table shows them, arranged for choosing. Pure.
--
-- A field is what every process keeps: `by_id`, `accepting` (those that take new sessions, the least loaded first),
-- `orders` (whom to try in turn: as many as there are least loaded, each begins with another one), `pinned`.

local field = {}

-- Loads this close are alike: a hundredth of a node's room.
local ALIKE = 0.01

local function is_less(one, other)
  if one.load ~= other.load then
    return one.load < other.load
  end
  return one.id < other.id
end

-- The same order, but the first so many begin elsewhere.
local function turned(nodes, alike, turn)
  local order = {}
  for at, node in ipairs(nodes) do
    order[at] = at <= alike and nodes[(at - 1 + turn) % alike + 1] or node
  end
  return order
end

-- Out of a table `{ nodes = { { id, ip, port, load, status, takes, keeps, monitors } }, pinned }`.
function field.arrange(shown)
  local arranged = { by_id = {}, accepting = {}, orders = {}, pinned = shown.pinned }
  for _, node in ipairs(shown.nodes) do
    arranged.by_id[node.id] = node
    if node.takes then
      table.insert(arranged.accepting, node)
    end
  end
  table.sort(arranged.accepting, is_less)
  local alike = 0
  while alike < #arranged.accepting and arranged.accepting[alike + 1].load - arranged.accepting[1].load <= ALIKE do
    alike = alike + 1
  end
  for turn = 0, alike - 1 do
    arranged.orders[turn + 1] = turned(arranged.accepting, alike, turn)
  end
  return arranged
end

-- The table that a watchdog answers `/lb/routes` with, in the gateway's words; `resolve` knows hosts.
-- Nodes that nobody can be sent to (no address) are left out.
function field.of_routes(answer, parse, resolve)
  local nodes = {}
  for _, line in ipairs(answer.nodes or {}) do
    local place, reason = parse(line.address or "")
    local ip
    if place then
      ip, reason = resolve(place.host), "the name " .. place.host .. " has no address"
    end
    if ip then
      nodes[#nodes + 1] = {
        id = line.node_id,
        ip = ip,
        port = place.port,
        load = line.load,
        status = line.status,
        monitors = line.monitor_count,
        takes = line.accepts_sessions,
        keeps = line.keeps_sessions,
      }
    elseif line.keeps_sessions then
      ngx.log(ngx.WARN, "nobody can be sent to ", line.node_id, ": ", reason)
    end
  end
  return { nodes = nodes, pinned = answer.pinned_node, generation = answer.generation }
end

return field
