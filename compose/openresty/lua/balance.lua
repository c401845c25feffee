-- Hands nginx the next address to try, of the order that was chosen.

local balancer = require("ngx.balancer")

local failing = require("failing")
local retry = require("retry")

local balance = {}

-- nginx's own number for "there is nobody": it answers 502, which nginx.conf makes the gateway's own page.
local NOBODY = -3

-- Whether another may be tried, now that this one failed.
local function may_go_on(route)
  local was_sent = retry.was_sent(ngx.var.upstream_bytes_sent)
  if not was_sent then
    failing.note(route.order[route.tried].id)
  end
  return retry.is_safe(ngx.req.get_method(), was_sent)
end

-- Takes the next of the route's order; returns it, nil when there is nobody left. A route is of one request: `{ via, order, tried, clears_cookie, opens_session }`.
function balance.next(route)
  local tried = route.tried
  local peer = route.order[tried + 1]
  if not peer or (tried > 0 and not may_go_on(route)) then
    ngx.exit(NOBODY)
    return nil
  end
  route.tried = tried + 1
  local is_set, reason = balancer.set_current_peer(peer.ip, peer.port)
  if not is_set then
    ngx.log(ngx.ERR, "cannot send to ", peer.ip, ":", peer.port, ": ", reason)
    ngx.exit(NOBODY)
    return nil
  end
  return peer
end

return balance
