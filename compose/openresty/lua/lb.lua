-- The gateway's own paths: whether it lives, and by which node a person wants to be served.

local cookies = require("cookies")
local json = require("json")
local pages = require("pages")
local routes = require("routes")

local lb = {}

local CLEAR = "/lb/clear-fixed-node"

local function is_secure()
  return ngx.var.https == "on"
end

function lb.ping()
  return pages.text("pong")
end

function lb.available_nodes()
  local list = json.list({})
  for at, node in ipairs(routes.field().accepting) do
    list[at] = {
      node_id = node.id,
      status = node.status,
      monitor_count = node.monitors,
      load = node.load,
      set_url = "/lb/fixed-node/" .. node.id,
    }
  end
  return pages.show({ available_nodes = list, total_count = #list, clear_url = CLEAR })
end

function lb.fixed_node_status()
  local wanted = cookies.node(ngx.var["cookie_" .. cookies.NAME])
  local field = routes.field()
  local node = wanted and field.by_id[wanted]
  return pages.show({
    has_fixed_node = wanted ~= nil,
    current_node = wanted,
    is_valid = node ~= nil and node.status == "online",
    pinned_node = field.pinned,
  })
end

function lb.fix_node()
  local id = cookies.node(ngx.var.uri:match("^/lb/fixed%-node/([^/]+)$"))
  local node = id and routes.field().by_id[id]
  if not node then
    return pages.refuse(404, "Not Found", "There is no such node; /lb/available-nodes lists them.")
  elseif node.status ~= "online" or not node.takes then
    return pages.refuse(409, "Conflict", "This node takes nobody just now; /lb/available-nodes lists those that do.")
  end
  ngx.header["Set-Cookie"] = cookies.fixed(id, is_secure())
  local words = "You are served by " .. id .. " for seven days, while it is online. " .. CLEAR .. " ends it."
  return pages.show({ success = true, node = id, clear_url = CLEAR }, "Fixed", words)
end

function lb.clear_fixed_node()
  ngx.header["Set-Cookie"] = cookies.cleared(is_secure())
  return pages.show({ success = true }, "Cleared", "You are served by the least loaded node.")
end

return lb
