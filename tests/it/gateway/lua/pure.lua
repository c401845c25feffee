-- What choice, retry, cookies, sessions, json and names promise. Ends the start of nginx at the first that is broken.

local address = require("address")
local choice = require("choice")
local cookies = require("cookies")
local field = require("field")
local json = require("json")
local names = require("names")
local retry = require("retry")
local routes = require("routes")

local kept = 0

local function same(found, expected, words)
  if found ~= expected then
    error(words .. ": found " .. tostring(found) .. ", expected " .. tostring(expected), 2)
  end
  kept = kept + 1
end

local function node(id, load, fields)
  local one = { id = id, load = load, status = "online", takes = true, keeps = true }
  for name, value in pairs(fields or {}) do
    one[name] = value
  end
  return one
end

local function ids(order)
  local list = {}
  for at, one in ipairs(order) do
    list[at] = one.id
  end
  return table.concat(list, " ")
end

local function of(nodes, ask, pinned)
  local address = ask.address or function()
    return 0
  end
  local arranged = field.arrange({ nodes = nodes, pinned = pinned })
  local via, order, clears_cookie = choice.of(arranged, ask.session, ask.cookie, address, ask.is_failing)
  return { via = via, order = order, clears_cookie = clears_cookie }
end

local gone = { status = "offline", takes = false, keeps = false }
local draining = { takes = false }
local three = { node("c", 0.3), node("a", 0.1), node("b", 0.2) }

same(ids(of(three, {}).order), "a b c", "the least loaded first")
same(ids(of({}, {}).order), "", "nobody")
same(ids(of({ node("a", 0.1, gone), node("b", 0.2) }, {}).order), "b", "who is gone is no choice")
same(ids(of(three, { is_failing = function(id) return id == "a" end }).order), "b c a", "who fails comes last")
local silent = function(id) return id == "a" and "silent" or nil end
same(ids(of(three, { is_failing = silent }).order), "b c a", "who is silent comes last")
same(of(three, { is_failing = silent, session = "a" }).via, "session", "who is silent has its sessions")
local refused = function(id) return id == "a" and "refused" or nil end
same(of(three, { is_failing = refused, session = "a" }).via, "load-balancer", "who refuses has none")
same(of(three, { cookie = "c" }).via, "fixed-node", "a cookie")
same(ids(of(three, { cookie = "c" }).order), "c a b", "a cookie")
same(of(three, { cookie = "x" }).clears_cookie, true, "a cookie of no node")
same(of({ node("a", 0.1, gone), node("b", 0.2) }, { cookie = "a" }).clears_cookie, true, "a cookie of a lost node")
same(of({ node("a", 0.1, draining), node("b", 0.2) }, { cookie = "a" }).clears_cookie, false, "a draining node's cookie")
same(ids(of({ node("a", 0.1, draining), node("b", 0.2) }, { cookie = "a" }).order), "b", "a draining node's cookie")
same(of(three, { cookie = "c" }, "b").via, "cluster-pin", "the pin outweighs the cookie")
same(of(three, { session = "c" }, "b").via, "session", "a session stays whatever is pinned")
same(ids(of({ node("a", 0.1, draining), node("b", 0.2) }, { session = "a" }).order), "a b", "a session on a draining node")
same(ids(of({ node("a", 0.1, gone), node("b", 0.2) }, { session = "a" }).order), "b", "a session of a lost node")
same(ids(of({ node("a", 0.1, gone), node("b", 0.2) }, {}, "a").order), "b", "a lost node that is pinned")

local alike = { node("a", 0.100), node("b", 0.105), node("c", 0.2) }
for client, expected in pairs({ [0] = "a b c", [1] = "b a c", [2] = "a b c" }) do
  same(ids(of(alike, { address = function() return client end }).order), expected, "alike, client " .. client)
end

same(retry.was_sent("0 : "), false, "refused")
same(retry.was_sent("512 : "), true, "sent")
same(retry.was_sent("512, 0 : "), false, "the attempt before counts")
same(retry.was_sent("0, 512 : 0"), true, "the attempt before counts, not the one to come")
same(retry.was_sent("0, 0"), true, "not understood")
same(retry.was_sent(nil), true, "unknown")
same(retry.is_safe("POST", true), false, "POST that was sent")
same(retry.is_safe("POST", false), true, "POST that was not")
same(retry.is_safe("GET", true), true, "GET")
same(retry.PATIENCE_S[1] + retry.PATIENCE_S[2] < 8, true, "the third is asked within 8 s")
same(retry.is_safe("DELETE", true), false, "DELETE that was sent")

same(cookies.node("node-1.a_b"), "node-1.a_b", "an id")
for _, wrong in ipairs({ "", "a b", "a;b", "a/b", "a\nb", ("x"):rep(65) }) do
  same(cookies.node(wrong), nil, "no id: " .. wrong)
end

local read = json.decode('{"a":[1,-2.5e1,true,null,"x\\u00e4\\n\\"y"],"b":{},"c":[],"d":null}')
same(read.a[2], -25, "a number")
same(read.a[3], true, "a truth")
same(read.a[5], 'x\195\164\n"y', "a text")
same(read.d, nil, "nothing")
same(json.encode(read.b), "{}", "an object")
for _, wrong in ipairs({ "", "{", "[1,", '{"a"}', "[1] 2", '"\\x"', "nul", ("["):rep(100) }) do
  same(json.decode(wrong), nil, "no JSON: " .. wrong)
end
same(json.encode({ a = { 1, 2 }, b = "x\"\n" }), '{"a":[1,2],"b":"x\\u0022\\u000a"}', "written")
same(json.encode(json.list({})), "[]", "an empty list")

