"use strict";
// All SQL of the node protocol. Each statement is guarded by this process's incarnation and rests on no earlier one.

// What Kuma itself writes while it runs a monitor, and what says nothing about how it is run.
const NOT_AN_EDIT = new Set(
  ["id", "dns_last_result", "created_date", "weight", "node_id", "assigned_node", "modified_date", "last_seen"],
);
const NOW_MS = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
const IDS_AT_ONCE = 1_000;
/** A clock that is off by so much more or less than at the renewal before has been set: slow answers differ by less. */
const STEP_MS = 5_000;

class Rows {
  /** `lease` carries renewals and acknowledgements only: nothing slow may stand before them. `lock` is on its connection. */
  constructor({ identity, lease, eyes, lock }) {
    Object.assign(this, { identity, lease, eyes, lock });
    this.fingerprint = null;
  }

  /** The own row; `is_abandoned`: who has it listened where this process does, and its lock at the database is free. */
  async readRow() {
    const { id, hostname, address } = this.identity;
    const sql =
      "SELECT incarnation, is_released, lease_seq, hostname, address, server, had_lock FROM node WHERE node_id = ?";
    const [row] = await this.lease.query(sql, [id]);
    if (!row) return row;
    const isHere = row.hostname === hostname && row.address === address;
    const is_abandoned = isHere && (await this.lock.isFreeOf(row));
    return { ...row, lease_seq: Number(row.lease_seq), is_released: Boolean(row.is_released), is_abandoned };
  }

  /** Takes the row, guarded by what was seen. Never touches the status. */
  async register(seen) {
    const { id, incarnation, address, hostname } = this.identity;
    const sql =
      "UPDATE node SET incarnation = ?, lease_seq = lease_seq + 1, is_released = 0, applied_generation = NULL, " +
      "applied_nonce = NULL, foreign_beats = 0, had_lock = 0, server = NULL, host = ?, hostname = ?, address = ?, kinds = NULL, runner = 'kuma', " +
      `clock_ms = ?, last_seen_ms = ${NOW_MS}, last_seen = UTC_TIMESTAMP() ` +
      "WHERE node_id = ? AND incarnation <=> ? AND lease_seq = ?";
    const values = [incarnation, new URL(address).host, hostname, address, Date.now(), id, seen.incarnation, seen.lease_seq];
    return (await this.lease.query(sql, values)).affectedRows === 1;
  }

  /** Raises the counter; false: the row is another's. */
  async renew(applied, foreignBeats) {
    const { id, incarnation } = this.identity;
    const hasLock = await this.lock.take();
    const sql =
      "UPDATE node SET lease_seq = lease_seq + 1, applied_generation = ?, applied_nonce = ?, had_lock = ?, server = ?, " +
      // From left to right: it looks at the clock of the renewal before.
      `foreign_beats = COALESCE(?, foreign_beats), clock_stepped_ms = CASE WHEN ABS((? - ${NOW_MS}) - ` +
      `(clock_ms - last_seen_ms)) > ${STEP_MS} THEN ${NOW_MS} ELSE clock_stepped_ms END, ` +
      `clock_ms = ?, last_seen_ms = ${NOW_MS}, last_seen = UTC_TIMESTAMP() ` +
      "WHERE node_id = ? AND incarnation = ?";
    const clock = Date.now();
    const stamp = [applied?.generation ?? null, applied?.nonce ?? null];
    const values = [...stamp, hasLock ? 1 : 0, this.lock.server, foreignBeats ?? null, clock, clock, id, incarnation];
    const isOurs = (await this.lease.query(sql, values)).affectedRows === 1;
    if (!hasLock) this.lock.settle();
    return isOurs;
  }

  async release() {
    const sql = "UPDATE node SET incarnation = NULL, is_released = 1 WHERE node_id = ? AND incarnation = ?";
    return (await this.lease.query(sql, [this.identity.id, this.identity.incarnation])).affectedRows === 1;
  }

  /** The cluster's stamp, and whether the history knows `applied`. */
  async readStamp(applied) {
    const sql =
      "SELECT c.generation, c.nonce, (SELECT COUNT(*) FROM komainu_generation g " +
      "WHERE g.generation = ? AND g.nonce = ?) AS known FROM komainu_cluster c WHERE c.id = 1";
    const [row] = await this.eyes.query(sql, [applied?.generation ?? null, applied?.nonce ?? null]);
    if (!row) throw new Error("komainu_cluster has no row: run `komainu migrate`");
    return { stamp: { generation: Number(row.generation), nonce: row.nonce }, isKnown: !applied || Number(row.known) > 0 };
  }

