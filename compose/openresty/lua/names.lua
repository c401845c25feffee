-- Host names of nodes and watchdogs, resolved by the one timer that reads the routes, never within a request.
--
-- Order: an address is one; /etc/hosts; the name servers of /etc/resolv.conf. What was known stays good while nobody
-- answers: a node does not become unreachable because a name server did.

local address = require("address")

-- OpenResty's resolver; Debian gives it another name.
local has_it, resolver = pcall(require, "resty.dns.resolver")
if not has_it then
  resolver = require("nginx.dns.resolver")
end

local names = {}

local TIMEOUT_MS = 500
-- A container that is made anew has a new address; name servers of container networks say 600 s all the same.
local LONGEST_S, SHORTEST_S = 5, 1

local known = {}

local function lines(path)
  local file = io.open(path, "r")
  if not file then
    return {}
  end
  local list = {}
  for line in file:lines() do
    list[#list + 1] = (line:gsub("#.*", ""))
  end
  file:close()
  return list
end

-- The address that such lines give a name. Pure.
function names.in_hosts(list, wanted)
  for _, line in ipairs(list) do
    local ip, rest = line:match("^%s*(%S+)%s+(.*)$")
    for name in (rest or ""):gmatch("%S+") do
      if name == wanted then
        return ip:find(":", 1, true) and "[" .. ip .. "]" or ip
      end
    end
  end
  return nil
end

-- Name servers, and what may stand behind a name without a dot. Pure.
function names.in_resolv_conf(list)
  local servers, suffixes = {}, {}
  for _, line in ipairs(list) do
    local word, rest = line:match("^%s*(%S+)%s+(.-)%s*$")
    if word == "nameserver" then
      servers[#servers + 1] = rest:find(":", 1, true) and "[" .. rest .. "]" or rest
    elseif word == "search" then
      suffixes = {}
      for suffix in rest:gmatch("%S+") do
        suffixes[#suffixes + 1] = suffix
      end
    end
  end
  return servers, suffixes
end

-- The address in such answers that is good for the shortest time, and for how long. Pure.
function names.in_answers(answers, kind)
  local ip, ttl
  for _, answer in ipairs(answers or {}) do
    if answer.type == kind and answer.address and not ip then
      ip = kind == resolver.TYPE_AAAA and "[" .. answer.address .. "]" or answer.address
    end
    ttl = math.min(ttl or answer.ttl or 0, answer.ttl or 0)
  end
  return ip, ip and ttl
end

local function ask(server, name, kind)
  local asking = resolver:new({ nameservers = { server }, retrans = 1, timeout = TIMEOUT_MS })
  local answers = asking and asking:query(name, { qtype = kind })
  if not answers or answers.errcode then
    return nil
  end
  return names.in_answers(answers, kind)
end

local function look_up(name)
  local hosts = names.in_hosts(lines("/etc/hosts"), name)
  if hosts then
    return hosts, LONGEST_S
  end
  local servers, suffixes = names.in_resolv_conf(lines("/etc/resolv.conf"))
  local candidates = { name }
  for _, suffix in ipairs(suffixes) do
    candidates[#candidates + 1] = name .. "." .. suffix
  end
  for _, server in ipairs(servers) do
    for _, candidate in ipairs(candidates) do
      for _, kind in ipairs({ resolver.TYPE_A, resolver.TYPE_AAAA }) do
        local found, ttl = ask(server, candidate, kind)
        if found then
          return found, ttl
        end
      end
    end
  end
  return nil
end

-- The address of a host; nil when it has none.
function names.resolve(host)
  if address.is_literal(host) then
    return host
  end
  local now, entry = ngx.now(), known[host]
  if entry and now < entry.good_until then
    return entry.ip
  end
  local ip, ttl = look_up(host)
  if not ip then
    if not entry then
      ngx.log(ngx.WARN, "the name ", host, " has no address")
    end
    return entry and entry.ip
  end
  known[host] = { ip = ip, good_until = now + math.min(math.max(ttl, SHORTEST_S), LONGEST_S) }
  return ip
end

return names
