"use strict";
// Kuma's own messages across the death of its node. Kuma tells people of a change before it stores the beat that says so: who
// dies in between leaves the next owner to find the same change, and to tell it again. So each message is noted in a table of
// ours, before it leaves and when it was handed over: the next owner leaves out what was handed over, and marks what may have
// been. While the database does not answer a message waits for it, as long as this node may store the beat: what would be told now would
// be told again by whoever stores it.

const crypto = require("node:crypto");

const [DOWN, UP] = [0, 1];
const TOLD = "told already";
/** What became of a message, in `is_done`: it is under way, was handed over, was refused by the vendor. */
const [HANDED_OVER, REFUSED] = [1, 2];
/** What the server will say again however often it is asked: no such table or column, no right to it. */
const LASTING = new Set([1054, 1142, 1146]);
const RETRY = 500;
/** So long it is tried to note what was handed over: as long as a lease lasts. */
const NOTED_WITHIN = 8_000;
/** So long what this process is still telling keeps another message about the same monitor on the same way. */
const OWN_WITHIN = 20_000;
const MARK = "(may have been told before: the node that was telling it was lost)";

class Telling {
  /** `kuma` has sendNotification(isFirstBeat, monitor, beat). */
  constructor({ kuma, runs, wire, log, clock = require("./clock") }) {
    Object.assign(this, { kuma, runs, wire, log, clock });
    /** By beat, whether its end is komainu's: all of a monitor's notifications get one answer. */
    this.ends = new WeakMap();
    /** By monitor and channel: what has no answer yet, also of a run that was ended meanwhile. */
    this.underWay = new Map();
  }

  /**
   * Of these monitors, those of which people were told DOWN although the last change that was stored is another; undefined
   * where that could not be read: a table of ours keeps nobody from watching, and is asked again.
   */
  async toldDown(ids) {
    const sql =
      "SELECT DISTINCT t.monitor_id AS id FROM komainu_told t WHERE t.monitor_id IN (?) AND t.status = 0 AND t.since = " +
      "COALESCE((SELECT MAX(h.id) FROM heartbeat h WHERE h.monitor_id = t.monitor_id AND h.important = 1), 0)";
    const rows = await this.wire.query(sql, [ids]).catch(() => undefined);
    return rows && new Set(rows.map(({ id }) => id));
  }

  /** Before a beat is stored: where people were told DOWN and it is up, they are told UP, though for Kuma nothing changed. */
  async endOpen(beat) {
    const { run } = this.runs.current();
    // Only UP decides anything; of an important one Kuma tells.
    if (!run || beat.status !== UP || beat.important) return;
    run.isToldDown ??= (await this.toldDown([run.id]))?.has(run.id);
    if (!run.isToldDown) return;
    beat.important = true;
    this.log.info(`monitor ${run.id}: told DOWN before that could be stored, and up: told`);
    await this.kuma.sendNotification(false, run.bean, beat);
  }

  /** Instead of `Notification.send(config, msg, monitor, beat)`, whose arguments are `args`. */
  tell(send, args) {
    return this.runs.beforeTelling(async () => {
      const { run, relay } = this.runs.current();
      const [config, , , beat] = args;
      // Kuma says the same again and again where it is told to; only a change is told once.
      if (!(relay ?? run) || !beat?.important) return send();
      if (relay) return this.relay(relay, send, args);
      if (run && (await this.isKomainus(run, beat))) return "komainu tells it";
      const note = { monitor: run.id, channel: fingerprint(config), status: beat.status };
      await this.waitForOwn(note);
      if ((await this.insist(() => this.begin(note, args))) === TOLD) return TOLD;
      // It took a moment.
      return this.runs.beforeTelling(() => this.send(note, send));
    });
  }

  /** The same of what a native node found: whoever was to tell it and could not is followed by another. */
  async relay(relay, send, args) {
    const note = { monitor: relay.id, channel: fingerprint(args[0]), status: args[3].status };
    try {
      if (!(await relay.mayGoOn())) return "another node tells it";
      if ((await this.begin(note, args, relay.since)) === TOLD) return TOLD;
    } catch (error) {
      relay.isCut = true;
      throw error;
    }
    return this.send(note, send);
  }

  /** Until it is done, the run may not go on, or the server will never do it. */
  async insist(act) {
    for (;;) {
      try {
        return await act();
      } catch (error) {
        if (LASTING.has(error.errno)) return undefined;
      }
      await this.clock.sleep(RETRY);
      await this.runs.beforeTelling(async () => {});
    }
  }

  /** This process lives, so what it is telling is not lost: its end says whether there is anything left to be told. */
  async waitForOwn(note) {
    const own = this.underWay.get(wayOf(note));
    if (!own) return;
    await Promise.race([own, this.clock.sleep(OWN_WITHIN)]);
    await this.runs.beforeTelling(async () => {});
  }

