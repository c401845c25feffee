"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { MARK, Telling } = require("../lib/telling");
const { gate, settle, silent } = require("./standin");

const DOWN = { status: 0, important: true, msg: "timeout" };
const OPS = { name: "ops", type: "webhook" };

/** Two nodes on one table of notes; `important` is the last change that was stored. */
function cluster() {
  const notes = new Map();
  const state = { important: 40, fails: false };
  const wire = {
    query: async (sql, values) => {
      if (state.fails) throw Object.assign(new Error("away"), { errno: state.fails });
      if (sql.startsWith("SELECT DISTINCT")) {
        const isOpen = (id) => [...notes].some(([name, note]) => name.startsWith(`${id} `) && note.status === 0 && note.since === state.important);
        return values[0].filter(isOpen).map((id) => ({ id }));
      }
      if (sql.startsWith("SELECT EXISTS")) return [{ is_noted: 0, is_told: 0 }];
      if (sql.startsWith("SELECT")) {
        const note = notes.get(`${values[1]} ${values[2]}`);
        return [{ since: String(state.important), told_since: note?.since ?? null, status: note?.status ?? null, is_done: note?.is_done ?? null }];
      }
      if (sql.startsWith("INSERT")) {
        const [monitor, channel, since, status] = values;
        notes.set(`${monitor} ${channel}`, { since, status, is_done: 0 });
      } else {
        const [outcome, monitor, channel, since, status] = values;
        const note = notes.get(`${monitor} ${channel}`);
        if (note?.since === since && note.status === status) note.is_done = outcome;
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

test("while the database does not answer nothing is told, and then once; of what was told it is noted as soon as it answers", async () => {
  const { heard, node, state, notes } = cluster();
  const { runs, tell } = node();
  const stands = { isRefused: false };
  runs.beforeTelling = (act) => (stands.isRefused ? new Promise(() => {}) : act());
  state.fails = true;
  const telling = tell(OPS, DOWN);
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.deepStrictEqual(heard, []);
  state.fails = false;
  await telling;
  assert.deepStrictEqual([heard.length, [...notes.values()]], [2, [{ since: 40, status: 0, is_done: 1 }]]);
  // It fails as the message is handed over.
  state.important = 41;
  const up = node(async () => (state.fails = true)).tell(OPS, { status: 1, important: true, msg: "200 - OK" });
  await settle();
  assert.deepStrictEqual([...notes.values()].map((note) => note.is_done), [0]);
  state.fails = false;
  await up;
  assert.deepStrictEqual([...notes.values()], [{ since: 41, status: 1, is_done: 1 }]);
  // It is still away as the lease ends: whoever stores the change tells it.
  [state.fails, stands.isRefused, state.important] = [true, true, 42];
  heard.splice(0);
  tell(OPS, DOWN);
  await new Promise((resolve) => setTimeout(resolve, 700));
  state.fails = false;
  await settle();
  assert.deepStrictEqual(heard, []);
});

test("what this process itself is still telling, for a run that was ended, its next run waits for, and does not tell again", async () => {
  const { heard, node } = cluster();
  const { promise, open } = gate();
  const { runs, tell, telling } = node(() => promise);
  telling.clock = { ...telling.clock, sleep: () => new Promise(() => {}) };
  const first = tell(OPS, DOWN);
  await settle();
  runs.run = { id: 7 };
  const second = tell(OPS, DOWN);
  await settle();
  assert.strictEqual(heard.length, 2, "it waits");
  open();
  await Promise.all([first, second]);
  assert.strictEqual(heard.length, 2, "it was told");
  // A vendor that never answers is not waited for for ever.
  const hanging = node(() => new Promise(() => {}));
  hanging.telling.clock = { ...telling.clock, sleep: async () => {} };
  const slow = { name: "slow", type: "webhook" };
  hanging.tell(slow, DOWN);
  await settle();
  hanging.tell(slow, DOWN);
  await settle();
  assert.deepStrictEqual(heard.splice(0).slice(2), ["[site] timeout", "timeout", `[site] timeout ${MARK}`, `timeout ${MARK}`]);
});

test("of a message that the vendor refused, as of any that Kuma gave up, it is noted that nobody is telling it any more", async () => {
  const { node, notes } = cluster();
  await assert.rejects(node(() => Promise.reject(new Error("410"))).tell(OPS, DOWN), /410/);
  assert.deepStrictEqual([...notes.values()], [{ since: 40, status: 0, is_done: 2 }]);
});

test("what Kuma says again and again, tests, and what cannot be noted are told as they are", async () => {
  const { heard, node, state, notes } = cluster();
  const one = node();
  for (let i = 0; i < 2; i += 1) await one.tell(OPS, { ...DOWN, important: false });
  one.runs.run = null;
  await one.tell(OPS, DOWN);
  assert.deepStrictEqual([heard.length, notes.size], [6, 0]);
  one.runs.run = { id: 7 };
  // There is no such table.
  state.fails = 1146;
  await one.tell(OPS, DOWN);
  await one.tell(OPS, DOWN);
  assert.deepStrictEqual(heard.slice(6), ["[site] timeout", "timeout", "[site] timeout", "timeout"]);
});

/** Numbers from 0 to 1, the same in every run of the tests. */
function chance(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

test("of a hundred targets that change while their node dies each is told once, and twice only what was under way, marked", async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = chance(seed);
    const pause = async () => {
      for (let steps = Math.floor(random() * 4); steps > 0; steps -= 1) await new Promise((resolve) => setImmediate(resolve));
    };
    const [notes, stored, heard] = [new Map(), new Map(), new Map()];
    /** One node: from its death on nothing of it happens any more. */
    const node = () => {
      const life = { isDead: false, underWay: new Set() };
      const alive = () => (life.isDead ? new Promise(() => {}) : undefined);
      const query = async (sql, values) => {
        await pause();
        await alive();
        if (sql.startsWith("SELECT EXISTS")) return [{ is_noted: 0, is_told: 0 }];
        const [a, b, c, d, e] = values;
        if (sql.startsWith("SELECT")) {
          const note = notes.get(b);
          return [{ since: stored.get(b) ?? 0, told_since: note?.since ?? null, status: note?.status ?? null, is_done: note?.is_done ?? null }];
        }
        if (sql.startsWith("INSERT")) notes.set(a, { since: c, status: d, is_done: 0 });
        else if (notes.get(b)?.since === d && notes.get(b).status === e) notes.get(b).is_done = a;
        await pause();
        await alive();
        return { affectedRows: 1 };
      };
      const run = async (id) => {
        const runs = { current: () => ({ run: { id } }), beforeTelling: async (act) => (await alive(), act()) };
        const telling = new Telling({ kuma: {}, runs, wire: { query }, log: silent });
        const args = [OPS, "[site] timeout", {}, { ...DOWN }];
        const send = async () => {
          await alive();
          life.underWay.add(id);
          heard.set(id, [...(heard.get(id) ?? []), args[1]]);
          await pause();
          await alive();
        };
        await telling.tell(send, args);
        life.underWay.delete(id);
        await pause();
        await alive();
        stored.set(id, id);
      };
      return { life, run };
    };
    const ids = Array.from({ length: 100 }, (_, i) => i + 1);
    const first = node();
    for (const id of ids) {
      first.run(id);
      await pause();
      if (id === 20 + Math.floor(random() * 60)) break;
    }
    first.life.isDead = true;
    const second = node();
    await Promise.all(ids.filter((id) => !stored.has(id)).map((id) => second.run(id)));
    for (const id of ids) {
      const told = heard.get(id) ?? [];
      const isOnce = told.length === 1;
      const isMarked = told.length === 2 && first.life.underWay.has(id) && told[1].endsWith(MARK);
      assert.ok(isOnce || isMarked, `seed ${seed}, monitor ${id}: ${JSON.stringify(told)}`);
    }
  }
});
