"use strict";
const assert = require("node:assert");
const http = require("node:http");
const { once } = require("node:events");
const { test } = require("node:test");
const { Doors } = require("../lib/doors");
const { sign } = require("../lib/signature");

const KEY = "ab".repeat(32);
const PATH = "/api/v1/reconcile-monitors";

/** As Express: what it does to `res` comes later. */
const express = Object.assign(Object.create(http.ServerResponse.prototype), {
  json(body) {
    this.end(JSON.stringify(body));
  },
});

/** A server with the agent's doors before a Kuma that answers 200 to everything else. */
async function served(t, { refusal = () => null, leaseRefusal = () => null, answers = async () => [], kuma = (res) => res.end("kuma") } = {}) {
  const seen = { hints: 0, pushes: [], stalls: 0 };
  const run = { id: 7 };
  const doors = new Doors({
    identity: { id: "kuma1", incarnation: "aaaaaaaaaaaaaaaa", key: KEY },
    tenure: { applied: { generation: 5, nonce: "n" }, hint: () => (seen.hints += 1), reread: async () => 1_763_800_000_500 },
    runs: {
      held: new Map([[7, run]]),
      refusal,
      leaseRefusal,
      pushed: (token) => (token === "se cret" ? run : null),
      noteStall: () => (seen.stalls += 1),
      asPush: (of, res, act) => (seen.pushes.push(of.id), act()),
    },
    wire: { query: answers },
    clock: { now: () => performance.now(), wall: () => Date.now() },
    version: "2.5.3",
  });
  const server = http.createServer((req, res) => doors.take(req, res, () => kuma(res)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { seen, at: `http://127.0.0.1:${server.address().port}` };
}

test("health says who answers, what was applied and whether the database does", async (t) => {
  const { at } = await served(t);
  const response = await fetch(`${at}/api/v1/health?x=1`);
  assert.strictEqual(response.status, 200);
  const { lag_ms: lag, ...health } = await response.json();
  assert.ok(lag < 2_000);
  assert.deepStrictEqual(health, {
    status: "ok", node_id: "kuma1", incarnation: "aaaaaaaaaaaaaaaa", running: 1, generation: 5, database: true, version: "2.5.3",
  });
});

test("health is 503 while the database does not answer on the agent's own connection", async (t) => {
  const { at } = await served(t, { answers: () => Promise.reject(new Error("away")) });
  const response = await fetch(`${at}/api/v1/health`);
  assert.deepStrictEqual([response.status, (await response.json()).database], [503, false]);
});

test("a signed hint is taken, an unsigned one refused", async (t) => {
  const { at, seen } = await served(t);
  const body = '{"generation":7}';
  const headers = { "X-Komainu-Signature": sign(KEY, Date.now(), "POST", PATH, body), "Content-Type": "application/json" };
  assert.strictEqual((await fetch(at + PATH, { method: "POST", headers, body })).status, 202);
  assert.strictEqual((await fetch(at + PATH, { method: "POST", headers, body: "{}" })).status, 403);
  assert.strictEqual((await fetch(at + PATH, { method: "POST" })).status, 403);
  assert.strictEqual(seen.hints, 1);
});

test("a hint whose sender waits is answered with when all rows were read", async (t) => {
  const { at } = await served(t);
  const headers = { "X-Komainu-Signature": sign(KEY, Date.now(), "POST", PATH, "") };
  const asked = await (await fetch(`${at}${PATH}?reread=7`, { method: "POST", headers })).json();
  assert.deepStrictEqual(asked, { status: "ok", reread_ms: 1_763_800_000_500 });
  assert.strictEqual((await (await fetch(at + PATH, { method: "POST", headers })).json()).reread_ms, null);
});

test("a push reaches Kuma only where its monitor runs; a token of nobody is answered as Kuma does", async (t) => {
  const { at, seen } = await served(t);
  assert.strictEqual(await (await fetch(`${at}/api/push/se%20cret?status=up`)).text(), "kuma");
  assert.deepStrictEqual(seen.pushes, [7]);
  for (const path of ["/API/push/other", "/api/Push/other/"]) assert.strictEqual((await fetch(at + path)).status, 404, path);
  const whole = http.request({ port: new URL(at).port, path: `${at}/api/push/other` });
  const [response] = await once(whole.end(), "response");
  assert.strictEqual(response.resume().statusCode, 404, "a URL that is written out whole");
  const other = await fetch(`${at}/api/push/other`);
  assert.deepStrictEqual([other.status, await other.json()], [404, { ok: false, msg: "Monitor not found or not active." }]);
});

test("a push while the lease is out is not lost silently: 503, to be sent again", async (t) => {
  const { at, seen } = await served(t, { refusal: () => "the lease is too old" });
  const response = await fetch(`${at}/api/push/se%20cret`);
  assert.deepStrictEqual([response.status, response.headers.get("retry-after"), seen.pushes.length], [503, "1", 0]);
});

test("a push of a monitor that runs elsewhere, or of which nobody can say, may be sent again: 503, not 404", async (t) => {
  const asked = [];
  const answers = async (sql, [tokens]) => {
    asked.push(tokens);
    if (tokens.includes("away")) throw new Error("connect ECONNREFUSED 10.0.0.5:3306");
    return [{ token: "Moved" }];
  };
  const { at } = await served(t, { answers });
  const pushes = await Promise.all(["moved", "other", "moved"].map((token) => fetch(`${at}/api/push/${token}`)));
  assert.deepStrictEqual(pushes.map(({ status }) => status), [503, 404, 503]);
  assert.deepStrictEqual([pushes[0].headers.get("retry-after"), asked.length <= 2], ["1", true], "asked for together");
  const away = await fetch(`${at}/api/push/away`);
  assert.strictEqual(away.status, 503);
  assert.doesNotMatch(await away.text(), /10\.0\.0\.5|ECONN/);
  assert.strictEqual((await fetch(`${at}/api/push/${"x".repeat(300)}`)).status, 404, "no token is that long");
  assert.strictEqual(asked.flat().length, 4);
});

test("what Kuma could not do with a push is 503 without a word of the database's; what it refuses stays 404", async (t) => {
  const table = [
    ["connect ECONNREFUSED 10.0.0.5:3306", 503],
    ["insert into `heartbeat` - Duplicate entry", 503],
    ["Monitor not found or not active.", 404],
    ["Invalid ping value. Must be between 0 and 100000000000 ms.", 404],
  ];
  let words;
  const kuma = (res) => {
    Object.setPrototypeOf(res, express);
    res.statusCode = words ? 404 : 200;
    res.json(words ? { ok: false, msg: words } : { ok: true });
  };
  const { at } = await served(t, { kuma });
  for (const [said, status] of table) {
    words = said;
    const response = await fetch(`${at}/api/push/se%20cret`);
    const { msg } = await response.json();
    assert.strictEqual(response.status, status, said);
    assert.strictEqual(msg === said, status === 404, msg);
    assert.strictEqual(response.headers.get("retry-after"), status === 503 ? "1" : null);
  }
  words = null;
  assert.deepStrictEqual(await (await fetch(`${at}/api/push/se%20cret`)).json(), { ok: true });
});

test("a push that Kuma cannot end, since the database says nothing, is 503 once the lease is over", async (t) => {
  let over = null;
  let kumas;
  const kuma = (res) => (kumas = Object.setPrototypeOf(res, express));
  const { at } = await served(t, { leaseRefusal: () => over, kuma });
  const pushed = fetch(`${at}/api/push/se%20cret`);
  while (!kumas) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.strictEqual(await Promise.race([pushed, new Promise((resolve) => setTimeout(resolve, 1_200, "waits"))]), "waits");
  over = "the lease is over";
  const response = await pushed;
  assert.deepStrictEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
  assert.doesNotMatch(await response.text(), /lease/);
  kumas.json({ ok: true }); // too late
});

test("everything else is Kuma's", async (t) => {
  const { at } = await served(t);
  for (const path of ["/", "/api/v1/healthy", "/api/push/a/b", "/dashboard"]) assert.strictEqual(await (await fetch(at + path)).text(), "kuma");
});
