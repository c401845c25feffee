"use strict";
// The monitors this node runs: one *run of Kuma's monitor object* (here: a run) per id, each in its own asynchronous
// context, so that whatever it does later, on whichever timer, is recognised as its own and can be refused. Refused
// means: the promise it waits for never settles. Nothing of it is stored or told, no error is noted as its target's,
// and the garbage collector takes it.
//
// Kuma's beans are proxies that refuse names with an underscore, and one that was stopped can never run again: what is
// known of a run is kept here, and every start takes a fresh row.

const { AsyncLocalStorage } = require("node:async_hooks");

const BATCH = 50;
/** How long a batch may delay the next one; a slow target delays nothing for longer. */
const PACE = 600;
const RETRY = 2_000;
/** A run that counted something this long ago has a row of statistics, unless somebody cleared them. */
const COUNTED = 10_000;

/** The database keeps whole seconds. */
const nameOf = (monitor, time) => `${monitor}@${String(time).slice(0, 19)}`;

const never = () => new Promise(() => {});

class Runs {
  /** `kuma` has R, server, start(bean), stop(bean); `statistics` prepares and drops; `rows` reads monitors. */
  constructor({ kuma, rows, statistics, clock, log }) {
    Object.assign(this, { kuma, rows, statistics, clock, log });
    this.tenure = null; // set by whoever makes both
    this.context = new AsyncLocalStorage();
    this.held = new Map();
    this.tokens = new Map();
    this.queue = [];
    this.starting = new Set();
    this.storing = new Map();
    this.ownBeats = new Set();
    this.isPumping = false;
    this.waiting = new Map();
  }

  // ---- what the tenure orders ----

  /** Monitors that became this node's: what was counted before is somebody else's number by now. */
  start(ids) {
    for (const id of ids) this.statistics.drop(id);
    this.enqueue(ids);
  }

  /** Those of its monitors that do not run: suspended ones, and those whose start failed. */
  resume(mine) {
    this.enqueue([...mine].filter((id) => !this.held.has(id)));
  }

  /** Nothing of these is stored any more once this is fulfilled. */
  async stop(ids) {
    const gone = new Set(ids);
    this.queue = this.queue.filter((id) => !gone.has(id));
    for (const id of gone) this.starting.delete(id);
    for (const id of gone) this.end(this.held.get(id));
    await Promise.all([...gone].map((id) => this.idle(id)));
    for (const id of gone) {
      this.statistics.drop(id);
      this.forgetToken(id);
      delete this.kuma.server.monitorList[id];
    }
  }

  stopAll() {
    return this.stop([...this.held.keys(), ...this.queue, ...this.storing.keys(), ...this.statistics.known()]);
  }

  /** The runs end, the statistics stay. */
  suspend() {
    this.queue = [];
    this.starting.clear();
    for (const run of [...this.held.values()]) this.end(run);
  }

  /** Restarts what was edited, or whose statistics were cleared, on another node. */
  async compare(rows) {
    for (const row of rows) {
      const run = this.held.get(row.id);
      if (!run) {
        if (this.tenure.owns(row.id)) this.enqueue([row.id]);
        continue;
      }
      const isCleared = !row.has_statistics && run.countedAt !== null && this.clock.now() - run.countedAt > COUNTED;
      if (isCleared) this.statistics.drop(row.id);
      if (!isCleared && run.fingerprint === row.fingerprint) continue;
      // At once, so that nothing runs any more as it was before the edit.
      this.end(run);
      this.enqueue([row.id], true);
    }
  }

  // ---- what Kuma asks ----

  /** Kuma starts a monitor: somebody added, edited or resumed it here. Another node's is left to that node. */
  async askedToStart(bean) {
    const { monitorList } = this.kuma.server;
    if (this.tenure.owns(bean.id)) return this.enqueue([bean.id], true);
    // A handler may have put another object there meanwhile.
    if (monitorList[bean.id] === bean) delete monitorList[bean.id];
  }

  /** Kuma stops a monitor, whichever object of it the handler holds. */
  async askedToStop(bean) {
    const run = this.held.get(bean.id);
    if (run) this.end(run);
    if (run?.bean !== bean) await this.kuma.stop(bean);
  }

  /** How long the present run of a monitor has been held. */
  heldFor(id) {
    const run = this.held.get(id);
    return run ? this.clock.now() - run.startedAt : 0;
  }

  /** The run whose push token this is; one that was ended when its successor has not begun yet. */
  pushed(token) {
    return this.tokens.get(token) ?? null;
  }

  /** Whatever happens in `act` is a push to this run's monitor. */
  asPush(run, act) {
    return this.context.run({ isPush: true, run }, act);
  }

  // ---- the guards: each looks at life, assignment and lease at once ----

  /** Before a run begins: Kuma asks for maintenance first. */
  async beforeRun(act) {
    const { run, isPush } = this.current();
    if (!run || isPush) return act();
    if (this.refusal(run)) return this.refuse(run);
    try {
      return await act();
    } catch (error) {
      // The database failed, not the target.
      this.log.warn(`monitor ${run.id} could not start its run: ${error.message}`);
      this.end(run);
      setTimeout(() => this.tenure.owns(run.id) && !this.held.has(run.id) && this.enqueue([run.id]), RETRY);
      return never();
    }
  }

  /** Before anything of a result is counted, stored or told. While `act` lasts the monitor does not count as stopped. */
  async beforeStoring(act) {
    const { run, isPush } = this.current();
    if (!run) return act();
    if (this.refusal(run)) return this.refuse(run, isPush);
    const segment = this.storing.get(run.id) ?? { count: 0, waiters: [] };
    this.storing.set(run.id, segment);
    segment.count += 1;
    try {
      return await act(run);
    } finally {
      segment.count -= 1;
      if (segment.count === 0) {
        this.storing.delete(run.id);
        segment.waiters.forEach((resolve) => resolve());
      }
    }
  }

