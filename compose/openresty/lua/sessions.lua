-- Which node has which Socket.IO session. Learned from the node's own words, so that neither a cookie nor an address
-- has to be trusted: behind one address sit many people, and one person's address changes.

local sessions = {}

-- A client that polls comes back within 25 s; one that speaks by websocket comes back once, at its upgrade.
local KEPT_S = 300
-- The handshake is some 120 bytes.
local HEAD_MOST = 1024

local nodes = ngx.shared.komainu_sessions

-- What may be a session: only such a text is looked up. Pure.
function sessions.id(text)
  return text and #text <= 64 and text:find("^[%w_-]+$") and text or nil
end

-- The session that a handshake opens, nil when this is none. Pure.
function sessions.opened(body)
  return sessions.id(body:match('^0{"sid":"([^"]+)"'))
end

-- The node of a session.
function sessions.node(id)
  local node = nodes:get(id)
  if node then
    nodes:set(id, node, KEPT_S)
  end
  return node
end

-- Reads along while a node answers a request without a session. Known here before the client knows it.
function sessions.learn()
  local route = ngx.ctx
  if not route.opens_session then
    return
  end
  local head = (route.head or "") .. ngx.arg[1]
  local id = sessions.opened(head)
  if id then
    nodes:set(id, route.order[route.tried].id, KEPT_S)
  end
  route.head = head
  route.opens_session = not id and #head < HEAD_MOST
end

return sessions