  /**
   * The stamp, read first, then the own active monitors, which are at least as new: id to the generation it came by.
   * Push monitors come first: whoever pushes is refused until they have started.
   */
  async readAssignments() {
    const { stamp } = await this.readStamp(null);
    const sql =
      "SELECT a.monitor_id AS id, a.generation FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id " +
      "WHERE a.effective_node = ? AND m.active = 1 ORDER BY m.type <> 'push', m.id";
    const rows = await this.eyes.query(sql, [this.identity.id], 20_000);
    return { stamp, monitors: new Map(rows.map((row) => [row.id, Number(row.generation)])) };
  }

  /** Fingerprints of the own active monitors of one slice (`id % of = slice`), and whether statistics are left of each. */
  async readSlice(slice, of) {
    const sql =
      `SELECT m.id, ${await this.fingerprinted()} AS fingerprint, ` +
      "EXISTS (SELECT 1 FROM stat_daily s WHERE s.monitor_id = m.id) AS has_statistics " +
      "FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id " +
      "WHERE a.effective_node = ? AND m.active = 1 AND m.id % ? = ?";
    return this.eyes.query(sql, [this.identity.id, of, slice]);
  }

  /** Whole rows with their fingerprints, of the same moment: what is started is what is compared later. */
  async readMonitors(ids) {
    const fingerprint = `${await this.fingerprinted()} AS komainu_fingerprint`;
    const sql = `SELECT m.*, ${fingerprint} FROM monitor m WHERE m.id IN (?) AND m.active = 1`;
    return this.eyes.query(sql, [ids], 10_000);
  }

  /** So that a monitor which was paused for months does not count as overdue at once. */
  async started(ids) {
    for (let at = 0; at < ids.length; at += IDS_AT_ONCE) {
      const sql =
        `UPDATE komainu_assignment SET started_at_ms = ${NOW_MS} WHERE monitor_id IN (?) AND effective_node = ? ` +
        "AND EXISTS (SELECT 1 FROM node n WHERE n.node_id = ? AND n.incarnation = ?)";
      const { id, incarnation } = this.identity;
      await this.eyes.query(sql, [ids.slice(at, at + IDS_AT_ONCE), id, id, incarnation]);
    }
  }

  /** Of every monitor: whose it is, who runs it, and what of it a list shows. */
  async readPlaces() {
    const sql =
      "SELECT m.id, m.user_id, COALESCE(a.effective_node, '') AS node, m.active, m.name, m.parent, m.type, m.url FROM monitor m " +
      "LEFT JOIN komainu_assignment a ON a.monitor_id = m.id";
    return this.eyes.query(sql, [], 10_000);
  }

  /** Whether no online Kuma node has a lower id: one of them all is enough for what concerns the whole database. */
  async isFirstNode() {
    const sql =
      "SELECT MIN(node_id) AS first FROM node WHERE runner = 'kuma' AND incarnation IS NOT NULL AND komainu_status = 'online'";
    const [row] = await this.eyes.query(sql);
    return !row.first || row.first === this.identity.id;
  }

  /**
   * A statement of Kuma's that stores a row, made to do nothing once somebody took this node's lease: it may be held up
   * for longer than a lease, or this process be frozen after its last look.
   */
  fenced({ sql, bindings }) {
    const insert = /^(insert into `\w+` \([^)]+\)) values \((\?(?:, \?)*)\)$/.exec(sql);
    const isUpdate = /^update `\w+` set .+ where `id` = \?$/.test(sql);
    if (!insert && !isUpdate) return { sql, bindings };
    const rest = insert ? `${insert[1]} select ${insert[2]} from dual where` : `${sql} and`;
    const isHeld = "exists (select 1 from `node` where `node_id` = ? and `incarnation` = ?)";
    return { sql: `${rest} ${isHeld}`, bindings: [...bindings, this.identity.id, this.identity.incarnation] };
  }

  async fingerprinted() {
    if (!this.fingerprint) {
      const columns = await this.eyes.query("SHOW COLUMNS FROM monitor");
      const counted = columns.filter(({ Field, Extra }) => !NOT_AN_EDIT.has(Field) && !/on update/i.test(Extra));
      this.fingerprint = `MD5(CONCAT_WS(',', ${counted.map(({ Field }) => `QUOTE(m.\`${Field}\`)`).join(", ")}))`;
    }
    return this.fingerprint;
  }
}

module.exports = { Rows };
