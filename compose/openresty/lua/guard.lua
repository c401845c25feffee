-- What is refused before a body is read.

local guard = {}

local function has_body(var)
  local length = var.http_content_length
  return var.http_transfer_encoding ~= nil or (length ~= nil and length ~= "0")
end

local function has_key(authorization)
  return authorization ~= nil and authorization:find("^[Bb][Ee][Aa][Rr][Ee][Rr] +%S") ~= nil
end

-- Bodies for the API come with a key; what comes without is refused by its head alone.
function guard.needs_key()
  local var = ngx.var
  if has_body(var) and not has_key(var.http_authorization) then
    return ngx.exit(ngx.HTTP_UNAUTHORIZED)
  end
end

return guard
