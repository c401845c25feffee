"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { Window } = require("../lib/window");
const { Clock } = require("./standin");

const USER = 1;

function shown({ beats = [], sums = [] } = {}) {
  const clock = new Clock();
  const emitted = [];
  const stats = [];
  const own = new Set();
  const io = {
    engine: { clientsCount: 1 },
    sockets: { adapter: { rooms: new Map([[USER, new Set(["socket"])]]) } },
    to: (user) => ({ emit: (...event) => emitted.push([user, ...event]) }),
  };
  const places = [];
  const queries = [];
  const wire = {
    async query(sql, values) {
      queries.push(sql);
      if (wire.fails) throw new Error("away");
      if (sql.includes("MAX(id)")) return [{ last: 100 }];
      if (sql.includes("SUM(up)")) return sums;
      return beats.filter(({ id }) => id > values[0]);
    },
  };
  const tenure = { owns: (id) => own.has(id), foreignBeats: 0 };
  const runs = { ownBeats: new Set(), made: ({ id }) => runs.ownBeats.has(id), heldFor: () => 120_000 };
  const list = (ids) => Object.fromEntries(ids.map((id) => [id, { id, tags: [] }]));
  const server = { io, getMonitorJSONList: async (user, id) => window.tagged(list(id ? [id] : places.map((row) => row.id))) };
  const kuma = { server, sendStats: async (_, id) => stats.push(id) };
  const renewed = [];
  const statistics = { renew: (id) => renewed.push(id) };
  const rows = { readPlaces: async () => places.map((row) => ({ ...row })) };
  const window = new Window({ kuma, wire, rows, runs, tenure, statistics, clock });
  return { renewed, window, clock, emitted, stats, own, places, runs, tenure, io, queries, wire };
}

const beat = (id, monitor, more) => ({ id, monitor_id: monitor, user_id: USER, status: 1, msg: "", ping: 3, important: 0, ...more });

test("beats of other nodes' monitors reach this node's browsers once, as if made here", async () => {
  const beats = [beat(90, 5)];
  const { window, emitted, stats } = shown({ beats });
  await window.lookAtBeats();
  beats.push(beat(101, 5, { important: 1 }), beat(102, 6));
  await window.lookAtBeats();
  await window.lookAtBeats();
  assert.deepStrictEqual(emitted.map(([user, event, { monitorID, important }]) => [user, event, monitorID, important]), [
    [USER, "heartbeat", 5, true],
    [USER, "heartbeat", 6, false],
  ]);
  assert.deepStrictEqual(stats, [5, 6]);
});

test("a beat whose id commits late, below ids that were seen, is shown too", async () => {
  const beats = [];
  const { window, emitted } = shown({ beats });
  await window.lookAtBeats();
  beats.push(beat(103, 5));
  await window.lookAtBeats();
  beats.unshift(beat(101, 6));
  await window.lookAtBeats();
  assert.deepStrictEqual(emitted.map(([, , { monitorID }]) => monitorID), [5, 6]);
});

test("one's own beats were shown by Kuma itself", async () => {
  const beats = [];
  const { window, emitted, own, runs, clock } = shown({ beats });
  await window.lookAtBeats();
  own.add(5);
  beats.push(beat(101, 5));
  await window.lookAtBeats(); // read before Kuma heard that it is stored
  runs.ownBeats.add(101);
  await clock.pass(4_000, 4_000);
  await window.lookAtBeats();
  assert.deepStrictEqual(emitted, []);
});

test("a beat of one's own monitor that somebody else made is counted as foreign", async () => {
  const beats = [];
  const { window, own, tenure, clock } = shown({ beats });
  await window.lookAtBeats();
  own.add(5);
  beats.push(beat(101, 5));
  await window.lookAtBeats();
  assert.strictEqual(tenure.foreignBeats, 0);
  await clock.pass(4_000, 4_000);
  await window.lookAtBeats();
  await window.lookAtBeats();
  assert.strictEqual(tenure.foreignBeats, 1);
});

