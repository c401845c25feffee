"use strict";
// Kuma's own messages across the death of its node. Kuma tells people of a change before it stores the beat that says so: who
// dies in between leaves the next owner to find the same change, and to tell it again. So each message is noted in a table of
// ours, before it leaves and when it was handed over: the next owner leaves out what was handed over, and marks what may have
// been. Where the note cannot be written the message is sent all the same.

const crypto = require("node:crypto");

const [DOWN, UP] = [0, 1];
const MARK = "(may have been told before: the node that was telling it was lost)";

class Telling {
  /** `kuma` has sendNotification(isFirstBeat, monitor, beat). */
  constructor({ kuma, runs, wire, log }) {
    Object.assign(this, { kuma, runs, wire, log });
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
      const { run } = this.runs.current();
      const [config, , , beat] = args;
      // Kuma says the same again and again where it is told to; only a change is told once.
      if (!run || !beat?.important) return send();
      const note = { monitor: run.id, channel: fingerprint(config), status: beat.status };
      const known = await this.read(note).catch(() => null);
      if (known?.isSame && known.isDone) {
        this.log.info(`monitor ${run.id}: told already, by a node that was lost before it had stored the beat`);
        return "told already";
      }
      if (known?.isSame) mark(args);
      note.since = known?.since;
      if (known) await this.begin(note).catch(() => {});
      // It took a moment.
      return this.runs.beforeTelling(() => this.send(note, send));
    });
  }

  async send(note, send) {
    const answer = await send();
    // Until a change is stored, what people know is more than Kuma does.
    const { run } = this.runs.current();
    if (run) run.isToldDown = note.status === DOWN;
    // Before anything else of this process can fail.
    if (note.since !== undefined) await this.done(note).catch((error) => this.log.warn(`noting a message: ${error.message}`));
    return answer;
  }

  /** The change that a message is about began with the last one that was stored; `isSame`: of this one somebody told already. */
  async read({ monitor, channel, status }) {
    const sql =
      "SELECT COALESCE((SELECT MAX(h.id) FROM heartbeat h WHERE h.monitor_id = ? AND h.important = 1), 0) AS since, " +
      "t.since AS told_since, t.status, t.is_done FROM (SELECT 1) one LEFT JOIN komainu_told t ON t.monitor_id = ? AND t.channel = ?";
    const [row] = await this.wire.query(sql, [monitor, monitor, channel]);
    const since = Number(row.since);
    return { since, isSame: row.told_since !== null && Number(row.told_since) === since && row.status === status, isDone: Boolean(row.is_done) };
  }

  async begin({ monitor, channel, since, status }) {
    const sql =
      "INSERT INTO komainu_told (monitor_id, channel, since, status, is_done) VALUES (?, ?, ?, ?, 0) " +
      "ON DUPLICATE KEY UPDATE since = VALUES(since), status = VALUES(status), is_done = 0";
    await this.wire.query(sql, [monitor, channel, since, status]);
  }

  async done({ monitor, channel, since, status }) {
    const sql = "UPDATE komainu_told SET is_done = 1 WHERE monitor_id = ? AND channel = ? AND since = ? AND status = ?";
    await this.wire.query(sql, [monitor, channel, since, status]);
  }
}

/** Which of Kuma's notifications it is: what is handed over has no number. */
const fingerprint = (config) => crypto.createHash("sha256").update(JSON.stringify(config)).digest("hex").slice(0, 16);

/** Some vendors are sent the text, others the beat. */
function mark(args) {
  args[1] = `${args[1]} ${MARK}`;
  args[3] = { ...args[3], msg: `${args[3].msg} ${MARK}` };
}

module.exports = { Telling, MARK };