  beforeCounting(act) {
    return this.beforeStoring(async (run) => {
      const answer = await act();
      if (run) run.countedAt ??= this.clock.now();
      return answer;
    });
  }

  beforeBeat(act, bean) {
    return this.beforeStoring(async (run) => {
      // Before it is stored: an answer may be lost.
      if (run) this.noteOwnBeat(nameOf(run.id, bean.time));
      const answer = await act();
      if (run) {
        run.isFirstBeatDone = true;
        this.noteOwnBeat(bean.id);
      }
      return answer;
    });
  }

  /** Whether this process made the beat of this row of `heartbeat`. */
  made(row) {
    return this.ownBeats.has(row.id) || this.ownBeats.has(nameOf(row.monitor_id, row.time));
  }

  async beforeTelling(act) {
    const { run, isPush } = this.current();
    if (run && this.refusal(run)) return this.refuse(run, isPush);
    return act();
  }

  // ---- inside ----

  current() {
    const store = this.context.getStore();
    return store ?? { run: null, isPush: false };
  }

  refusal(run) {
    return run.isAlive ? this.tenure.refusal(run.id) : "it was stopped";
  }

  refuse(run, isPush = false) {
    if (isPush) throw new Error("Monitor not found or not active.");
    this.end(run);
    return never();
  }

  /** Ends a run; its statistics and the place in Kuma's list stay. */
  end(run) {
    if (!run?.isAlive) return;
    run.isAlive = false;
    if (this.held.get(run.id) === run) this.held.delete(run.id);
    this.kuma.stop(run.bean).catch((error) => this.log.warn(`monitor ${run.id}: ${error.message}`));
  }

  idle(id) {
    const segment = this.storing.get(id);
    return segment ? new Promise((resolve) => segment.waiters.push(resolve)) : Promise.resolve();
  }

  forgetToken(id) {
    for (const [token, run] of this.tokens) if (run.id === id) this.tokens.delete(token);
  }

  noteOwnBeat(beat) {
    this.ownBeats.add(beat);
    if (this.ownBeats.size > 40_000) this.ownBeats.delete(this.ownBeats.values().next().value);
  }

  /** Fulfilled when the last of these was started, or found not to be startable. */
  enqueue(ids, isFirst = false) {
    const queued = new Set(this.queue);
    // Whoever changed something has the row read anew; who only wants it to run has it.
    const fresh = ids.filter((id) => !queued.has(id) && (isFirst || !this.starting.has(id)));
    if (isFirst) this.queue.unshift(...fresh);
    else this.queue.push(...fresh);
    const done = ids.map((id) => this.done(id));
    if (!this.isPumping && this.queue.length > 0) {
      this.isPumping = true;
      // Not in the context of whoever asked.
      this.context.exit(() => this.pump());
    }
    return Promise.all(done);
  }

  done(id) {
    if (!this.queue.includes(id)) return Promise.resolve();
    return new Promise((resolve) => this.waiting.set(id, [...(this.waiting.get(id) ?? []), resolve]));
  }

  async pump() {
    while (this.queue.length > 0) {
      const batch = this.queue.splice(0, BATCH);
      batch.forEach((id) => this.starting.add(id));
      try {
        await this.startBatch(batch);
      } catch (error) {
        this.log.warn(`starting monitors: ${error.message}`);
        await this.clock.sleep(RETRY);
        const again = batch.filter((id) => this.tenure.owns(id) && !this.held.has(id) && !this.queue.includes(id));
        this.queue.push(...again);
      }
      for (const id of batch) {
        this.starting.delete(id);
        this.waiting.get(id)?.forEach((resolve) => resolve());
        this.waiting.delete(id);
      }
    }
    this.isPumping = false;
  }

  async startBatch(ids) {
    const owned = ids.filter((id) => !this.tenure.refusal(id));
    if (owned.length === 0) return;
    const prepared = this.statistics.prepare(owned);
    // The next batch is read while this one makes its first runs.
    const next = this.queue.slice(0, BATCH).filter((id) => !this.tenure.refusal(id));
    prepared.then(() => this.statistics.prepare(next)).catch(() => {});
    await prepared;
    const rows = await this.rows.readMonitors(owned);
    const runs = rows.filter((row) => !this.tenure.refusal(row.id)).map((row) => this.startOne(row));
    this.rows.started(runs.map((run) => run.id)).catch((error) => this.log.warn(`noting the starts: ${error.message}`));
    const until = this.clock.now() + PACE;
    while (this.clock.now() < until && runs.some((run) => run.isAlive && !run.isFirstBeatDone)) await this.clock.sleep(20);
  }

  startOne(row) {
    const { komainu_fingerprint: fingerprint, ...columns } = row;
    this.end(this.held.get(row.id));
    const [bean] = this.kuma.R.convertToBeans("monitor", [columns]);
    const token = row.type === "push" && row.push_token ? row.push_token : null;
    const run = {
      id: row.id,
      bean,
      fingerprint,
      token,
      isAlive: true,
      startedAt: this.clock.now(),
      countedAt: null,
      // A push monitor makes its first when an interval has passed.
      isFirstBeatDone: row.type === "push",
    };
    this.held.set(row.id, run);
    this.forgetToken(row.id);
    if (token !== null) this.tokens.set(token, run);
    this.kuma.server.monitorList[row.id] = bean;
    this.context
      .run({ run, isPush: false }, () => this.kuma.start(bean))
      .catch((error) => this.log.error(`monitor ${row.id} did not start: ${error.message}`));
    return run;
  }
}

module.exports = { Runs, never };
