"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { gate, node, Rows, settle } = require("./standin");

const RUN = ["load", "check", "tell", "count", "store"];

test("a released row is taken, acknowledged, and only then monitors start", async () => {
  const n = node();
  n.rows.add(7);
  await n.live();
  assert.deepStrictEqual(n.taken(7), RUN);
  const { calls } = n.rows;
  assert.deepStrictEqual(n.rows.node.applied, n.rows.stamp);
  assert.ok(calls.indexOf("renew 2") < calls.indexOf("readMonitors"), calls.join());
});

test("a row that stands still for a whole lease is taken, one that moves is not", async () => {
  const still = node();
  still.rows.node = { incarnation: "bbbbbbbbbbbbbbbb", is_released: false, lease_seq: 5, hostname: "other" };
  await still.live();
  await still.clock.pass(8_500);
  assert.strictEqual(still.tenure.phase, "registering");
  await still.clock.pass(3_000);
  assert.strictEqual(still.tenure.phase, "holding");
});

test("a process that was killed where this one listens is watched for a renewal, not for a lease", async () => {
  const n = node();
  n.rows.node = { incarnation: "bbbbbbbbbbbbbbbb", is_released: false, lease_seq: 5, hostname: "here", is_abandoned: true };
  await n.live();
  assert.strictEqual(n.tenure.phase, "registering", "after two seconds");
  await n.clock.pass(2_000);
  assert.strictEqual(n.tenure.phase, "holding");
});

test("a process that renews, or has its lock again, is not taken for killed", async () => {
  for (const sign of [(row) => (row.lease_seq += 1), (row, s) => (row.is_abandoned = s % 4 !== 0)]) {
    const n = node();
    n.rows.node = { incarnation: "bbbbbbbbbbbbbbbb", is_released: false, lease_seq: 5, hostname: "here", is_abandoned: true };
    await n.live();
    for (let s = 0; s < 9; s += 1) {
      if (s % 2 === 0) sign(n.rows.node, s);
      await n.clock.pass(1_000);
    }
    assert.strictEqual(n.tenure.phase, "registering");
  }
});

test("a lease that is taken away while it is watched need not be watched again", async () => {
  const n = node();
  n.rows.node = { incarnation: "bbbbbbbbbbbbbbbb", is_released: false, lease_seq: 5, hostname: "other" };
  await n.live();
  await n.clock.pass(8_500);
  n.rows.node.incarnation = null;
  await n.clock.pass(3_000);
  assert.strictEqual(n.tenure.phase, "holding");
});

test("a second process with the same id gives up after two leases, naming the other's host", async () => {
  const n = node();
  n.rows.node = { incarnation: "bbbbbbbbbbbbbbbb", is_released: false, lease_seq: 5, hostname: "other" };
  await n.live();
  for (let s = 0; s < 23; s += 1) {
    n.rows.node.lease_seq += 1;
    await n.clock.pass(1_000);
  }
  assert.strictEqual(n.tenure.phase, "registering");
  assert.match(n.exits[0], /in use by host other/);
});

test("a node nobody entered, or without komainu's tables, waits and runs nothing", async () => {
  const n = node();
  n.rows.add(7);
  const row = n.rows.node;
  n.rows.node = null;
  await n.live();
  assert.deepStrictEqual(n.journal, []);
  n.rows.node = row;
  await n.clock.pass(3_000);
  assert.deepStrictEqual(n.taken(7), RUN);
});

test("a monitor that left is acknowledged only when nothing of it can be stored any more", async () => {
  const n = node();
  n.rows.add(7);
  let finish;
  n.kuma.steps.store = () => new Promise((resolve) => (finish = resolve));
  await n.live();
  const before = n.rows.stamp.generation;
  n.rows.unassign(7);
  await n.clock.pass(3_000);
  assert.strictEqual(n.rows.node.applied.generation, before);
  finish();
  await n.clock.pass(1_000);
  assert.strictEqual(n.rows.node.applied.generation, before + 1);
  assert.deepStrictEqual(n.taken(7).slice(-2), ["store", "drop"]);
});

