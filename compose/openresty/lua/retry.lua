-- Whether a request that failed may be sent to another node or watchdog. Pure.
--
-- One that was never sent may, whatever it asks for. One that was sent may only when it changes nothing: GET and HEAD.

local retry = {}

-- How long the first and the second who is asked may take, where another could answer: less than 8 s in all. A node is known to be
-- frozen by its silence only.
retry.PATIENCE_S = { 5, 2.5 }

-- Whether bytes of the attempt before this one left, by `$upstream_bytes_sent`: a number for each attempt. The one that is
-- about to begin has no peer yet, so that nginx writes nothing or a number behind the last mark. What is not understood
-- counts as sent.
function retry.was_sent(bytes_sent)
  local before_last = bytes_sent and bytes_sent:match("(%d+) : ?%d*$")
  return before_last ~= "0"
end

function retry.is_safe(method, was_sent)
  return not was_sent or method == "GET" or method == "HEAD"
end

return retry
