"use strict";
// This node's right to run monitors. Life: the process *registers* its incarnation in its own row once the former
// holder is released, was watched standing still for one lease, or was killed where this one listens now. It then *renews*
// every two seconds, and may run only
// while its last successful renewal was sent less than eight seconds ago. When the generation differs from the one it
// applied, or it was out, it *reconciles*: reads the assignments, stops what is not its own any more, acknowledges once
// nothing of that can be stored any longer, and only then starts what is new. When it loses the lock that its process holds
// at the database, others may take it for killed: nothing runs until a renewal that is sent from then on. When it loses its
// row, everything stops and it registers anew. It knows nothing of how monitors are run: `runs` does.

const RENEWAL = 2_000;
const FENCE = 8_000;
const WATCH = 11_000;
/** So long the counter of one that was killed stands: longer than a renewal of its own could be under way. */
const KILLED_WATCH = 2_500;
const ROUND = 1_000;
/** Kuma itself takes 6 s to end. */
const LEAVING = 5_000;
const SLICES = 5;

/** Nobody entered this node: an answer, no failure of the database. */
class Unentered extends Error {}

class Tenure {
  /** `rows` talks to the database, `runs` stops and starts, `clock` has now() and sleep(), `log`; `exit` where a
   * restart alone does not help, `giveUp` where it does. */
  constructor({ rows, runs, clock, log, exit, giveUp }) {
    Object.assign(this, { rows, runs, clock, log, exit, giveUp });
    this.phase = "registering";
    this.mine = new Set();
    this.applied = null;
    this.renewedAt = -Infinity;
    this.lockLostAt = -Infinity;
    this.isReconciled = false;
    this.quarantinedUntil = -Infinity;
    this.failedAt = -Infinity;
    this.disturbances = 0; // raised by whatever makes an answer that is under way worthless
    this.stopping = 0;
    this.watched = null;
    this.slice = 0;
    this.foreignBeats = 0;
    this.complaint = "";
    this.isHinted = false;
    this.wake = () => {};
    this.renewNow = () => {};
  }

  owns(id) {
    return this.mine.has(id);
  }

  leaseLeft() {
    return Math.max(0, this.renewedAt + FENCE - this.clock.now());
  }

  /** Why a run of this monitor may not start, or its beat not be stored, now; null: it may. */
  refusal(id) {
    if (this.phase !== "holding") return "this node is not registered";
    if (this.leaseLeft() === 0) return "the lease is too old";
    if (!this.isReconciled) return "the assignments are not read yet";
    return this.mine.has(id) ? null : "another node runs it";
  }

  /** A hint that something changed. */
  hint() {
    this.isHinted = true;
    this.wake();
  }

  /** Runs until it is told to leave. */
  async live() {
    while (this.phase === "registering" || this.phase === "holding") {
      try {
        await (this.phase === "registering" ? this.register() : this.look());
        this.complaint = "";
      } catch (error) {
        this.disturb(error);
      }
      await this.pause(ROUND);
    }
  }

  /** Renews for as long as it lives; beside `live`, so that no long reading delays it. */
  async renewAlways() {
    while (this.phase === "registering" || this.phase === "holding") {
      let rest = RENEWAL;
      if (this.phase === "holding") {
        const beganAt = this.clock.now();
        try {
          await this.noteRenewal(beganAt, await this.rows.renew(this.applied, this.foreignBeats));
        } catch (error) {
          this.disturb(error);
          rest = RENEWAL / 4;
        }
        rest = Math.max(0, rest - (this.clock.now() - beganAt));
      }
      if (this.leaseLeft() === 0) this.suspend();
      const asked = new Promise((resolve) => (this.renewNow = resolve));
      await Promise.race([this.clock.sleep(rest), asked]);
    }
  }

  /** Stops everything and gives the row back. */
  async leave() {
    const held = this.phase === "holding";
    this.phase = "leaving";
    this.mine = new Set();
    const isStopped = await this.inTime(this.runs.stopAll(), LEAVING);
    // What is still being stored is not over: then the lease ends by itself.
    if (held && isStopped) await this.rows.release();
    this.phase = "ended";
  }

