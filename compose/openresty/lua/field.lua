-- The nodes as the last table shows them, arranged for choosing. Pure.
--
-- A field is what every process keeps: `by_id`, `accepting` (those that take new sessions, the least loaded first),
-- `least` (how many of these are loaded alike), `pinned`.

local field = {}

-- Loads this close are alike: a hundredth of a node's room.
local ALIKE = 0.01

local function is_less(one, other)
  if one.load ~= other.load then
    return one.load < other.load
  end
  return one.id < other.id
end

-- Out of a table `{ nodes = { { id, ip, port, load, status, takes, keeps, monitors } }, pinned }`.
function field.arrange(shown)
  local arranged = { by_id = {}, nodes = shown.nodes, accepting = {}, least = 0, pinned = shown.pinned }
  for _, node in ipairs(shown.nodes) do
    arranged.by_id[node.id] = node
    if node.takes then
      table.insert(arranged.accepting, node)
    end
  end
  table.sort(arranged.accepting, is_less)
  for _, node in ipairs(arranged.accepting) do
    if node.load - arranged.accepting[1].load <= ALIKE then
      arranged.least = arranged.least + 1
    end
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
