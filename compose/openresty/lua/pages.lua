-- What the gateway answers itself: plain, without anything to load, never kept.

local json = require("json")

local pages = {}

local function html(title, words)
  return "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>"
    .. title .. "</title>\n<h1>" .. title .. "</h1>\n<p>" .. words .. "</p>\n</html>\n"
end

local function wants_page()
  local accept = ngx.var.http_accept
  return accept ~= nil and accept:find("text/html", 1, true) ~= nil
end

local function say(status, kind, text)
  ngx.status = status
  local header = ngx.header
  header["Content-Type"] = kind
  header["Content-Length"] = #text
  header["Cache-Control"] = "no-store"
  header["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
  ngx.print(text)
  return ngx.exit(ngx.HTTP_OK)
end

-- A value, for programs; for people, words, which must be free of what others wrote.
function pages.show(value, title, words)
  if title and wants_page() then
    return say(200, "text/html; charset=utf-8", html(title, words))
  end
  return say(200, "application/json", json.encode(value) .. "\n")
end

function pages.text(words)
  return say(200, "text/plain; charset=utf-8", words .. "\n")
end

-- RFC 9457, as the API's own refusals.
function pages.refuse(status, title, words)
  if wants_page() then
    return say(status, "text/html; charset=utf-8", html(title, words))
  end
  local body = json.encode({ title = title, status = status, detail = words })
  return say(status, "application/problem+json", body .. "\n")
end

function pages.not_found()
  return pages.refuse(404, "Not Found", "There is nothing here.")
end

function pages.no_key()
  ngx.var.routed_via, ngx.var.routed_to = "", ""
  ngx.header["WWW-Authenticate"] = "Bearer"
  return pages.refuse(401, "Unauthorized", "This needs a key: `Authorization: Bearer kmn_...`.")
end

function pages.too_large()
  return pages.refuse(413, "Content Too Large", "The body is over its limit.")
end

function pages.too_often()
  ngx.header["Retry-After"] = "1"
  return pages.refuse(429, "Too Many Requests", "Too much at once from this address.")
end

function pages.unavailable()
  -- Whoever was tried did not answer.
  ngx.var.routed_via, ngx.var.routed_to = "", ""
  ngx.header["Retry-After"] = "5"
  return pages.refuse(503, "Service Unavailable", "Nobody can answer this just now. Please try again in some seconds.")
end

return pages
