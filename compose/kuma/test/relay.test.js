"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { AsyncLocalStorage } = require("node:async_hooks");
const { Relay } = require("../lib/relay");
const { MARK, Telling } = require("../lib/telling");
const { gate, settle, silent } = require("./standin");

const OPS = { name: "ops", type: "webhook" };
const MAIL = { name: "mail", type: "smtp" };

/** Stock nodes on one database: who holds what, what was told, and what is owed to people. */
function cluster() {
  const state = { owed: [], claims: new Map(), told: new Map(), isNoted: false, now: 0 };
  const query = async (sql, values = []) => {
    if (sql.startsWith("SELECT o.id")) return sql.includes("started_after") ? [] : state.owed.map((one) => ({ ...one }));
    if (sql.startsWith("INSERT IGNORE")) {
      const [id, beat, holder] = values;
      if (state.claims.has(id)) return { affectedRows: 0 };
      state.claims.set(id, { beat, holder, at: state.now, isDone: false });
      return { affectedRows: 1 };
    }
    if (sql.startsWith("UPDATE komainu_relay SET beat")) {
      const [beat, holder, id] = values;
      const claim = state.claims.get(id);
      const isFree = claim.isDone ? claim.beat < beat : claim.at < state.now - 30_000;
      if (isFree) state.claims.set(id, { beat, holder, at: state.now, isDone: false });
      return { affectedRows: Number(isFree) };
    }
    if (sql.startsWith("UPDATE komainu_relay")) {
      const [id, holder, beat] = values;
      const claim = state.claims.get(id);
      const isMine = claim?.holder === holder && claim.beat === beat && !claim.isDone;
      if (isMine) Object.assign(claim, sql.includes("is_done = 1 ") ? { isDone: true } : { at: state.now });
      return { affectedRows: Number(isMine) };
    }
    if (sql.startsWith("SELECT EXISTS")) return [{ is_noted: Number(state.isNoted), is_told: Number([...state.told.values()].some((t) => t.status === 0)) }];
    if (sql.startsWith("SELECT")) {
      const note = state.told.get(`${values[1]} ${values[2]}`);
      return [{ since: 70, told_since: note?.since ?? null, status: note?.status ?? null, is_done: note?.is_done ?? null }];
    }
    if (sql.startsWith("INSERT")) state.told.set(`${values[0]} ${values[1]}`, { since: values[2], status: values[3], is_done: 0 });
    else if (sql.includes("is_done = ?")) Object.assign(state.told.get(`${values[1]} ${values[2]}`), { is_done: values[0] });
    else for (const note of state.told.values()) note.status = 1;
    return { affectedRows: 1 };
  };
  const heard = [];
  const node = (incarnation, { send = async () => {} } = {}) => {
    const context = new AsyncLocalStorage();
    const runs = { context, current: () => context.getStore() ?? { run: null }, beforeTelling: (act) => act() };
    const tenure = { phase: "holding", leaseLeft: () => 5_000 };
    const wire = { query };
    const kuma = { R: { findOne: async (type, _, [id]) => ({ id, status: state.owed[0]?.status, msg: "msg" }) } };
    const telling = new Telling({ kuma, runs, wire, log: silent });
    kuma.sendNotification = async (isFirst, monitor, beat) => {
      for (const config of [OPS, MAIL]) {
        const args = [config, `[${monitor.id}] ${beat.status}`, {}, beat];
        const sent = async () => {
          heard.push(`${config.name} ${args[1]}`);
          return send(config);
        };
        await telling.tell(sent, args).catch(() => {});
      }
    };
    return { relay: new Relay({ kuma, identity: { incarnation }, wire, runs, tenure, telling, log: silent }), tenure, telling, context };
  };
  return { state, heard, node };
}

test("what a native node found is told once, by one of the stock nodes, through all of a monitor's notifications", async () => {
  const { state, heard, node } = cluster();
  state.owed = [{ id: 7, beat: 90, status: 0, since: 70 }];
  const [one, other] = [node("a"), node("b")];
  await Promise.all([one.relay.look(), other.relay.look()]);
  assert.deepStrictEqual(heard.sort(), ["mail [7] 0", "ops [7] 0"]);
  await other.relay.look();
  assert.strictEqual(heard.length, 2, "it is done");
  assert.deepStrictEqual([...state.told.values()], [{ since: 70, status: 0, is_done: 1 }, { since: 70, status: 0, is_done: 1 }]);
  state.owed = [{ id: 7, beat: 95, status: 1, since: 90 }];
  await other.relay.look();
  assert.deepStrictEqual(heard.slice(2), ["ops [7] 1", "mail [7] 1"]);
});

test("where a stock node is lost as it tells, the next one tells the rest, and marks what may have been told", async () => {
  const { state, heard, node } = cluster();
  state.owed = [{ id: 7, beat: 90, status: 0, since: 70 }];
  node("a", { send: (config) => (config === MAIL ? new Promise(() => {}) : undefined) }).relay.look();
  await settle();
  heard.splice(0);
  await node("b").relay.look();
  assert.deepStrictEqual(heard, [], "the other one may live");
  state.now += 31_000;
  await node("b").relay.look();
  assert.deepStrictEqual(heard, [`mail [7] 0 ${MARK}`]);
});

test("who was frozen, or lost its lease, tells nothing any more", async () => {
  const { state, heard, node } = cluster();
  state.owed = [{ id: 7, beat: 90, status: 0, since: 70 }];
  const frozen = gate();
  const looking = node("a", { send: () => frozen.promise }).relay.look();
  await settle();
  state.now += 31_000;
  await node("b").relay.look();
  heard.splice(0);
  frozen.open();
  await looking;
  assert.deepStrictEqual(heard, []);
  state.owed = [{ id: 8, beat: 91, status: 0, since: 0 }];
  const { relay, tenure } = node("c");
  tenure.leaseLeft = () => 0;
  await relay.look();
  assert.deepStrictEqual(heard, []);
});

test("the end of what only komainu told is komainu's: nobody hears UP who never heard DOWN", async () => {
  const { state, heard, node } = cluster();
  state.isNoted = true;
  const { telling, context } = node("a");
  const up = (run) => context.run({ run, isPush: false }, () => telling.kuma.sendNotification(false, { id: 7 }, { status: 1, important: true }));
  await up({ id: 7 });
  assert.deepStrictEqual(heard, []);
  // One of the notifications told DOWN: all hear how it ends.
  state.told.set("7 x", { since: 60, status: 0, is_done: 1 });
  await up({ id: 7 });
  assert.strictEqual(heard.length, 2);
  state.isNoted = false;
  state.told.clear();
  await up({ id: 7 });
  assert.strictEqual(heard.length, 4, "Kuma's own, from before komainu noted anything");
});
