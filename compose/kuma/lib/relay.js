"use strict";
// Kuma's own messages about monitors that a native node runs, which has none of Kuma's vendors: any stock node sends them, in Kuma's
// words and to whom they always went. What is owed is read from what is stored (beats, `komainu_told`, `komainu_down`), so
// nothing is lost with whoever was to send it; who sends it holds a row of `komainu_relay` meanwhile.
//
// An UP is owed where people were told DOWN, whoever runs the monitor by then. A DOWN is owed where a native node found it; where nobody
// sends that for half a minute, a watchdog takes the row, and tells it through komainu's channels.

const NOW_MS = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
/** A claim that was not renewed for so long is somebody's who was lost; renewed before each message. */
const CLAIM_MS = 30_000;
const MOST = 200;
const AT_ONCE = 10;

const CHANGE = "(SELECT MAX(c.id) FROM heartbeat c WHERE c.monitor_id = o.id AND c.important = 1)";
const BEFORE = "COALESCE((SELECT MAX(p.id) FROM heartbeat p WHERE p.monitor_id = o.id AND p.important = 1 AND p.id < h.id), 0)";
const IS_LISTED = "EXISTS (SELECT 1 FROM monitor_notification x WHERE x.monitor_id = o.id)";
const IS_FREE = `(r.monitor_id IS NULL OR r.is_done <> 0 OR r.at < ${NOW_MS} - ${CLAIM_MS})`;

/** Changes that were stored: `since` is the change before. Of an UP somebody died who was telling it, or its DOWN was told. */
const STORED =
  `SELECT o.id, h.id AS beat, h.status, ${BEFORE} AS since FROM (SELECT DISTINCT monitor_id AS id FROM komainu_told ` +
  "WHERE status = 0 OR is_done = 0 UNION SELECT monitor_id FROM komainu_down) o JOIN monitor m ON m.id = o.id AND m.active = 1 " +
  `JOIN heartbeat h ON h.id = ${CHANGE} LEFT JOIN komainu_relay r ON r.monitor_id = o.id ` +
  `WHERE ${IS_FREE} AND (r.monitor_id IS NULL OR r.beat < h.id OR (r.beat = h.id AND r.is_done = 0)) AND ${IS_LISTED} AND ` +
  "((h.status = 0 AND EXISTS (SELECT 1 FROM komainu_down d WHERE d.monitor_id = o.id)) OR (h.status = 1 AND EXISTS " +
  "(SELECT 1 FROM komainu_told t WHERE t.monitor_id = o.id AND ((t.status = 0 AND t.since < h.id) OR " +
  `(t.status = 1 AND t.is_done = 0 AND t.since = ${BEFORE}))))) ORDER BY h.id LIMIT ${MOST}`;

/** Told DOWN by a stock node that was lost before it had stored that, and found up by a native one: to that one nothing changed. */
const UNSTORED =
  "SELECT o.id, h.id AS beat, h.status, o.since FROM (SELECT DISTINCT monitor_id AS id, since FROM komainu_told WHERE status = 0) o " +
  "JOIN monitor m ON m.id = o.id AND m.active = 1 JOIN komainu_assignment a ON a.monitor_id = o.id " +
  "JOIN node n ON n.node_id = a.effective_node AND n.runner = 'native' " +
  "JOIN heartbeat h ON h.id = (SELECT MAX(l.id) FROM heartbeat l WHERE l.monitor_id = o.id) " +
  `LEFT JOIN komainu_relay r ON r.monitor_id = o.id WHERE ${IS_FREE} AND (r.monitor_id IS NULL OR r.beat < h.id) AND ${IS_LISTED} ` +
  `AND o.since = COALESCE(${CHANGE}, 0) AND h.status = 1 AND h.id > a.started_after ORDER BY h.id LIMIT ${MOST}`;

class Relay {
  /** `kuma` has R and sendNotification(isFirstBeat, monitor, beat). */
  constructor({ kuma, identity, wire, runs, tenure, telling, log }) {
    Object.assign(this, { kuma, identity, wire, runs, tenure, telling, log });
  }

  async look() {
    if (!this.holdsLease()) return;
    const owed = [...(await this.wire.query(STORED, [], 5_000)), ...(await this.wire.query(UNSTORED, [], 5_000))];
    const work = async () => {
      for (let one = owed.shift(); one; one = owed.shift()) await this.tell(one);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  holdsLease() {
    return this.tenure.phase === "holding" && this.tenure.leaseLeft() > 0;
  }

  async tell({ id, beat, status, since }) {
    const claim = [id, this.identity.incarnation, beat];
    if (!(await this.claim(claim))) return;
    const { R } = this.kuma;
    const [monitor, bean] = [await R.findOne("monitor", " id = ? ", [id]), await R.findOne("heartbeat", " id = ? ", [beat])];
    // Deleted meanwhile, or its history cleared.
    if (!monitor || !bean) return;
    bean.important = true;
    const relay = { id, since: Number(since), mayGoOn: () => this.mayGoOn(claim) };
    await this.runs.context.run({ run: null, isPush: false, relay }, () => this.kuma.sendNotification(false, monitor, bean));
    if (relay.isCut || !(await this.mayGoOn(claim))) return;
    this.log.info(`monitor ${id}: told ${status === 0 ? "DOWN" : "UP"} for a native node`);
    // Nobody is left who has heard DOWN: a notification that was taken from the monitor meanwhile asks for nothing any more.
    if (status !== 0) await this.telling.settle(id);
    await this.wire.query("UPDATE komainu_relay SET is_done = 1 WHERE monitor_id = ? AND holder = ? AND beat = ?", claim);
  }

  /** Whether this process is the one that tells it: nobody else holds it, and nobody did it. */
  async claim([id, holder, beat]) {
    const made = `INSERT IGNORE INTO komainu_relay (monitor_id, beat, holder, at, is_done) VALUES (?, ?, ?, ${NOW_MS}, 0)`;
    if ((await this.wire.query(made, [id, beat, holder])).affectedRows === 1) return true;
    const taken =
      `UPDATE komainu_relay SET beat = ?, holder = ?, at = ${NOW_MS}, is_done = 0 WHERE monitor_id = ? AND ` +
      `((is_done <> 0 AND beat < ?) OR (is_done = 0 AND at < ${NOW_MS} - ${CLAIM_MS}))`;
    return (await this.wire.query(taken, [beat, holder, id, beat])).affectedRows === 1;
  }

  /** Before each message: a process that was frozen may have lost both. */
  async mayGoOn(claim) {
    const sql = `UPDATE komainu_relay SET at = ${NOW_MS} WHERE monitor_id = ? AND holder = ? AND beat = ? AND is_done = 0`;
    return this.holdsLease() && (await this.wire.query(sql, claim)).affectedRows === 1;
  }
}

module.exports = { Relay };
