"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { EventEmitter } = require("node:events");
const { gate, node, settle } = require("./standin");

const answerOf = () => new EventEmitter();

const RUN = ["check", "tell", "count", "store"];

async function running(...ids) {
  const n = node();
  ids.forEach((id) => n.rows.add(id));
  await n.live();
  n.journal.length = 0;
  return n;
}

test("a monitor edited on another node is restarted with its new row", async () => {
  const n = await running(7);
  Object.assign(n.rows.monitors.get(7), { url: "http://new", fingerprint: "f2" });
  await n.clock.pass(5_500);
  assert.deepStrictEqual(n.taken(7), RUN);
  assert.strictEqual(n.kuma.server.monitorList[7].url, "http://new");
});

test("who asks for all rows hears when that was: every run as edited began later, none as before goes on", async () => {
  const n = await running(7);
  const { promise, open } = gate();
  n.kuma.steps.check = () => promise;
  await n.runs.askedToStop(n.kuma.server.monitorList[7]);
  n.tenure.hint();
  await n.clock.pass(6_000);
  n.taken(7);
  const before = n.runs.held.get(7);
  n.kuma.steps.check = async () => {};
  Object.assign(n.rows.monitors.get(7), { url: "http://new", fingerprint: "f2" });
  assert.strictEqual(await n.tenure.reread(), n.clock.wall());
  assert.strictEqual(before.isAlive, false);
  await n.clock.pass(1_000);
  open();
  await settle();
  assert.deepStrictEqual(n.taken(7), RUN);
});

test("an edit that another node wrote over by a stale read is taken as the database has it", async () => {
  const n = await running(7);
  Object.assign(n.rows.monitors.get(7), { url: "http://new", fingerprint: "f2" });
  await n.clock.pass(5_500);
  Object.assign(n.rows.monitors.get(7), { url: "http://old", fingerprint: "f1" });
  await n.clock.pass(5_500);
  assert.strictEqual(n.kuma.server.monitorList[7].url, "http://old");
});

test("a monitor that was paused or deleted on another node stops, and its statistics go", async () => {
  const n = await running(7, 8);
  n.rows.monitors.get(7).active = 0;
  n.rows.monitors.delete(8);
  await n.clock.pass(6_500);
  assert.deepStrictEqual([n.taken(7), n.taken(8)], [["drop"], ["drop"]]);
  assert.deepStrictEqual(Object.keys(n.kuma.server.monitorList), []);
});

test("a monitor that was resumed on another node starts", async () => {
  const n = await running(7);
  n.rows.monitors.get(7).active = 0;
  await n.clock.pass(6_500);
  n.taken(7);
  n.rows.monitors.get(7).active = 1;
  await n.clock.pass(6_500);
  assert.deepStrictEqual(n.taken(7), ["load", ...RUN]);
});

test("statistics that were cleared on another node are not written back", async () => {
  const n = await running(7);
  await n.clock.pass(11_000);
  n.rows.monitors.get(7).has_statistics = 0;
  await n.clock.pass(5_500);
  assert.deepStrictEqual(n.taken(7), ["drop", "load", ...RUN]);
});

test("a monitor added, edited or resumed in this node's UI starts here only if this node owns it", async () => {
  const n = await running(7);
  n.rows.add(9, { isOwn: false });
  n.kuma.server.monitorList[9] = { id: 9 };
  await n.runs.askedToStart(n.kuma.server.monitorList[9]);
  assert.deepStrictEqual([n.taken(9), 9 in n.kuma.server.monitorList], [[], false]);
  // Another handler put its own there meanwhile, and looks after it.
  n.kuma.server.monitorList[9] = { id: 9, url: "of another handler" };
  await n.runs.askedToStart({ id: 9 });
  assert.ok(9 in n.kuma.server.monitorList);
  const handled = { id: 7, url: "read by the handler" };
  n.kuma.server.monitorList[7] = handled;
  const started = n.runs.askedToStart(handled);
  await n.clock.pass(1_000);
  await started;
  assert.deepStrictEqual(n.taken(7), RUN);
});

test("two UI handlers that start one monitor at once leave one run", async () => {
  const n = await running(7);
  const before = n.runs.held.get(7);
  const first = n.runs.askedToStart({ id: 7 });
  const second = n.runs.askedToStart({ id: 7 });
  await n.clock.pass(2_000);
  await Promise.all([first, second]);
  const alive = [...n.runs.held.values()].filter((run) => run.isAlive);
  assert.strictEqual(alive.length, 1);
  assert.strictEqual(n.kuma.server.monitorList[7], alive[0].bean);
  assert.deepStrictEqual([before.isAlive, before.bean.isStop], [false, true]);
});