/** Stores by a statement that waits for one of Kuma's connections, and then for the database. */
function storing(n) {
  const [connection, answer] = [gate(), gate()];
  const sent = [];
  const send = () => (sent.push("statement"), answer.promise.then(() => ({ response: [{ affectedRows: 1 }] })));
  n.kuma.steps.store = (bean) => n.runs.asRow(bean.id, () => connection.promise.then(() => n.runs.beforeSending(send, {})));
  return { connection, answer, sent };
}

test("a monitor whose beat waits for one of Kuma's connections leaves without it, and nobody exits for a wish", async () => {
  const n = node();
  n.rows.add(7);
  const { connection, sent } = storing(n);
  await n.live();
  n.rows.unassign(7);
  await n.clock.pass(4_000);
  assert.notDeepStrictEqual(n.rows.node.applied, n.rows.stamp, "it may still be stored");
  await n.clock.pass(4_000);
  assert.deepStrictEqual([n.rows.node.applied, n.exits], [n.rows.stamp, []], "before a leader's patience of 10 s ends");
  // It comes back and runs; what waited is not sent.
  n.kuma.steps.store = async () => {};
  n.rows.assign(7);
  await n.clock.pass(3_000);
  assert.strictEqual(n.taken(7).at(-1), "store");
  connection.open();
  await n.clock.pass(20_000);
  assert.deepStrictEqual([sent, n.exits, n.runs.held.has(7)], [[], [], true]);
});

test("a statement that hangs in the database lets a move wait, and ends the process where the lease is lost", async () => {
  for (const isLost of [false, true]) {
    const n = node();
    n.rows.add(7);
    n.rows.add(8);
    const { connection, answer } = storing(n);
    connection.open();
    await n.live();
    n.rows.unassign(7);
    await n.clock.pass(15_000);
    assert.notDeepStrictEqual(n.rows.node.applied, n.rows.stamp);
    assert.deepStrictEqual([n.exits, n.tenure.refusal(8)], [[], null], "what stays goes on");
    if (isLost) n.rows.node.incarnation = null;
    await n.clock.pass(15_000);
    assert.deepStrictEqual(n.exits.length, isLost ? 1 : 0);
    if (isLost) continue;
    answer.open();
    await n.clock.pass(2_000);
    assert.deepStrictEqual(n.rows.node.applied, n.rows.stamp);
  }
});

test("an acknowledgement does not wait for a slow check, whose result is thrown away", async () => {
  const n = node();
  n.rows.add(7);
  let finish;
  n.kuma.steps.check = () => new Promise((resolve) => (finish = resolve));
  await n.live();
  n.rows.unassign(7);
  await n.clock.pass(2_000);
  assert.strictEqual(n.rows.node.applied.generation, n.rows.stamp.generation);
  finish();
  await settle();
  assert.deepStrictEqual(n.taken(7), ["load", "check", "drop"]);
});

test("a revoked lease stops everything, and the node registers anew", async () => {
  const n = node();
  n.rows.add(7);
  await n.live();
  n.taken(7);
  n.rows.node.incarnation = null;
  n.rows.node.is_released = true;
  await n.clock.pass(2_100);
  assert.deepStrictEqual(n.taken(7).slice(0, 1), ["drop"]);
  await n.clock.pass(3_000);
  assert.strictEqual(n.tenure.phase, "holding");
  assert.ok(n.runs.held.has(7));
});

test("suspended in place: without renewals nothing runs, and all go on at once when the lease is back", async () => {
  const n = node();
  n.rows.add(7);
  n.rows.add(8);
  await n.live();
  n.journal.length = 0;
  n.rows.fails = () => true;
  await n.clock.pass(12_000);
  assert.strictEqual(n.runs.held.size, 0);
  assert.match(n.tenure.refusal(7), /lease|assignments/);
  n.rows.fails = null;
  await n.clock.pass(4_000);
  // No statistics are read again: nobody else can have counted.
  assert.deepStrictEqual(n.taken(7), ["check", "tell", "count", "store"]);
  assert.deepStrictEqual(n.taken(8), ["check", "tell", "count", "store"]);
});

