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

local KINDS = {
  node_id = "string",
  address = "string",
  status = "string",
  load = "number",
  monitor_count = "number",
  accepts_sessions = "boolean",
  keeps_sessions = "boolean",
}

-- Numbers without an end cannot be written down for the other processes.
local function has_an_end(number)
  return number > -math.huge and number < math.huge
end

local function wrong_line(line)
  if type(line) ~= "table" then
    return "a node that is none"
  end
  for name, kind in pairs(KINDS) do
    if type(line[name]) ~= kind then
      return "a node's " .. name .. " is no " .. kind
    end
  end
  -- It becomes a header.
  if line.node_id:find("^$") or line.node_id:find("%c") then
    return "a node's id cannot be"
  end
  if line.load < 0 or not has_an_end(line.load) or not has_an_end(line.monitor_count) then
    return "a node's load or monitor_count cannot be"
  end
  return nil
end

-- What is wrong with an answer of a watchdog, nil when it can be used. One bad line would stop every process at its next
-- request, so such an answer counts as none.
function field.wrong(answer)
  if type(answer) ~= "table" or type(answer.nodes) ~= "table" then
    return "not a table of nodes"
  end
  if answer.pinned_node ~= nil and type(answer.pinned_node) ~= "string" then
    return "the pinned node is no string"
  end
  local generation = answer.generation
  if generation ~= nil and (type(generation) ~= "number" or not has_an_end(generation)) then
    return "the generation is no number"
  end
  local count = 0
  for _, line in pairs(answer.nodes) do
    count = count + 1
    local wrong = wrong_line(line)
    if wrong then
      return wrong
    end
  end
  return count ~= #answer.nodes and "not a list of nodes" or nil
end

-- The table that a watchdog answers `/lb/routes` with, in the gateway's words; `resolve` knows hosts.
-- Nodes that nobody can be sent to (no address) are left out.
function field.of_routes(answer, parse, resolve)
  local nodes = {}
  for _, line in ipairs(answer.nodes) do
    local place, reason = parse(line.address)
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