test("a stopped bean is never started again: each start has a fresh one", async () => {
  const n = await running(7);
  const before = n.kuma.server.monitorList[7];
  await n.runs.askedToStop(before);
  assert.strictEqual(before.isStop, true);
  const started = n.runs.askedToStart(before);
  await n.clock.pass(1_000);
  await started;
  assert.notStrictEqual(n.kuma.server.monitorList[7], before);
  assert.deepStrictEqual(n.taken(7), RUN);
});

for (const [step, seen] of [["check", ["check"]], ["tell", ["check", "tell"]]]) {
  test(`a run whose monitor left during "${step}" stores nothing and tells nothing more`, async () => {
    const n = node();
    n.rows.add(7);
    const { promise, open } = gate();
    if (step === "check") n.kuma.steps.check = () => promise;
    else n.runs.beforeTelling = async (act) => (await act(), promise);
    await n.live();
    n.rows.unassign(7);
    await n.clock.pass(2_500);
    open();
    await settle();
    assert.deepStrictEqual(n.taken(7), ["load", ...seen, "drop"]);
  });
}

test("a run that the lease ended under throws its result away", async () => {
  const n = node();
  n.rows.add(7);
  const { promise, open } = gate();
  n.kuma.steps.check = () => promise;
  await n.live();
  n.rows.fails = () => true;
  await n.clock.pass(9_000);
  open();
  await settle();
  assert.deepStrictEqual(n.taken(7), ["load", "check"]);
});

test("a timer of an old run that fires after the monitor came back stores nothing: only the new run does", async () => {
  const n = node();
  n.rows.add(7);
  const { promise, open } = gate();
  n.kuma.steps.check = () => promise;
  await n.live();
  n.kuma.steps.check = async () => {};
  n.rows.unassign(7);
  await n.clock.pass(2_500);
  n.rows.assign(7);
  await n.clock.pass(2_500);
  open();
  await settle();
  assert.deepStrictEqual(n.taken(7), ["load", "check", "drop", "load", ...RUN]);
});

test("a database that fails before a run is no failure of its target", async () => {
  const n = node();
  n.rows.add(7);
  n.kuma.isUnderMaintenance = async () => {
    throw new Error("connect ECONNREFUSED");
  };
  await n.live();
  assert.deepStrictEqual(n.taken(7), ["load"]);
});

test("a push is known by its token, and counts only where its monitor runs", async () => {
  const n = node();
  n.rows.add(7, { type: "push", push_token: "secret" });
  await n.live();
  assert.strictEqual(n.runs.pushed("other"), null);
  const run = n.runs.pushed("secret");
  const res = answerOf();
  await n.runs.asPush(run, res, () => n.runs.beforeBeat(async () => n.journal.push("pushed 7"), { id: 5 }));
  res.emit("close");
  assert.ok(n.runs.made({ id: 5, monitor_id: 0, time: "" }));
  n.rows.unassign(7);
  await n.clock.pass(2_000);
  assert.strictEqual(n.runs.pushed("secret"), null);
  await assert.rejects(n.runs.asPush(run, answerOf(), () => n.runs.beforeBeat(async () => {}, {})), /the push was not stored/);
});

test("a beat is known as one's own even if the answer to its storing was lost", async () => {
  const n = await running(7);
  const run = n.runs.held.get(7);
  const lost = n.runs.asPush(run, answerOf(), () =>
    n.runs.beforeBeat(async () => {
      throw new Error("connection lost");
    }, { time: "2026-11-23 01:02:03.456" }));
  await assert.rejects(lost, /connection lost/);
  assert.ok(n.runs.made({ id: 99, monitor_id: 7, time: "2026-11-23 01:02:03" }));
  assert.ok(!n.runs.made({ id: 99, monitor_id: 7, time: "2026-11-23 01:02:04" }));
});

test("a push between the end of a run and its successor is refused for now, not for good", async () => {
  const n = node();
  n.rows.add(7, { type: "push", push_token: "secret" });
  await n.live();
  n.runs.end(n.runs.held.get(7));
  assert.strictEqual(n.runs.refusal(n.runs.pushed("secret")), "it was stopped");
  n.rows.monitors.get(7).push_token = "new";
  n.rows.monitors.get(7).fingerprint = "f2";
  await n.clock.pass(6_000);
  assert.strictEqual(n.runs.pushed("secret"), null);
  assert.strictEqual(n.runs.refusal(n.runs.pushed("new")), null);
});

test("a thousand monitors start in batches, none of them twice", async () => {
  const n = node();
  for (let id = 1; id <= 1_000; id += 1) n.rows.add(id);
  await n.live();
  await n.clock.pass(20_000);
  const checks = n.journal.filter((line) => line.startsWith("check "));
  assert.strictEqual(checks.length, 1_000);
  assert.strictEqual(new Set(checks).size, 1_000);
});

