"use strict";
// A small Kuma for tests: beans, monitors that run by timers, the order of steps in which a run is made, statistics and
// the settings of time. Only what the agent hooks is there, with the same names.

const assert = require("node:assert");

/** Time that moves when a test says so. */
class Clock {
  constructor() {
    this.at = 1_000_000;
    this.sleepers = [];
  }
  now() {
    return this.at;
  }
  wall() {
    return 1_763_800_000_000 + this.at;
  }
  sleep(ms) {
    return new Promise((resolve) => this.sleepers.push({ at: this.at + ms, resolve }));
  }
  /** Moves on in small steps, so that what sleeps in between wakes in order. */
  async pass(ms, step = 100) {
    for (const end = this.at + ms; this.at < end; ) {
      this.at = Math.min(end, this.at + step);
      const due = this.sleepers.filter(({ at }) => at <= this.at);
      this.sleepers = this.sleepers.filter(({ at }) => at > this.at);
      due.forEach(({ resolve }) => resolve());
      await settle();
    }
  }
}

/** Lets everything that is ready happen. */
async function settle() {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A promise that the test fulfils. */
function gate() {
  let open;
  const promise = new Promise((resolve) => (open = resolve));
  return { promise, open };
}

const silent = { info() {}, warn() {}, error() {}, fatal() {} };

/** Kuma with the agent's guards around it; what happens is written into `journal`. */
class Kuma {
  constructor() {
    this.journal = [];
    this.server = { monitorList: {}, maintenanceList: {} };
    this.R = { convertToBeans: (type, rows) => rows.map((row) => ({ ...row, beanMeta: { type } })) };
    this.steps = { check: async () => {}, store: async () => {} };
    this.isUnderMaintenance = async () => false;
    this.nextBeat = 1;
  }

  /** As Kuma's `Monitor.prototype.start`: returns once the first run has begun. */
  async start(bean) {
    this.beat(bean).catch((error) => this.journal.push(`error ${bean.id} ${error.message}`));
  }

  async stop(bean) {
    bean.isStop = true;
  }

  async beat(bean) {
    const { runs, journal } = this;
    await runs.beforeRun(() => this.isUnderMaintenance(bean.id));
    journal.push(`check ${bean.id}`);
    await this.steps.check(bean);
    await runs.beforeTelling(async () => journal.push(`tell ${bean.id}`));
    await runs.beforeCounting(async () => journal.push(`count ${bean.id}`));
    const beat = { beanMeta: { type: "heartbeat" } };
    await runs.beforeBeat(async () => {
      await this.steps.store(bean);
      beat.id = this.nextBeat++;
      journal.push(`store ${bean.id}`);
    }, beat);
  }
}

/** The tables that matter to one node. */
class Rows {
  constructor() {
    this.identity = { id: "kuma1", incarnation: "aaaaaaaaaaaaaaaa" };
    this.node = { incarnation: null, is_released: true, lease_seq: 0, hostname: "elsewhere" };
    this.stamp = { generation: 1, nonce: "n1" };
    this.history = new Map([[1, "n1"]]);
    this.monitors = new Map();
    this.assigned = new Map();
    this.calls = [];
    this.fails = null;
  }
  async say(call, answer) {
    this.calls.push(call);
    if (this.fails?.(call)) throw new Error("the database is away");
    return answer();
  }
  readRow() {
    return this.say("readRow", () => this.node && { ...this.node });
  }
  register(seen) {
    return this.say("register", () => {
      if (seen.incarnation !== this.node.incarnation || seen.lease_seq !== this.node.lease_seq) return false;
      Object.assign(this.node, { incarnation: this.identity.incarnation, is_released: false, lease_seq: seen.lease_seq + 1 });
      return true;
    });
  }
  renew(applied) {
    return this.say(`renew ${applied?.generation ?? "-"}`, () => {
      if (this.node.incarnation !== this.identity.incarnation) return false;
      this.node.lease_seq += 1;
      this.node.applied = applied;
      return true;
    });
  }
  release() {
    return this.say("release", () => Object.assign(this.node, { incarnation: null, is_released: true }));
  }
  readStamp(applied) {
    return this.say("readStamp", () => ({
      stamp: { ...this.stamp },
      isKnown: !applied || this.history.get(applied.generation) === applied.nonce,
    }));
  }
  readAssignments() {
    return this.say("readAssignments", () => ({
      stamp: { ...this.stamp },
      monitors: new Map([...this.assigned].filter(([id]) => this.monitors.get(id)?.active)),
    }));
  }
  readSlice(slice, of) {
    return this.say("readSlice", () =>
      [...this.assigned.keys()]
        .filter((id) => id % of === slice && this.monitors.get(id)?.active)
        .map((id) => ({ id, fingerprint: this.monitors.get(id).fingerprint, has_statistics: this.monitors.get(id).has_statistics })));
  }
  readMonitors(ids) {
    assert.ok(ids.length > 0, "SQL knows no empty list");
    return this.say("readMonitors", () =>
      ids
        .filter((id) => this.monitors.get(id)?.active)
        .map((id) => {
          const { fingerprint, has_statistics: _, ...row } = this.monitors.get(id);
          return { ...row, komainu_fingerprint: fingerprint };
        }));
  }
  async started() {}
  fenced(statement) {
    return { ...statement };
  }

  /** A monitor in the database; assigned to this node unless told otherwise. */
  add(id, { isOwn = true, ...columns } = {}) {
    this.monitors.set(id, { id, type: "http", active: 1, fingerprint: "f1", has_statistics: 1, push_token: null, ...columns });
    if (isOwn) this.assign(id);
  }
  assign(id) {
    this.raise();
    this.assigned.set(id, this.stamp.generation);
  }
  unassign(id) {
    this.raise();
    this.assigned.delete(id);
  }
  raise() {
    this.stamp = { generation: this.stamp.generation + 1, nonce: `n${this.stamp.generation + 1}` };
    this.history.set(this.stamp.generation, this.stamp.nonce);
  }
}

class Statistics {
  constructor(journal) {
    this.journal = journal;
    this.loaded = new Set();
  }
  known() {
    return [...this.loaded];
  }
  drop(id) {
    if (this.loaded.delete(id)) this.journal.push(`drop ${id}`);
  }
  async prepare(ids) {
    const failed = new Map();
    for (const id of ids) {
      if (this.unreadable === id) {
        failed.set(id, new Error("extras is no JSON"));
        continue;
      }
      if (!this.loaded.has(id)) this.journal.push(`load ${id}`);
      this.loaded.add(id);
    }
    return failed;
  }
}

/** A node with everything real but Kuma and the database. */
function node(rows = new Rows()) {
  const { Runs } = require("../lib/runs");
  const { Tenure } = require("../lib/tenure");
  const clock = new Clock();
  const kuma = new Kuma();
  const statistics = new Statistics(kuma.journal);
  const runs = new Runs({ kuma, rows, statistics, clock, log: silent });
  const exits = [];
  const tenure = new Tenure({ rows, runs, clock, log: silent, exit: (reason) => exits.push(reason), giveUp: (reason) => exits.push(reason) });
  kuma.start = kuma.start.bind(kuma);
  kuma.stop = kuma.stop.bind(kuma);
  kuma.runs = runs;
  runs.tenure = tenure;
  return {
    rows, clock, kuma, statistics, runs, tenure, exits,
    journal: kuma.journal,
    live() {
      this.lives = [tenure.live(), tenure.renewAlways()];
      return clock.pass(2_000);
    },
    /** The journal of one monitor, emptied. */
    taken(id) {
      const lines = kuma.journal.filter((line) => line.endsWith(` ${id}`)).map((line) => line.split(" ")[0]);
      kuma.journal.splice(0, kuma.journal.length, ...kuma.journal.filter((line) => !line.endsWith(` ${id}`)));
      return lines;
    },
  };
}

module.exports = { Clock, Kuma, Rows, Statistics, gate, node, settle, silent };