same(address.parse("http://kuma1:3001").port, 3001, "a port")
same(address.parse("http://kuma1/").port, 80, "the usual port")
same(address.parse("http://[::1]:3001").host, "[::1]", "an address in brackets")
for _, wrong in ipairs({ "", "kuma1:3001", "https://kuma1:3001", "http://u:p@kuma1", "http://a b", "http://a:99999" }) do
  same(address.parse(wrong), nil, "no base address: " .. wrong)
end
same(address.of_watchdog("https://w1").port, 443, "the usual port of TLS")
same(address.of_watchdog("https://w1:8900").is_tls, true, "TLS")
same(address.of_watchdog("http://w1:8900").is_tls, nil, "plain")
for _, wrong in ipairs({ "https://10.0.0.1:8900", "https://[::1]:8900", "https://", "ftp://w1" }) do
  same(address.of_watchdog(wrong), nil, "no base address of a watchdog: " .. wrong)
end

same(names.in_hosts({ "127.0.0.1 localhost", "10.0.0.7 kuma1.example kuma1" }, "kuma1"), "10.0.0.7", "hosts")
same(names.in_hosts({ "127.0.0.1 localhost" }, "local"), nil, "hosts, unknown")
local servers, suffixes = names.in_resolv_conf({ "search a.example b.example", "nameserver 127.0.0.11", "options x" })
same(table.concat(servers, " ") .. " " .. table.concat(suffixes, " "), "127.0.0.11 a.example b.example", "resolv.conf")

local watched = {}
same(routes.is_moving(watched, 1000, 50), true, "seen for the first time")
same(routes.is_moving(watched, 1000, 54), true, "still, but not for long")
same(routes.is_moving(watched, 1000, 55), false, "it tells of the past")
same(routes.is_moving(watched, 2000, 56), true, "rounds happen again")
same(routes.is_moving({}, nil, 50), false, "it has read nothing yet")

local alias, found = { type = 5, ttl = 60 }, { type = 1, address = "10.0.0.7", ttl = 300 }
local ip, ttl = names.in_answers({ alias, found }, 1)
same(ip, "10.0.0.7", "an answer behind an alias")
same(ttl, 60, "for as long as the shorter of the two is good")
same(names.in_answers({ { type = 28, address = "fd00::7", ttl = 1 } }, 28), "[fd00::7]", "an address of version 6")
same(names.in_answers({ alias }, 1), nil, "an alias of nothing")

local function line_with(name, value)
  local line = {
    node_id = "a", address = "http://a", status = "online", load = 0.1,
    monitor_count = 1, accepts_sessions = true, keeps_sessions = true,
  }
  line[name] = value
  return { nodes = { line } }
end
same(field.wrong(line_with("overlay", "none")), nil, "a table")
same(field.wrong(line_with("node_id", "node 1")), nil, "an id that no cookie names is no reason to refuse all")
same(field.wrong({ nodes = {} }), nil, "a table without nodes")
for at, wrong in ipairs({
  1, "x", {}, { nodes = 1 }, { nodes = { 1 } }, { nodes = { a = {} } }, { nodes = {}, pinned_node = 1 },
  line_with("load", "much"), line_with("load", math.huge), line_with("load", -1), line_with("node_id", "a\r\nb"), line_with("node_id", ""),
  line_with("address", 1), line_with("keeps_sessions", "yes"), line_with("monitor_count", math.huge),
}) do
  same(field.wrong(wrong) ~= nil, true, "no table: " .. at)
end
same(field.wrong(nil) ~= nil, true, "nothing")

-- A watchdog's answer and mutations of it, the same each time: what is not refused can be written down for the other
-- processes, read by them and chosen from.
local seed = 12
local function random(most)
  seed = seed * 16807 % 2147483647
  return seed % most
end
local tokens = { "1e400", "-1e400", "-0", "null", "[]", "{}", '"', ",", "\\u0000", "7", "true", '"x"', "[[", '{"a":', "" }
local answer = '{"generation":42,"pinned_node":"a","nodes":['
  .. '{"node_id":"a","address":"http://a:3001","status":"online","load":0.5,"monitor_count":3,"accepts_sessions":true,"keeps_sessions":true},'
  .. '{"node_id":"b","address":"http://b","status":"online","load":0.1,"monitor_count":0,"accepts_sessions":true,"keeps_sessions":false}]}'
-- Where a value begins.
local places = {}
for place in answer:gmatch(":()") do
  places[#places + 1] = place
end
local taken = 0
for _ = 1, 4000 do
  local mutant = answer
  for _ = 0, random(2) do
    local from = random(3) > 0 and places[random(#places) + 1] or random(#mutant) + 1
    local until_ = random(2) == 0 and from + random(6) or (mutant:find("[,}]", from) or from)
    mutant = mutant:sub(1, from - 1) .. tokens[random(#tokens) + 1] .. mutant:sub(until_)
  end
  local shown = json.decode(mutant)
  if not field.wrong(shown) then
    local table_of = field.of_routes(shown, address.parse, function() return "10.0.0.1" end)
    local read = json.decode(json.encode(table_of))
    if type(read) ~= "table" then
      error("taken, and lost for the other processes: " .. mutant)
    end
    local arranged = field.arrange(read)
    choice.of(arranged, nil, "a", function() return 0 end, nil)
    taken = taken + 1
  end
end
same(taken > 100, true, "some mutations are answers still")

io.stderr:write("promises kept: ", kept, "\n")
-- There is nothing to serve.
os.exit(0)