test("a push that was counted is stored although its monitor leaves meanwhile, and only then does it count as stopped", async () => {
  const n = await running(7);
  const [run, told, res] = [n.runs.held.get(7), gate(), answerOf()];
  const pushed = n.runs.asPush(run, res, async () => {
    await n.runs.beforeCounting(async () => n.journal.push("counted 7"));
    await told.promise;
    await n.runs.beforeBeat(async () => n.journal.push("stored 7"), { id: 9 });
    res.emit("close");
  });
  await settle();
  let isStopped = false;
  const stopped = n.runs.stop([7]).then(() => (isStopped = true));
  await settle();
  assert.strictEqual(isStopped, false);
  told.open();
  await Promise.all([pushed, stopped]);
  assert.deepStrictEqual(n.journal.filter((line) => / 7$/.test(line) && /counted|stored/.test(line)).slice(-2), ["counted 7", "stored 7"]);
});

test("statistics that could not be stored are read anew", async () => {
  const n = await running(7);
  const run = n.runs.held.get(7);
  await assert.rejects(n.runs.asPush(run, answerOf(), () => n.runs.beforeCounting(async () => { throw new Error("ER_DUP_ENTRY"); })), /DUP/);
  assert.ok(n.journal.includes("drop 7"));
});

test("nothing is stored outside of a run, and nothing when the lease ends between two rows", async () => {
  const n = await running(7);
  assert.throws(() => n.runs.ensureOwn(8), /another node runs it/);
  const run = n.runs.held.get(7);
  await n.runs.asPush(run, answerOf(), async () => {
    n.runs.ensureOwn(7);
    n.tenure.renewedAt = -Infinity;
    assert.throws(() => n.runs.ensureOwn(7), /lease is over/);
  });
});

test("a handler that waits for a start is let go when its monitor leaves", async () => {
  const n = await running(7);
  n.runs.isPumping = true;
  const asked = n.runs.enqueue([7], true);
  await n.runs.stop([7]);
  await asked;
});

test("one monitor that cannot be prepared keeps no other from its start", async () => {
  const n = await running(7);
  n.statistics.unreadable = 21;
  for (const id of [20, 21, 22]) n.rows.add(id);
  await n.clock.pass(4_000);
  assert.deepStrictEqual([20, 21, 22].map((id) => n.runs.held.has(id)), [true, false, true]);
});

test("where none of a batch could be prepared nothing more is asked of the database, and all are tried again soon", async () => {
  const n = await running(7);
  const said = [];
  n.runs.log = { ...n.runs.log, warn: (words) => said.push(words) };
  n.statistics.unreadable = 21;
  n.rows.add(21);
  await n.clock.pass(3_000);
  assert.ok(said.length > 0);
  assert.deepStrictEqual(said.filter((words) => !/^1 of a batch could not be started: /.test(words)), []);
  n.statistics.unreadable = null;
  await n.clock.pass(3_000);
  assert.ok(n.runs.held.has(21));
});

test("a run whose time comes when its monitor may not run here does not reach its target", async () => {
  for (const end of [
    (n) => n.tenure.mine.delete(7),
    (n) => (n.tenure.renewedAt = -Infinity),
    (n) => (n.runs.held.get(7).isAlive = false),
  ]) {
    const n = await running(7);
    const run = n.runs.held.get(7);
    end(n);
    n.runs.context.run({ run, isPush: false }, () => n.kuma.start(run.bean));
    await settle();
    assert.deepStrictEqual(n.taken(7), []);
    assert.strictEqual(run.isAlive, false);
  }
});

test("a push is heard when it was stored here; whoever pushes has an interval from where it can be taken and found", async () => {
  const n = node();
  n.rows.add(7, { type: "push", push_token: "token" });
  // Kuma looks for the first time when an interval is over.
  n.kuma.steps.check = () => new Promise(() => {});
  await n.live();
  const run = n.runs.held.get(7);
  const gainedAt = n.runs.gainedAt.get(7);
  assert.strictEqual(run.heardAt, gainedAt + 10_000);
  await n.clock.pass(15_000);
  await n.runs.enqueue([7], true);
  const again = n.runs.held.get(7);
  assert.notStrictEqual(again, run);
  assert.strictEqual(again.heardAt, again.startedAt, "an edit is no take-over");
  await n.runs.stop([7]);
  assert.strictEqual(n.runs.gainedAt.size, 0);
});

test("a push is heard when it was stored", async () => {
  const n = node();
  n.rows.add(7, { type: "push", push_token: "token" });
  await n.live();
  const run = n.runs.held.get(7);
  await n.clock.pass(15_000);
  const beat = { beanMeta: { type: "heartbeat" } };
  await n.runs.context.run({ run, isPush: true }, () => n.runs.beforeBeat(async () => {}, beat));
  assert.strictEqual(run.heardAt, n.clock.now());
  await n.clock.pass(1_000);
  await assert.rejects(n.runs.context.run({ run, isPush: true }, () => n.runs.beforeBeat(async () => Promise.reject(new Error("away")), beat)));
  assert.strictEqual(run.heardAt, n.clock.now() - 1_000);
});
