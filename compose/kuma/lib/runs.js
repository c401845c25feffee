"use strict";
// The monitors this node runs: one *run of Kuma's monitor object* (here: a run) per id, each in its own asynchronous
// context, so that whatever it does later, on whichever timer, is recognised as its own and can be refused. Refused
// means: the promise it waits for never settles. Nothing of it is stored or told, no error is noted as its target's,
// and the garbage collector takes it.
//
// Kuma's beans are proxies that refuse names with an underscore, and one that was stopped can never run again: what is
// known of a run is kept here, and every start takes a fresh row.

const { AsyncLocalStorage } = require("node:async_hooks");

const { Stalls } = require("./age");
const { OwnBeats } = require("./ownbeats");
const { Storing } = require("./storing");

const BATCH = 50;
/** How long a batch may delay the next one; a slow target delays nothing for longer. */
const PACE = 600;
const RETRY = 2_000;
/** Less than a leader waits for an acknowledgement. */
const PUSH_MOST = 5_000;
const STORING_MOST = 5_000;
/** By then whoever pushes has found the way to a node that took over: gateways learn of it within seconds. */
const FOUND = 10_000;
/** A run that counted something this long ago has a row of statistics, unless somebody cleared them. */
const COUNTED = 10_000;

const never = () => new Promise(() => {});

/** What may not be stored, found between the look and the statement. */
class Refusal extends Error {}

class Runs {
  /** `kuma` has R, server, start(bean), stop(bean); `statistics` prepares and drops; `rows` reads monitors. */
  constructor({ kuma, rows, statistics, clock, log }) {
    Object.assign(this, { kuma, rows, statistics, clock, log });
    this.tenure = null; // set by whoever makes both
    this.telling = null; // likewise; without it nothing is noted of messages
    this.context = new AsyncLocalStorage();
    this.held = new Map();
    this.tokens = new Map();
    this.queue = [];
    this.starting = new Set();
    this.storing = new Storing();
    this.ownBeats = new OwnBeats();
    this.isPumping = false;
    this.waiting = new Map();
    this.gainedAt = new Map();
    /** Since when this process has been taking pushes without a break, as far as its loop knows. */
    this.stalls = new Stalls();
  }

  // ---- what the tenure orders ----

  /** Monitors that became this node's: what was counted before is somebody else's number by now. */
  start(ids) {
    for (const id of ids) {
      this.statistics.drop(id);
      this.gainedAt.set(id, this.clock.now());
    }
    this.enqueue(ids);
  }

  /** Those of its monitors that do not run: suspended ones, and those whose start failed. */
  resume(mine) {
    this.enqueue([...mine].filter((id) => !this.held.has(id)));
  }

  /** Nothing of these is stored any more once this is fulfilled; what waits for one of Kuma's connections for long is left out. */
  async stop(ids) {
    const gone = new Set(ids);
    this.queue = this.queue.filter((id) => !gone.has(id));
    for (const id of gone) this.starting.delete(id);
    for (const id of gone) this.answer(id);
    for (const id of gone) this.end(this.held.get(id));
    const idle = Promise.all([...gone].map((id) => this.storing.idle(id)));
    await Promise.race([idle, this.clock.sleep(STORING_MOST)]);
    for (const id of gone) this.storing.cut(id);
    await idle;
    for (const id of gone) {
      this.statistics.drop(id);
      this.gainedAt.delete(id);
      this.forgetToken(id);
      delete this.kuma.server.monitorList[id];
    }
  }

  stopAll() {
    return this.stop([...this.held.keys(), ...this.queue, ...this.storing.ids(), ...this.statistics.known()]);
  }

