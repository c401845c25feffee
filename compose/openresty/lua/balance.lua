-- Hands nginx the next address to try, of the order that was chosen.

local balancer = require("ngx.balancer")

local failing = require("failing")
local retry = require("retry")

local balance = {}

-- nginx's own number for "there is nobody": it answers 502, which nginx.conf makes the gateway's own page.
local NOBODY = -3

-- nginx's word for a try that took too long.
local TOO_LONG = 504
-- As `proxy_next_upstream_tries`.
local TRIES = 3

-- Notes what became of the last try, and says whether another may be tried.
local function may_go_on(route)
  local failed = route.order[route.tried].id
  local was_sent = retry.was_sent(ngx.var.upstream_bytes_sent)
  if not was_sent then
    failing.refused(failed)
  elseif route.is_cut and select(2, balancer.get_last_failure()) == TOO_LONG then
    failing.silent(failed)
  end
  return retry.is_safe(ngx.req.get_method(), was_sent)
end

-- Seconds for an answer of the try that begins; nil: the usual ones, where nobody else is left or the answer may take its time.
local function patience(route)
  if route.patience then
    return route.patience
  end
  local is_last = route.tried >= TRIES or not route.order[route.tried + 1]
  local is_plain = not route.waits and ngx.var.http_upgrade == nil
  return not is_last and is_plain and retry.is_safe(ngx.req.get_method(), true) and retry.PATIENCE_S[route.tried] or nil
end

-- Takes the next of the route's order; returns it, nil when there is nobody left. A route is of one request: `{ via, order, tried,
-- clears_cookie, opens_session, waits, patience }`.
function balance.next(route)
  local tried = route.tried
  local peer = route.order[tried + 1]
  if not peer or (tried > 0 and not may_go_on(route)) then
    ngx.exit(NOBODY)
    return nil
  end
  route.tried = tried + 1
  local longest = patience(route)
  route.is_cut = longest ~= nil
  if longest then
    balancer.set_timeouts(nil, nil, longest)
  end
  local is_set, reason = balancer.set_current_peer(peer.ip, peer.port)
  if not is_set then
    ngx.log(ngx.ERR, "cannot send to ", peer.ip, ":", peer.port, ": ", reason)
    ngx.exit(NOBODY)
    return nil
  end
  return peer
end

return balance