test("each monitor's tag says which node runs it, and a move shows at once", async () => {
  const { window, places, emitted, clock } = shown();
  places.push({ id: 5, user_id: USER, node: "kuma1" }, { id: 6, user_id: USER, node: "" });
  await window.lookAtPlaces();
  const list = await window.tagged({ 5: { id: 5, tags: [{ id: 3, name: "web" }] }, 6: { id: 6 } });
  assert.deepStrictEqual(list[5].tags.map(({ name, value }) => [name, value]), [["web", undefined], ["node", "kuma1"]]);
  assert.strictEqual(list[6].tags[0].value, "nobody");
  places[0].node = "kuma2";
  await clock.pass(4_000, 4_000);
  await window.keepPlaces();
  assert.strictEqual(emitted.length, 1);
  const [user, event, changed] = emitted[0];
  assert.deepStrictEqual([user, event, changed[5].tags[0].value], [USER, "updateMonitorIntoList", "kuma2"]);
});

test("monitors that were added, renamed or deleted on another node come, change and go in the list", async () => {
  const { window, places, emitted } = shown();
  places.push({ id: 5, user_id: USER, node: "kuma1", name: "old" });
  await window.lookAtPlaces();
  places[0].name = "new";
  places.push({ id: 6, user_id: USER, node: "", name: "added" });
  await window.lookAtPlaces();
  assert.deepStrictEqual(emitted.map(([, event, data]) => [event, ...Object.keys(data)]), [
    ["updateMonitorIntoList", "5"],
    ["updateMonitorIntoList", "6"],
  ]);
  places.shift();
  await window.lookAtPlaces();
  assert.deepStrictEqual(emitted.at(-1), [USER, "deleteMonitorFromList", 5]);
});

test("many moves at once are told as one list", async () => {
  const { window, places, emitted } = shown();
  for (let id = 1; id <= 60; id += 1) places.push({ id, user_id: USER, node: "kuma1" });
  await window.lookAtPlaces();
  places.forEach((row) => (row.node = "kuma2"));
  await window.lookAtPlaces();
  assert.deepStrictEqual(emitted.map(([, event]) => event), ["monitorList"]);
});

test("a login after a failover waits for its own list only, and browsers that were there hear of the moves all the same", async () => {
  const { window, places, emitted, clock } = shown();
  for (let id = 1; id <= 60; id += 1) places.push({ id, user_id: USER, node: "kuma1" });
  await window.lookAtPlaces();
  places.forEach((row) => (row.node = "kuma2"));
  await clock.pass(4_000, 4_000);
  const list = await window.tagged({ 5: { id: 5 } });
  assert.deepStrictEqual([list[5].tags[0].value, emitted.length], ["kuma2", 0]);
  await window.lookAtPlaces();
  assert.deepStrictEqual(emitted.map(([, event]) => event), ["monitorList"]);
});

test("figures of others' monitors are told as Kuma tells its own, and anew with every beat", async () => {
  const beats = [];
  const { window, emitted, io, queries, renewed } = shown({ beats, sums: [{ id: 5, up: "9", down: "1", ping: "45" }] });
  await Promise.all([window.sendFigures(io, 5, USER), window.sendFigures(io, 6, USER), window.sendFigures(io, 7, 99)]);
  const of = (id) => emitted.filter(([, , monitor]) => monitor === id).map(([, event, , ...rest]) => [event, ...rest]);
  assert.deepStrictEqual(of(5), [["avgPing", 5], ["uptime", 24, 0.9], ["uptime", 720, 0.9], ["uptime", "1y", 0.9]]);
  assert.deepStrictEqual(of(6)[0], ["avgPing", null]);
  assert.deepStrictEqual(of(7), []);
  const asked = queries.length;
  await window.sendFigures(io, 5, USER);
  assert.strictEqual(queries.length, asked);
  await window.lookAtBeats();
  beats.push(beat(101, 5));
  await window.lookAtBeats();
  await window.sendFigures(io, 5, USER);
  assert.ok(queries.length > asked + 2);
  assert.deepStrictEqual(renewed, [5]);
});

test("figures that cannot be read fail nobody's login, and are asked for again", async () => {
  const { window, emitted, io, wire } = shown({ sums: [{ id: 5, up: "9", down: "1", ping: "45" }] });
  wire.fails = true;
  await window.sendFigures(io, 5, USER);
  assert.deepStrictEqual(emitted, []);
  wire.fails = false;
  await window.sendFigures(io, 5, USER);
  assert.strictEqual(emitted.length, 4);
});
