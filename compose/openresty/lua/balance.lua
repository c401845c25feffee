-- Hands nginx the next address to try, of the order that was chosen.

local balancer = require("ngx.balancer")

local failing = require("failing")
local retry = require("retry")

local balance = {}

-- nginx's own number for "there is nobody": the attempt before stays the last.
local NOBODY = -3

function balance.run()
  local route = ngx.ctx.route
  if route.tried > 0 then
    local was_sent = retry.was_sent(ngx.var.upstream_bytes_sent)
    if not was_sent then
      failing.note(route.order[route.tried].id)
    end
    if not retry.is_safe(ngx.req.get_method(), was_sent) then
      return ngx.exit(NOBODY)
    end
  end
  local next_one = route.order[route.tried + 1]
  if not next_one then
    return ngx.exit(NOBODY)
  end
  route.tried = route.tried + 1
  if route.order[route.tried + 1] then
    balancer.set_more_tries(1)
  end
  local is_set, reason = balancer.set_current_peer(next_one.ip, next_one.port)
  if not is_set then
    ngx.log(ngx.ERR, "cannot send to ", next_one.ip, ":", next_one.port, ": ", reason)
    return ngx.exit(NOBODY)
  end
end

return balance