test("what another node ran while this one was suspended is counted anew", async () => {
  const n = node();
  n.rows.add(7);
  await n.live();
  n.journal.length = 0;
  n.rows.fails = () => true;
  await n.clock.pass(12_000);
  n.rows.unassign(7);
  n.rows.assign(7);
  n.rows.fails = null;
  await n.clock.pass(4_000);
  assert.deepStrictEqual(n.taken(7), ["drop", ...RUN]);
});

test("assignments that were read before the lease was out start nothing", async () => {
  const n = node();
  n.rows.add(7);
  await n.live();
  n.journal.length = 0;
  let answer;
  const read = n.rows.readAssignments.bind(n.rows);
  n.rows.readAssignments = async () => {
    const rows = await read();
    await new Promise((resolve) => (answer = resolve));
    return rows;
  };
  n.rows.add(9);
  await n.clock.pass(1_500);
  n.rows.readAssignments = read;
  n.rows.fails = (call) => call.startsWith("renew");
  await n.clock.pass(9_000);
  n.rows.unassign(9);
  n.rows.fails = null;
  answer();
  await n.clock.pass(4_000);
  assert.deepStrictEqual(n.taken(9), []);
});

test("a database that lost its tail: everything stops, nothing starts for one lease", async () => {
  const n = node();
  n.rows.add(7);
  await n.live();
  n.journal.length = 0;
  n.rows.stamp = { generation: 1, nonce: "other" };
  n.rows.history = new Map([[1, "other"]]);
  await n.clock.pass(1_500);
  assert.deepStrictEqual(n.taken(7), ["drop"]);
  await n.clock.pass(9_000);
  assert.deepStrictEqual(n.taken(7), []);
  await n.clock.pass(3_000);
  assert.deepStrictEqual(n.taken(7), RUN);
});

test("a database that lost its tail and went on from there: what this node acknowledged is in no history", async () => {
  const n = node();
  n.rows.add(7);
  await n.live();
  n.journal.length = 0;
  n.rows.stamp = { generation: 90, nonce: "other" };
  n.rows.history = new Map([[90, "other"]]);
  await n.clock.pass(9_000);
  assert.deepStrictEqual(n.taken(7), ["drop"]);
  await n.clock.pass(5_000);
  assert.deepStrictEqual(n.taken(7), RUN);
});

test("a lease counts from before its statement was sent, not from the answer", async () => {
  const registering = node();
  const { register } = Rows.prototype;
  let sentAt = null;
  registering.rows.register = async (row) => {
    sentAt = registering.clock.now();
    const isOurs = await register.call(registering.rows, row);
    await registering.clock.sleep(3_000);
    return isOurs;
  };
  registering.rows.fails = (call) => call.startsWith("renew");
  await registering.live();
  await registering.clock.pass(4_000);
  assert.deepStrictEqual([registering.tenure.phase, registering.tenure.renewedAt], ["holding", sentAt]);

  const renewing = node();
  await renewing.live();
  const sent = [];
  renewing.rows.renew = async (applied) => {
    sent.push(renewing.clock.now());
    const isOurs = await Rows.prototype.renew.call(renewing.rows, applied);
    await renewing.clock.sleep(5_000);
    return isOurs;
  };
  while (sent.length < 2) await renewing.clock.pass(100);
  assert.strictEqual(renewing.tenure.renewedAt, sent[0]);
});

test("a monitor that leaves is not this node's any more while what is being stored of it is waited for", async () => {
  const n = node();
  n.rows.add(7);
  n.kuma.steps.store = () => new Promise(() => {});
  await n.live();
  n.rows.unassign(7);
  await n.clock.pass(3_000);
  assert.deepStrictEqual([n.tenure.owns(7), n.tenure.refusal(7)], [false, "another node runs it"]);
});

