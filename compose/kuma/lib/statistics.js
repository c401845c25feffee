"use strict";
// Kuma's uptime statistics are absolute counters in the memory of whoever counts. So they are kept only for monitors
// that this node runs, read anew whenever one comes, and read fast: Kuma makes an object with 20 hidden parts of every
// row. Here the database packs a monitor's rows into one text of JSON, and Kuma's own `init` gets plain objects with
// the same names and values.

const TABLES = { stat_minutely: 24 * 3_600, stat_hourly: 30 * 86_400, stat_daily: 365 * 86_400 };
/** `init` looks back from its own clock, which may be a little behind this one's. */
const MARGIN = 120;
/** How long the numbers of other nodes' monitors are good enough to be shown. */
const SHOWN = 60_000;
/** Each is up to a megabyte. */
const SHOWN_AT_MOST = 50;

class Statistics {
  /** `calculator` is Kuma's UptimeCalculator, `wire` a connection for long readings, `owns` says whose a monitor is. */
  constructor({ calculator, wire, clock, owns }) {
    Object.assign(this, { calculator, wire, clock, owns });
    this.packs = new Map();
    this.coming = new Map();
    this.shown = new Map();
  }

  known() {
    return Object.keys(this.calculator.list).map(Number);
  }

  drop(id) {
    this.coming.delete(id);
    this.shown.delete(id);
    delete this.calculator.list[id];
  }

  /** Reads the statistics of monitors that are about to start, all at once; those of which it could not, and why. */
  async prepare(ids) {
    const missing = ids.filter((id) => this.owns(id) && !this.calculator.list[id] && !this.coming.has(id));
    if (missing.length > 0) {
      const fetched = this.fetch(missing);
      for (const id of missing) this.come(id, fetched.then((packs) => this.unpack(id, packs)));
    }
    const outcomes = await Promise.allSettled(ids.map((id) => this.of(id)));
    return new Map(outcomes.flatMap(({ reason }, at) => (reason ? [[ids[at], reason]] : [])));
  }

  async fetch(ids) {
    const since = Math.floor(this.clock.wall() / 1_000) - MARGIN;
    const packs = new Map();
    for (const [table, span] of Object.entries(TABLES)) {
      const rows = await this.wire.query(packed(table), [ids, since - span], 60_000);
      for (const { monitor_id: id, pack } of rows) packs.set(`${table}/${id}`, JSON.parse(pack));
    }
    return packs;
  }

  async unpack(id, packs) {
    const names = Object.keys(TABLES).map((table) => `${table}/${id}`);
    for (const name of names) this.packs.set(name, packs.get(name) ?? []);
    try {
      return await this.make(id);
    } finally {
      for (const name of names) this.packs.delete(name);
    }
  }

  /** Instead of `UptimeCalculator.getUptimeCalculator`. */
  async of(anyId) {
    const id = Number(anyId);
    if (!id) throw new Error("Monitor ID is required");
    if (!this.owns(id)) return this.ofAnother(id);
    if (this.calculator.list[id]) return this.calculator.list[id];
    // Nobody gets one that is half read: what it counted would be lost.
    return this.coming.get(id) ?? this.come(id, this.make(id));
  }

  come(id, made) {
    this.coming.set(id, made);
    const forget = () => this.coming.get(id) === made && this.coming.delete(id);
    made.then((calculator) => forget() && this.owns(id) && (this.calculator.list[id] = calculator), forget);
    return made;
  }

  /** Another node counted a beat: who looks at its numbers next sees them anew. */
  renew(id) {
    this.shown.delete(id);
  }

  /** Of a monitor that another node runs: to be looked at, never kept for counting. */
  async ofAnother(id) {
    const now = this.clock.now();
    const known = this.shown.get(id);
    if (known && now - known.at < SHOWN) return known.made;
    const made = this.make(id);
    this.shown.delete(id);
    this.shown.set(id, { at: now, made });
    if (this.shown.size > SHOWN_AT_MOST) this.shown.delete(this.shown.keys().next().value);
    made.catch(() => this.shown.delete(id));
    return made;
  }

  async make(id) {
    const calculator = new this.calculator();
    await calculator.init(id);
    return calculator;
  }

  /** Instead of `R.find` on a table of statistics; null: not one of these. */
  async find(table, [monitorId, after], read) {
    if (!(table in TABLES)) return null;
    const pack = this.packs.get(`${table}/${monitorId}`);
    if (pack) return pack.filter(([timestamp]) => timestamp > after).map(unpacked);
    return read(
      `SELECT timestamp, up, down, ping, ping_min AS pingMin, ping_max AS pingMax, extras FROM ${table} ` +
        "WHERE monitor_id = ? AND timestamp > ? ORDER BY timestamp",
      [monitorId, after],
    );
  }
}

const packed = (table) =>
  "SELECT monitor_id, CONCAT('[', GROUP_CONCAT(CONCAT('[', timestamp, ',', up, ',', down, ',', ping, ',', ping_min, ',', " +
  "ping_max, ',', COALESCE(JSON_QUOTE(extras), 'null'), ']') ORDER BY timestamp SEPARATOR ','), ']') AS pack " +
  `FROM ${table} WHERE monitor_id IN (?) AND timestamp > ? GROUP BY monitor_id`;

const unpacked = ([timestamp, up, down, ping, pingMin, pingMax, extras]) => ({ timestamp, up, down, ping, pingMin, pingMax, extras });

module.exports = { Statistics, TABLES };