  send(note, send) {
    const way = wayOf(note);
    const sent = this.handOver(note, send);
    const ended = sent.then(() => {}, () => {});
    this.underWay.set(way, ended);
    ended.then(() => this.underWay.get(way) === ended && this.underWay.delete(way));
    return sent;
  }

  async handOver(note, send) {
    const answer = await send().catch(async (error) => {
      // Kuma does not try it again, and nobody else is to.
      await this.note(note, REFUSED);
      throw error;
    });
    // Until a change is stored, what people know is more than Kuma does.
    const { run } = this.runs.current();
    if (run) run.isToldDown = note.status === DOWN;
    // Before anything else of this process can fail.
    await this.note(note, HANDED_OVER);
    return answer;
  }

  /**
   * Whether an UP ends what only komainu told: a native node found the monitor down, and no stock node told that. An UP without a DOWN
   * helps nobody; komainu's channels hear how it ends.
   */
  async isKomainus({ id }, beat) {
    if (beat.status !== UP) return false;
    const sql =
      "SELECT EXISTS (SELECT 1 FROM komainu_down WHERE monitor_id = ?) AS is_noted, " +
      "EXISTS (SELECT 1 FROM komainu_told WHERE monitor_id = ? AND status = 0) AS is_told";
    const ask = async () => {
      const [row] = await this.wire.query(sql, [id, id]);
      return Boolean(row.is_noted) && !row.is_told;
    };
    if (!this.ends.has(beat)) this.ends.set(beat, this.insist(ask));
    return this.ends.get(beat);
  }

  /** It is up, and whoever is to hear that has: Kuma tells nobody after a maintenance. Before that is stored, or it would be told anew. */
  async settle(monitor) {
    const sql = "UPDATE komainu_told SET status = 1, is_done = 1 WHERE monitor_id = ? AND (status = 0 OR is_done = 0)";
    await this.insist(() => this.wire.query(sql, [monitor]));
  }

  /**
   * The change that a message is about began with the last one that was stored, or with `before`, where it was stored itself;
   * `isSame`: of this one somebody told already.
   */
  async read({ monitor, channel, status }, before) {
    const sql =
      "SELECT COALESCE((SELECT MAX(h.id) FROM heartbeat h WHERE h.monitor_id = ? AND h.important = 1), 0) AS since, " +
      "t.since AS told_since, t.status, t.is_done FROM (SELECT 1) one LEFT JOIN komainu_told t ON t.monitor_id = ? AND t.channel = ?";
    const [row] = await this.wire.query(sql, [monitor, monitor, channel]);
    const since = before ?? Number(row.since);
    const isSame = row.told_since !== null && Number(row.told_since) === since && row.status === status;
    return { since, isSame, isDone: row.is_done === HANDED_OVER };
  }

  /** Notes that a message is about to leave; fills in which change it is about. */
  async begin(note, args, before) {
    const { since, isSame, isDone } = await this.read(note, before);
    if (isSame && isDone) {
      this.log.info(`monitor ${note.monitor}: told already, by a node that was lost before it had stored the beat`);
      return TOLD;
    }
    const sql =
      "INSERT INTO komainu_told (monitor_id, channel, since, status, is_done) VALUES (?, ?, ?, ?, 0) " +
      "ON DUPLICATE KEY UPDATE since = VALUES(since), status = VALUES(status), is_done = 0";
    // Where the answer is lost it is done once more, and what is found then is its own.
    note.isSecond ??= isSame;
    await this.wire.query(sql, [note.monitor, note.channel, since, note.status]);
    if (note.isSecond) mark(args);
    note.since = since;
    return undefined;
  }

  /** What became of it, also where the lease was lost meanwhile: it is so. */
  async note({ monitor, channel, since, status }, outcome) {
    if (since === undefined) return;
    const sql = "UPDATE komainu_told SET is_done = ? WHERE monitor_id = ? AND channel = ? AND since = ? AND status = ?";
    const until = this.clock.now() + NOTED_WITHIN;
    for (;;) {
      try {
        await this.wire.query(sql, [outcome, monitor, channel, since, status]);
        return;
      } catch (error) {
        if (this.clock.now() >= until) return this.log.warn(`noting a message: ${error.message}`);
      }
      await this.clock.sleep(RETRY);
    }
  }
}

const wayOf = ({ monitor, channel }) => `${monitor} ${channel}`;

/** Which of Kuma's notifications it is: what is handed over has no number. */
const fingerprint = (config) => crypto.createHash("sha256").update(JSON.stringify(config)).digest("hex").slice(0, 16);

/** Some vendors are sent the text, others the beat. */
function mark(args) {
  args[1] = `${args[1]} ${MARK}`;
  args[3] = { ...args[3], msg: `${args[3].msg} ${MARK}` };
}

module.exports = { Telling, MARK };
