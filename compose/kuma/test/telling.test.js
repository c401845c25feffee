"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { MARK, Telling } = require("../lib/telling");
const { settle, silent } = require("./standin");

const DOWN = { status: 0, important: true, msg: "timeout" };
const OPS = { name: "ops", type: "webhook" };

/** Two nodes on one table of notes; `important` is the last change that was stored. */
function cluster() {
  const notes = new Map();
  const state = { important: 40, fails: false };
  const wire = {
    query: async (sql, values) => {
      if (state.fails) throw new Error("away");
      if (sql.startsWith("SELECT DISTINCT")) {
        const isOpen = (id) => [...notes].some(([name, note]) => name.startsWith(`${id} `) && note.status === 0 && note.since === state.important);
        return values[0].filter(isOpen).map((id) => ({ id }));
      }
      if (sql.startsWith("SELECT")) {
        const note = notes.get(`${values[1]} ${values[2]}`);
        return [{ since: String(state.important), told_since: note?.since ?? null, status: note?.status ?? null, is_done: note?.is_done ?? null }];
      }
      if (sql.startsWith("INSERT")) {
        const [monitor, channel, since, status] = values;
        notes.set(`${monitor} ${channel}`, { since, status, is_done: 0 });
      } else {
        const note = notes.get(`${values[0]} ${values[1]}`);
        if (note?.since === values[2] && note.status === values[3]) note.is_done = 1;
      }
      return { affectedRows: 1 };
    },
  };
  const heard = [];
  const node = (act = async () => {}) => {
    const runs = { current: () => ({ run: runs.run }), beforeTelling: (send) => send(), run: { id: 7 } };
    const telling = new Telling({ kuma: {}, runs, wire, log: silent });
    const tell = (config, beat) => {
      const args = [config, `[site] ${beat.msg}`, {}, beat];
      return telling.tell(async () => (heard.push(args[1], args[3].msg), act()), args);
    };
    return { runs, tell, telling };
  };
  return { heard, node, state, notes };
}

test("what was handed over is not told again by the next owner, what may have been is marked, everything else is told", async () => {
  const { heard, node, state } = cluster();
  await node().tell(OPS, DOWN);
  // It dies while the second is under way, and before the beat is stored.
  node(() => new Promise(() => {})).tell({ name: "slow", type: "webhook" }, DOWN);
  await settle();
  heard.splice(0);
  const next = node();
  await next.tell(OPS, DOWN);
  assert.deepStrictEqual(heard, []);
  await next.tell({ name: "slow", type: "webhook" }, DOWN);
  assert.deepStrictEqual(heard.splice(0), [`[site] timeout ${MARK}`, `timeout ${MARK}`]);
  await next.tell({ name: "new", type: "webhook" }, DOWN);
  assert.deepStrictEqual(heard.splice(0), ["[site] timeout", "timeout"]);
  // Stored: the next change is another one.
  state.important = 41;
  await next.tell(OPS, { status: 1, important: true, msg: "200 - OK" });
  state.important = 42;
  await next.tell(OPS, DOWN);
  assert.deepStrictEqual(heard, ["[site] 200 - OK", "200 - OK", "[site] timeout", "timeout"]);
});

test("the other change is told, although none was stored between", async () => {
  const { heard, node } = cluster();
  await node().tell(OPS, DOWN);
  await node().tell(OPS, { status: 1, important: true, msg: "200 - OK" });
  assert.strictEqual(heard.length, 4);
});

test("who was told DOWN by a node that was lost before it stored that hears UP from the owner that finds it up", async () => {
  const { heard, node, notes } = cluster();
  await node().tell(OPS, DOWN);
  heard.splice(0);
  for (const [status, isToldDown, told, later] of [[0, true, 0, 1], [2, true, 0, 1], [1, false, 0, 0], [1, true, 1, 1]]) {
    const { telling, runs } = node();
    const sent = [];
    telling.kuma = { sendNotification: async (...said) => sent.push(said) };
    runs.run = { id: 7, isToldDown, bean: { id: 7 } };
    const beat = { status, important: false };
    // What is stored as a change ends it, as `runs.beforeBeat` does.
    const store = async (one) => {
      await telling.endOpen(one);
      if (one.important) runs.run.isToldDown = false;
    };
    await store(beat);
    assert.deepStrictEqual([sent.length, beat.important], [told, told === 1], `${status} ${isToldDown}`);
    // Once: what comes after is a beat like any other.
    for (let i = 0; i < 2; i += 1) await store({ status: 1, important: false });
    assert.strictEqual(sent.length, later, `${status} ${isToldDown}`);
  }
  const { telling } = node();
  assert.deepStrictEqual([...(await telling.toldDown([7, 8]))], [7]);
  notes.clear();
  assert.deepStrictEqual([...(await telling.toldDown([7, 8]))], []);
});

test("who was told DOWN by a node that could not store it hears UP from that node, and DOWN the next time", async () => {
  const { heard, node } = cluster();
  const { runs, tell, telling } = node();
  await tell(OPS, DOWN);
  assert.strictEqual(runs.run.isToldDown, true);
  // Storing it failed, and an interval later it is up, which for Kuma is no change.
  const up = { status: 1, important: false, msg: "200 - OK" };
  telling.kuma = { sendNotification: (isFirst, bean, beat) => tell(OPS, beat) };
  await telling.endOpen(up);
  assert.deepStrictEqual([up.important, runs.run.isToldDown], [true, false]);
  await tell(OPS, DOWN);
  assert.deepStrictEqual(heard.filter((_, i) => i % 2 === 0), ["[site] timeout", "[site] 200 - OK", "[site] timeout"]);
});

test("what people were told is asked for again where it could not be read as a monitor was taken over", async () => {
  const { node, state } = cluster();
  await node().tell(OPS, DOWN);
  const { runs, telling } = node();
  const sent = [];
  telling.kuma = { sendNotification: async (...said) => sent.push(said) };
  state.fails = true;
  assert.strictEqual(await telling.toldDown([7]), undefined);
  const up = () => ({ status: 1, important: false, msg: "200 - OK" });
  await telling.endOpen(up());
  state.fails = false;
  await telling.endOpen(up());
  assert.deepStrictEqual([sent.length, runs.run.isToldDown], [1, true]);
});

test("what Kuma says again and again, tests, and what cannot be noted are told as they are", async () => {
  const { heard, node, state, notes } = cluster();
  const one = node();
  for (let i = 0; i < 2; i += 1) await one.tell(OPS, { ...DOWN, important: false });
  one.runs.run = null;
  await one.tell(OPS, DOWN);
  assert.deepStrictEqual([heard.length, notes.size], [6, 0]);
  one.runs.run = { id: 7 };
  state.fails = true;
  await one.tell(OPS, DOWN);
  await one.tell(OPS, DOWN);
  assert.deepStrictEqual(heard.slice(6), ["[site] timeout", "timeout", "[site] timeout", "timeout"]);
});