test("what was read before a statement failed is not acknowledged: the database may have lost it since", async () => {
  const n = node();
  n.rows.add(7);
  let finish;
  n.kuma.steps.store = () => new Promise((resolve) => (finish = resolve));
  await n.live();
  const acknowledged = [];
  n.rows.renew = (applied) => (acknowledged.push(applied.nonce), Rows.prototype.renew.call(n.rows, applied));
  n.rows.unassign(7);
  const lost = n.rows.stamp;
  await n.clock.pass(1_500);
  n.rows.fails = (call) => call.startsWith("renew");
  await n.clock.pass(2_500);
  n.rows.fails = null;
  n.rows.stamp = { ...lost, nonce: "other" };
  n.rows.history.set(lost.generation, "other");
  finish();
  await n.clock.pass(3_000);
  assert.ok(!acknowledged.includes(lost.nonce), acknowledged.join());
});

test("a hint is looked into at once", async () => {
  const n = node();
  await n.live();
  n.rows.add(7);
  n.tenure.hint();
  await n.clock.pass(200);
  assert.deepStrictEqual(n.taken(7).slice(0, 2), ["load", "check"]);
});

test("a clean stop waits for what is being stored, then gives the row back", async () => {
  const n = node(new Rows());
  n.rows.add(7);
  await n.live();
  await n.tenure.leave();
  assert.strictEqual(n.rows.node.is_released, true);
  assert.strictEqual(n.runs.held.size, 0);
});

/** Fails the next statement whose call begins so, once. */
function failOnce(n, call) {
  n.rows.fails = (made) => {
    if (!made.startsWith(call)) return false;
    n.rows.fails = null;
    return true;
  };
}

test("a node that has applied nothing yet starts nothing for one lease after a failure: the tail may be lost", async () => {
  const n = node();
  n.rows.add(7);
  failOnce(n, "readAssignments");
  await n.live();
  await n.clock.pass(8_500);
  assert.deepStrictEqual(n.taken(7), []);
  // It says at once what it knows, so that nobody waits for that, and does not wait anew when something fails meanwhile.
  assert.deepStrictEqual(n.rows.node.applied, n.rows.stamp);
  failOnce(n, "readStamp");
  await n.clock.pass(3_000);
  assert.deepStrictEqual(n.taken(7), RUN);
});

test("a node whose registration failed waits for one lease too", async () => {
  const n = node();
  n.rows.add(7);
  failOnce(n, "register");
  await n.live();
  await n.clock.pass(8_000);
  assert.deepStrictEqual([n.tenure.phase, n.taken(7)], ["holding", []]);
  await n.clock.pass(3_500);
  assert.deepStrictEqual(n.taken(7), RUN);
});

test("a node whose row was lost soon after a failure waits for what is left of that lease", async () => {
  const n = node();
  n.rows.add(7);
  await n.live();
  n.taken(7);
  failOnce(n, "readStamp");
  await n.clock.pass(1_500);
  n.rows.node.incarnation = null;
  n.rows.node.is_released = true;
  await n.clock.pass(7_000);
  assert.deepStrictEqual([n.tenure.phase, n.taken(7)], ["holding", ["drop"]]);
  await n.clock.pass(4_500);
  assert.deepStrictEqual(n.taken(7), RUN);
});

test("a tail that is lost while a node waits for one lease is noticed by what it acknowledged", async () => {
  const n = node();
  n.rows.add(7);
  failOnce(n, "readAssignments");
  await n.live();
  await n.clock.pass(8_000);
  n.rows.stamp = { ...n.rows.stamp, nonce: "other" };
  n.rows.history.set(n.rows.stamp.generation, "other");
  await n.clock.pass(9_000);
  assert.deepStrictEqual(n.taken(7), []);
  await n.clock.pass(4_000);
  assert.deepStrictEqual(n.taken(7), RUN);
});