  async register() {
    if (this.stopping > 0) return;
    const beganAt = this.clock.now();
    const row = await this.rows.readRow();
    if (!row) throw new Unentered(`node ${this.rows.identity.id} is unknown: \`komainu nodes add\` enters it`);
    this.watched ??= { counter: null, abandoned: null, firstAt: beganAt };
    this.watch(row);
    const isFree =
      (row.incarnation === null && (row.is_released || row.lease_seq === 0)) ||
      // An earlier registration of this very process was committed although its answer was lost.
      row.incarnation === this.rows.identity.incarnation ||
      beganAt - this.watched.since >= WATCH ||
      (row.is_abandoned && beganAt - this.watched.abandonedSince >= KILLED_WATCH);
    if (!isFree) {
      if (row.incarnation !== null && beganAt - this.watched.firstAt >= 2 * WATCH) {
        this.exit(`node id ${this.rows.identity.id} is in use by host ${row.hostname}`);
      }
      return;
    }
    const sentAt = this.clock.now();
    if (!(await this.rows.register(row)) || this.phase !== "registering") return;
    this.phase = "holding";
    this.watched = null;
    this.renewedAt = sentAt;
    this.isReconciled = false;
    this.log.info(`registered as ${this.rows.identity.id} (${this.rows.identity.incarnation})`);
    this.hint();
  }

  /** Since when the counter stands, which whoever holds the lease raises and nobody who takes it away; and since when it
   * does while the holder is known to be gone, but for a renewal that is under way. */
  watch(row) {
    const { watched } = this;
    const abandoned = row.is_abandoned ? `${row.incarnation}/${row.lease_seq}` : null;
    if (watched.counter !== row.lease_seq) Object.assign(watched, { counter: row.lease_seq, since: this.clock.now() });
    if (watched.abandoned !== abandoned) Object.assign(watched, { abandoned, abandonedSince: this.clock.now() });
  }

  /** A renewal or an acknowledgement was answered. */
  async noteRenewal(beganAt, ours) {
    if (this.phase !== "holding") return;
    if (!ours) return this.loseRow();
    if (beganAt <= this.lockLostAt) return;
    // Out for longer than the fence: others may have been given what this node ran.
    if (this.leaseLeft() === 0) this.suspend();
    this.renewedAt = Math.max(this.renewedAt, beganAt);
    if (!this.isReconciled) this.hint();
  }

  async look() {
    const disturbances = this.disturbances;
    const { stamp, isKnown } = await this.rows.readStamp(this.applied);
    if (this.disturbances !== disturbances || this.phase !== "holding") return;
    if (!isKnown || this.wentBackwards(stamp)) return this.quarantine();
    const isNew = !this.applied || stamp.generation !== this.applied.generation;
    // What it acknowledges meanwhile is how it notices a tail that is lost meanwhile.
    if (this.isQuarantined()) return isNew ? this.reconcile() : undefined;
    if (isNew || !this.isReconciled || (await this.hasEdits())) await this.reconcile();
  }

  /** One slice of the own rows per second. */
  async hasEdits() {
    this.slice = (this.slice + 1) % SLICES;
    return (await this.compare(this.slice, SLICES)).differs;
  }

  /** All own rows at once, for whoever waits for an edit: when that was, or null where there is no lease. */
  async reread() {
    if (this.phase !== "holding" || !this.isReconciled) return null;
    const { differs, at } = await this.compare(0, 1);
    if (differs) this.hint();
    return at;
  }

  /** Edited monitors are restarted at once; `differs`: some came or went, which is for a reconciliation. */
  async compare(slice, of) {
    const rows = await this.rows.readSlice(slice, of);
    // Taken before: what is restarted now begins later.
    const at = this.clock.wall();
    await this.runs.compare(rows);
    const there = new Set(rows.map((row) => row.id));
    const before = [...this.mine].filter((id) => id % of === slice);
    return { at, differs: before.length !== there.size || before.some((id) => !there.has(id)) };
  }