  /** The runs end, the statistics stay. */
  suspend() {
    for (const id of this.queue) this.answer(id);
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

  /** The loop stood still: what was pushed meanwhile is late, or was given up by who sent it. */
  noteStall(from) {
    this.stalls.note(from, this.clock.now());
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

  /**
   * Whatever happens in `act` is a push to this run's monitor. Until it is answered (Kuma tells people between counting
   * and storing, which takes seconds) the monitor does not count as stopped, and what was counted may be stored.
   */
  asPush(run, res, act) {
    if (this.refusal(run)) return this.context.run({ isPush: true, run }, act);
    const context = { isPush: true, isHeld: true, run };
    const release = this.storing.hold(run);
    const end = () => {
      if (context.isHeld) release();
      context.isHeld = false;
    };
    res.once("close", end);
    setTimeout(end, PUSH_MOST).unref();
    return this.context.run(context, act);
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
    const { run, isPush, isHeld } = this.current();
    if (!run) return act();
    const reason = isHeld ? this.leaseRefusal() : this.refusal(run);
    if (reason) return this.refuse(run, isPush);
    const release = this.storing.hold(run);
    try {
      return await act(run);
    } catch (error) {
      if (error instanceof Refusal) return this.refuse(run, isPush);
      throw error;
    } finally {
      release();
    }
  }

  beforeCounting(act) {
    return this.beforeStoring(async (run) => {
      try {
        const answer = await act();
        if (run) run.countedAt ??= this.clock.now();
        return answer;
      } catch (error) {
        // Whether its row is there nobody knows: what is counted next is read anew.
        if (run) this.statistics.drop(run.id);
        throw error;
      }
    });
  }

  /**
   * One row of a beat or of statistics: several are stored after one look, and the lease may end between two, or while
   * a statement waits for one of Kuma's connections, which may take a minute.
   */
  asRow(id, store) {
    this.ensureOwn(id);
    return this.context.run(Object.assign(Object.create(this.current()), { row: id }), store);
  }

  /** When Kuma has found a connection for a statement, which from here on the database itself guards. */
  async beforeSending(send, statement) {
    const { row } = this.current();
    if (row === undefined) return send();
    this.ensureOwn(row);
    Object.assign(statement, this.rows.fenced(statement));
    const answer = await this.storing.send(row, send);
    if (answer.response[0].affectedRows === 0) throw new Refusal("not stored: the lease was revoked, or the row is gone");
    return answer;
  }

  ensureOwn(id) {
    const { run } = this.current();
    if (run?.isCut) throw new Refusal("not stored: it waited for too long, and the monitor left");
    const reason = run ? this.leaseRefusal() : this.tenure.refusal(id);
    if (reason) throw new Refusal(`not stored: ${reason}`);
  }

  beforeBeat(act, bean) {
    return this.beforeStoring(async (run) => {
      // Before it is stored: an answer may be lost.
      if (run) this.ownBeats.noteTime(run.id, bean.time);
      const answer = await act();
      if (run) {
        Object.assign(run, { isFirstBeatDone: true, heardAt: this.clock.now() });
        // From here on Kuma knows of the change, and tells how it ends.
        if (bean.important) run.isToldDown = false;
        this.ownBeats.noteId(bean.id);
      }
      return answer;
    });
  }

  /** Whether this process made the beat of this row of `heartbeat`. */
  made(row) {
    return this.ownBeats.has(row);
  }

  async beforeTelling(act) {
    const { run, isPush } = this.current();
    if (run && this.refusal(run)) return this.refuse(run, isPush);
    return act();
  }

  // ---- inside ----

  current() {
    return this.context.getStore() ?? { run: null, isPush: false };
  }

  leaseRefusal() {
    // What is being stored when this node leaves is waited for.
    const isHeld = ["holding", "leaving"].includes(this.tenure.phase);
    return isHeld && this.tenure.leaseLeft() > 0 ? null : "the lease is over";
  }

  refusal(run) {
    return run.isAlive ? this.tenure.refusal(run.id) : "it was stopped";
  }

  refuse(run, isPush = false) {
    if (isPush) throw new Error("the push was not stored: the monitor runs elsewhere, or the lease is over");
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

  forgetToken(id) {
    for (const [token, run] of this.tokens) if (run.id === id) this.tokens.delete(token);
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
        this.answer(id);
      }
    }
    this.isPumping = false;
  }

  /** Whoever waits for a start, a handler of the UI, is let go. */
  answer(id) {
    this.waiting.get(id)?.forEach((resolve) => resolve());
    this.waiting.delete(id);
  }

  async startBatch(ids) {
    const owned = ids.filter((id) => !this.tenure.refusal(id));
    if (owned.length === 0) return;
    const prepared = this.statistics.prepare(owned);
    // The next batch is read while this one makes its first runs.
    const next = this.queue.slice(0, BATCH).filter((id) => !this.tenure.refusal(id));
    prepared.then(() => this.statistics.prepare(next)).catch(() => {});
    const failed = await prepared;
    if (failed.size > 0) this.startLater([...failed.keys()], [...failed.values()][0]);
    const ready = owned.filter((id) => !failed.has(id));
    if (ready.length === 0) return;
    const toldDown = this.telling ? await this.telling.toldDown(ready) : new Set();
    const rows = await this.rows.readMonitors(ready);
    const runs = rows.filter((row) => !this.tenure.refusal(row.id)).map((row) => this.startOne(row, toldDown?.has(row.id)));
    this.rows.started(runs.map((run) => run.id)).catch((error) => this.log.warn(`noting the starts: ${error.message}`));
    const until = this.clock.now() + PACE;
    while (this.clock.now() < until && runs.some((run) => run.isAlive && !run.isFirstBeatDone)) await this.clock.sleep(20);
  }

  /** One that cannot be started keeps no other from it. */
  startLater(ids, error) {
    this.log.warn(`${ids.length} of a batch could not be started: ${error.message}`);
    setTimeout(() => this.enqueue(ids.filter((id) => this.tenure.owns(id) && !this.held.has(id))), RETRY).unref();
  }

  startOne(row, isToldDown) {
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
      isToldDown,
      startedAt: this.clock.now(),
      heardAt: Math.max(this.clock.now(), (this.gainedAt.get(row.id) ?? -Infinity) + FOUND),
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
