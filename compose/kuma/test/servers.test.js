"use strict";
const assert = require("node:assert/strict");
const { test } = require("node:test");

const { Servers, choose, parse } = require("../lib/servers");
const { Clock, silent } = require("./standin");

const one = { host: "db1", port: 3306 };
const two = { host: "db2", port: 3307 };

/** Servers by their host; each says `on`: whether it takes writes, and the leader's row. */
class World {
  constructor() {
    this.servers = {
      db1: { readOnly: "OFF", row: { epoch: 1, renewals: 7, server: "db1:3306" } },
      db2: { readOnly: "ON", row: { epoch: 1, renewals: 7, server: "db1:3306" } },
    };
    this.open = 0;
  }

  async connect({ host, port }) {
    const server = this.servers[host];
    if (server.isFrozen) return new Promise(() => {});
    if (server.isDead) throw new Error("connect ECONNREFUSED");
    this.open += 1;
    return { destroy: () => (this.open -= 1), query: async (sql) => [this.answer({ host, port, server }, sql)] };
  }

  answer({ host, port, server }, sql) {
    const row = (Variable_name, Value) => ({ Variable_name, Value });
    if (sql.startsWith("SHOW VARIABLES")) return [row("hostname", host), row("port", String(port)), row("read_only", server.readOnly)];
    if (sql.startsWith("SHOW STATUS")) return [];
    if (!server.row) throw Object.assign(new Error("no such table"), { sqlState: "42S02" });
    return [server.row];
  }

  /** On a connection to the server that is used. */
  query(servers) {
    const at = servers.used;
    return async (sql) => {
      const server = this.servers[at.host];
      if (server.isDead) throw Object.assign(new Error("gone"), { fatal: true });
      return this.answer({ ...at, server }, sql);
    };
  }
}

async function begun(world, clock = new Clock()) {
  const moves = [];
  const moved = ({ name }) => moves.push(name);
  const servers = new Servers({ list: [one, two], connect: (server) => world.connect(server), moved, clock, log: silent });
  await servers.first();
  return { servers, moves, clock };
}

test("a list of servers is read in its order, and what is none is named", () => {
  assert.deepEqual(parse("db1, db2:3307,[::1]:3308"), [one, two, { host: "::1", port: 3308 }]);
  assert.match(parse("db1,,db2").message, /"" is no database server/);
  assert.match(parse("db1,db1:3306").message, /named twice/);
  assert.match(parse("mysql://db1/kuma").message, /no database server/);
});

test("the server that takes writes is used, and the next one once it is a replica no more", async () => {
  const world = new World();
  const { servers, moves } = await begun(world);
  assert.deepEqual(moves, ["db1:3306"]);
  await servers.watch(world.query(servers));
  world.servers.db1.readOnly = "ON";
  await servers.watch(world.query(servers));
  assert.deepEqual(moves, ["db1:3306"], "there is no other one yet");
  world.servers.db2.readOnly = "OFF";
  await servers.watch(world.query(servers));
  assert.deepEqual(moves, ["db1:3306", "db2:3307"]);
  assert.equal(servers.isUsed(two) && !servers.isUsed(one), true);
  assert.equal(world.open, 0, "none of its connections is left");
});

test("a server that is gone is left, and draws nobody when it is back", async () => {
  const world = new World();
  const { servers, moves } = await begun(world);
  world.servers.db1.isDead = true;
  Object.assign(world.servers.db2, { readOnly: "OFF", row: { epoch: 2, renewals: 8, server: "db2:3307" } });
  await servers.watch(world.query(servers));
  world.servers.db1.isDead = false;
  await servers.watch(world.query(servers));
  assert.deepEqual(moves, ["db1:3306", "db2:3307"]);
  // Nor a process that starts now, although the old one takes writes.
  assert.deepEqual((await begun(world)).moves, ["db2:3307"]);
});

test("it goes where the leader is", async () => {
  const world = new World();
  world.servers.db2.readOnly = "OFF";
  world.servers.db1.row = world.servers.db2.row = { epoch: 1, renewals: 7, server: null };
  const { servers, moves, clock } = await begun(world);
  world.servers.db2.row = { epoch: 2, renewals: 8, server: "db2:3307" };
  world.servers.db1.row = { epoch: 1, renewals: 7, server: "db2:3307" };
  await servers.watch(world.query(servers));
  assert.deepEqual(moves, ["db1:3306"], "it has just looked");
  await clock.pass(5_000);
  await servers.watch(world.query(servers));
  assert.deepEqual(moves, ["db1:3306", "db2:3307"]);
});

test("a server that stands still is waited for no longer than a second", async () => {
  const world = new World();
  world.servers.db1.isFrozen = true;
  world.servers.db2.readOnly = "OFF";
  const began = Date.now();
  assert.deepEqual((await begun(world)).moves, ["db2:3307"]);
  assert.ok(Date.now() - began < 2_000);
});

test("of a Galera cluster it is the leader's, else the first", () => {
  const all = (leaders) => ["g1", "g2"].map((name, at) => ({ at, name, cluster: "c", epoch: 1, renewals: 6 + at, leaders }));
  assert.equal(choose(all("g2")).name, "g2");
  assert.equal(choose(all(null)).name, "g1");
  assert.equal(choose([]), null);
});

test("tables that are not there yet move nobody", async () => {
  const world = new World();
  world.servers.db1.row = world.servers.db2.row = null;
  const { servers, moves } = await begun(world);
  await servers.watch(world.query(servers));
  assert.deepEqual(moves, ["db1:3306"]);
  world.servers.db1.readOnly = "ON";
  world.servers.db2.readOnly = "OFF";
  await servers.watch(world.query(servers));
  assert.deepEqual(moves, ["db1:3306", "db2:3307"]);
});