  /** Stop, acknowledge, start. */
  async reconcile() {
    const disturbances = this.disturbances;
    const isCurrent = () => this.disturbances === disturbances && this.phase === "holding";
    // What is read before it ends starts nothing after it.
    const isQuarantined = this.isQuarantined();
    const { stamp, monitors } = await this.rows.readAssignments();
    if (!isCurrent()) return;
    if (this.wentBackwards(stamp)) return this.quarantine();
    // What was given away and back while this node was out may have been counted by another meanwhile.
    const newest = this.isReconciled ? Infinity : (this.applied?.generation ?? -1);
    const gone = [...this.mine].filter((id) => !(monitors.get(id) <= newest));
    for (const id of gone) this.mine.delete(id);
    await this.stop(() => this.runs.stop(gone), false);
    if (!isCurrent()) return;
    const beganAt = this.clock.now();
    const ours = await this.rows.renew(stamp, null);
    await this.noteRenewal(beganAt, ours);
    if (!ours || this.phase !== "holding") return;
    this.applied = stamp;
    // Suspended meanwhile: what was acknowledged was read before that, so it is read again before anything runs.
    if (!isCurrent() || isQuarantined) return;
    this.isReconciled = true;
    const gained = [...monitors.keys()].filter((id) => !this.mine.has(id));
    if (gone.length || gained.length) {
      this.log.info(`generation ${stamp.generation}: ${monitors.size} monitors, ${gained.length} gained, ${gone.length} left`);
    }
    this.mine = new Set(monitors.keys());
    this.runs.start(gained);
    this.runs.resume(this.mine);
  }

  /** A generation below the applied one, or the same with another nonce: the database lost its tail. */
  wentBackwards(stamp) {
    const applied = this.applied;
    if (!applied) return false;
    if (stamp.generation === applied.generation) return stamp.nonce !== applied.nonce;
    return stamp.generation < applied.generation;
  }

  /** What this node runs may be another's now, and the other does not know either. */
  async quarantine() {
    this.log.error("the database lost its tail: nothing runs here for one lease");
    this.applied = null;
    this.quarantinedUntil = this.clock.now() + WATCH;
    await this.dropAll();
  }

  /** The row is somebody else's, or nobody's. */
  async loseRow() {
    if (this.phase !== "holding") return;
    this.log.error("the lease was revoked: everything stops, and this node registers anew");
    this.phase = "registering";
    this.watched = null;
    this.renewedAt = -Infinity;
    this.applied = null;
    this.distrust();
    await this.dropAll();
  }

  /**
   * Whoever has applied nothing has no generation by which to notice that the database lost its tail. Where a statement
   * failed it may have, and another node may still run what this one is given.
   */
  distrust() {
    if (!this.applied) this.quarantinedUntil = Math.max(this.quarantinedUntil, this.failedAt + WATCH);
  }

  isQuarantined() {
    return this.clock.now() < this.quarantinedUntil;
  }

  async dropAll() {
    this.disturbances += 1;
    this.isReconciled = false;
    this.mine = new Set();
    await this.stop(() => this.runs.stopAll(), true);
  }

  /** The connection that held this process' lock has ended, whoever ended it. */
  loseLock() {
    if (this.phase !== "holding") return;
    this.lockLostAt = this.clock.now();
    this.renewedAt = -Infinity;
    this.suspend("the connection that holds the lock of this lease was ended");
    this.renewNow();
  }

  /** Fenced: runs end, what they know stays, and all go on as soon as the lease is back. */
  suspend(why = "no renewal for 8 s") {
    this.disturbances += 1;
    if (!this.isReconciled) return;
    this.log.warn(`${why}: runs are suspended until the lease is renewed`);
    this.isReconciled = false;
    this.runs.suspend();
  }

  /** `isLeaseLost`: others may run all of it, and nothing begins here before it is over. A new process has new connections. */
  async stop(act, isLeaseLost) {
    this.stopping += 1;
    try {
      const stopped = act();
      if (await this.inTime(stopped, WATCH)) return;
      const words = "what was stopped is still being stored after 11 s: a statement hangs in the database";
      if (isLeaseLost) this.giveUp(words);
      // A move is a wish: its monitors wait, what runs goes on.
      else this.log.warn(`${words}; a move waits for it`);
      await stopped;
    } finally {
      this.stopping -= 1;
    }
  }

  /** Whether it is fulfilled within so long. */
  inTime(promise, ms) {
    return Promise.race([promise.then(() => true), this.clock.sleep(ms).then(() => false)]);
  }

  /** A statement failed: what was read before may be what the database has lost since. */
  disturb(error) {
    this.disturbances += 1;
    if (!(error instanceof Unentered)) {
      this.failedAt = this.clock.now();
      this.distrust();
    }
    if (this.phase === "registering") this.watched = null;
    if (!this.complaint) this.log.warn(error.message);
    this.complaint = error.message;
  }

  async pause(ms) {
    if (!this.isHinted) await Promise.race([this.clock.sleep(ms), new Promise((resolve) => (this.wake = resolve))]);
    this.isHinted = false;
  }
}

module.exports = { Tenure, RENEWAL, FENCE, WATCH };
