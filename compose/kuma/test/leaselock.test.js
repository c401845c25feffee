"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { LeaseLock } = require("../lib/leaselock");
const { Rows } = require("../lib/rows");
const { Wire } = require("../lib/wire");
const { node, settle } = require("./standin");

const ME = "aaaaaaaaaaaaaaaa";
const HERE = { hostname: "host1", address: "http://kuma1:3001" };
const refused = (text) => Object.assign(new Error(text), { sqlState: "42000" });

/** A server that knows one lock, and the row as renewals leave it. */
function server({ wsrep = "OFF" } = {}) {
  const state = { holder: null, hadLock: null, made: [], isSilent: false, refusesLocks: false, lost: 0 };
  const answers = (connection, sql, values) => {
    if (/wsrep_on/.test(sql)) {
      const said = { wsrep_on: wsrep, wsrep_node_name: "g1", hostname: "db1", port: "3306" };
      return Object.entries(said).map(([Variable_name, Value]) => ({ Variable_name, Value }));
    }
    if (/GET_LOCK/.test(sql)) {
      if (state.refusesLocks) throw refused("GET_LOCK is not allowed here");
      state.holder ??= connection;
      return [{ locked: state.holder === connection ? 1 : 0 }];
    }
    if (/IS_FREE_LOCK/.test(sql)) return [{ is_free: state.holder === null ? 1 : 0 }];
    if (/^UPDATE node/.test(sql)) {
      [state.hadLock, state.server] = values.slice(2);
      return { affectedRows: 1 };
    }
    if (/FROM node WHERE node_id/.test(sql)) return [{ ...state.row }];
    return [];
  };
  const connect = async () => {
    const listeners = {};
    const connection = {
      isOpen: true,
      connection: { on: (event, act) => (listeners[event] = act) },
      query: async (sql, values) => (state.isSilent ? new Promise(() => {}) : [answers(connection, sql, values)]),
      destroy: () => {
        connection.isOpen = false;
        if (state.holder === connection) state.holder = null;
      },
      /** Somebody ends it. */
      end: () => {
        connection.destroy();
        listeners.error(new Error("PROTOCOL_CONNECTION_LOST"));
      },
    };
    state.made.push(connection);
    return connection;
  };
  const wire = new Wire(connect);
  const lock = new LeaseLock({ wire, incarnation: ME, lost: () => (state.lost += 1) });
  const rows = new Rows({ identity: { id: "kuma1", incarnation: ME, ...HERE }, lease: wire, lock });
  /** The pause before another connection is over. */
  state.rest = () => (wire.failedAt = -Infinity);
  return { state, wire, rows };
}

test("a renewal says that its connection holds the lock of this process", async () => {
  const { state, rows } = server();
  await rows.renew(null, 0);
  assert.strictEqual(state.hadLock, 1);
  assert.strictEqual(state.holder, state.made[0]);
});

test("a renewal enters the server that it was written to, by the server's own name", async () => {
  for (const [wsrep, name] of [["OFF", "db1:3306"], ["ON", "g1:3306"]]) {
    const { state, rows } = server({ wsrep });
    await rows.renew(null, 0);
    assert.strictEqual(state.server, name);
  }
});

test("there is no lock on Galera, nor where the server refuses it, and the lease is renewed all the same", async () => {
  const galera = server({ wsrep: "ON" });
  assert.strictEqual(await galera.rows.renew(null, 0), true);
  assert.strictEqual(galera.state.hadLock, 0);
  const refusing = server();
  refusing.state.refusesLocks = true;
  assert.strictEqual(await refusing.rows.renew(null, 0), true);
  assert.strictEqual(await refusing.rows.renew(null, 0), true);
  assert.strictEqual(refusing.state.hadLock, 0);
  assert.strictEqual(refusing.state.lost, 0);
});

test("a row is abandoned where its holder listened here and its lock is free, on the server where it took it", async () => {
  const had = { incarnation: "bbbbbbbbbbbbbbbb", had_lock: 1, server: "db1:3306", lease_seq: 5, is_released: 0, ...HERE };
  const { state, rows } = server();
  const isAbandoned = async (row) => {
    state.row = { ...had, ...row };
    return (await rows.readRow()).is_abandoned;
  };
  assert.strictEqual(await isAbandoned({}), true);
  state.holder = "somebody";
  assert.strictEqual(await isAbandoned({}), false);
  state.holder = null;
  const elsewhere = [{ hostname: "host2" }, { address: "http://kuma1:3002" }, { server: "db2:3306" }, { server: null }];
  for (const row of [...elsewhere, { had_lock: 0 }, { incarnation: null }]) assert.strictEqual(await isAbandoned(row), false);
});

test("a connection that somebody ended is told at once, and the next one has the lock again", async () => {
  const { state, rows } = server();
  await rows.renew(null, 0);
  state.made[0].end();
  assert.strictEqual(state.lost, 1);
  state.rest();
  await rows.renew(null, 0);
  assert.strictEqual(state.hadLock, 1);
  assert.strictEqual(state.holder, state.made[1]);
});

test("a connection that gives no answer is kept until a renewal has said that this process has no lock", async () => {
  const { state, wire, rows } = server();
  await rows.renew(null, 0);
  state.isSilent = true;
  await assert.rejects(wire.query("SELECT 1", [], 20), /no answer within 20 ms/);
  await settle();
  assert.deepStrictEqual([state.made[0].isOpen, state.lost], [true, 0]);
  state.isSilent = false;
  state.rest();
  await rows.renew(null, 0);
  await settle();
  assert.deepStrictEqual([state.hadLock, state.made[0].isOpen, state.lost], [0, false, 0]);
  await rows.renew(null, 0);
  assert.strictEqual(state.hadLock, 1);
});

test("a connection that is kept and ended by somebody is told, too", async () => {
  const { state, wire, rows } = server();
  await rows.renew(null, 0);
  state.isSilent = true;
  await assert.rejects(wire.query("SELECT 1", [], 20), /no answer within 20 ms/);
  state.made[0].end();
  assert.strictEqual(state.lost, 1);
});

test("who lost the lock runs nothing before a renewal that was sent after it, and sends it at once", async () => {
  const n = node();
  n.rows.add(7);
  await n.live();
  assert.strictEqual(n.tenure.refusal(7), null);
  const renewals = () => n.rows.calls.filter((call) => call.startsWith("renew")).length;
  const before = renewals();
  n.tenure.loseLock();
  assert.match(n.tenure.refusal(7), /lease is too old/);
  await n.tenure.noteRenewal(n.clock.now(), true);
  assert.match(n.tenure.refusal(7), /lease is too old/, "it was sent before");
  await n.clock.pass(1);
  assert.ok(renewals() > before, "it does not wait for the next second");
  await n.clock.pass(1_000);
  assert.strictEqual(n.tenure.refusal(7), null);
});
