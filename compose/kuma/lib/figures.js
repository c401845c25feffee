"use strict";
// Uptime and average ping of monitors that other nodes run, as their owners reckon them: summed by the database, many monitors
// at once. What is past and changes no more is kept for a minute; the present of each span is read with every beat.

/** What Kuma calls the span, its table, the seconds of a row, and how many rows. */
const SPANS = [
  [24, "stat_minutely", 60, 1_440],
  [720, "stat_daily", 86_400, 30],
  ["1y", "stat_daily", 86_400, 365],
];
const AT_ONCE = 100;
const TOGETHER = 20;
/** Statistics may be cleared, which changes the past. */
const PAST_KEPT = 60_000;
/** More than a cluster's monitors: what was forgotten is read again. */
const KEPT_AT_MOST = 20_000;

class Figures {
  constructor({ wire, clock }) {
    Object.assign(this, { wire, clock });
    this.known = new Map();
    this.past = SPANS.map(() => new Map());
    this.asked = [];
  }

  /** `{ uptime, avgPing }` of each span; many that are asked for together are read together. */
  of(id) {
    const minute = Math.floor(this.clock.wall() / 60_000);
    const known = this.known.get(id);
    if (known?.minute === minute) return known.answer;
    const answer = new Promise((resolve, reject) => this.asked.push({ id, resolve, reject }));
    this.keep(this.known, id, { minute, answer });
    answer.catch(() => this.known.delete(id));
    if (this.asked.length === 1) setTimeout(() => this.read(), TOGETHER);
    return answer;
  }

  /** A beat of it was stored. */
  renew(id) {
    this.known.delete(id);
  }

  async read() {
    const { asked } = this;
    this.asked = [];
    for (let at = 0; at < asked.length; at += AT_ONCE) {
      const part = asked.slice(at, at + AT_ONCE);
      try {
        const ids = part.map(({ id }) => id);
        const sums = [];
        for (const span of SPANS.keys()) sums.push(await this.sum(ids, span));
        part.forEach(({ id, resolve }) => resolve(sums.map((of) => figure(of.get(id)))));
      } catch (error) {
        part.forEach(({ reject }) => reject(error));
      }
    }
  }

  async sum(ids, span) {
    const [, table, bucket, buckets] = SPANS[span];
    const key = Math.floor(this.clock.wall() / 1_000 / bucket) * bucket;
    // The row before the present one may still be written to.
    const present = key - bucket;
    const now = this.clock.now();
    const past = this.past[span];
    const missing = ids.filter((id) => past.get(id)?.key !== key || now - past.get(id).at >= PAST_KEPT);
    if (missing.length > 0) {
      const sums = await this.ask(table, missing, key - bucket * (buckets - 1), present);
      for (const id of missing) this.keep(past, id, { key, at: now, ...(sums.get(id) ?? NOTHING) });
    }
    const recent = await this.ask(table, ids, present, key + 2 * bucket);
    return new Map(ids.map((id) => [id, added(past.get(id) ?? NOTHING, recent.get(id) ?? NOTHING)]));
  }

  async ask(table, ids, from, before) {
    const sql =
      `SELECT monitor_id AS id, SUM(up) AS up, SUM(down) AS down, SUM(ping * up) AS ping FROM ${table} ` +
      "WHERE monitor_id IN (?) AND timestamp >= ? AND timestamp < ? GROUP BY monitor_id";
    const rows = await this.wire.query(sql, [ids, from, before], 20_000);
    return new Map(rows.map((row) => [row.id, { up: Number(row.up), down: Number(row.down), ping: Number(row.ping) }]));
  }

  keep(map, id, value) {
    if (map.size >= KEPT_AT_MOST && !map.has(id)) map.clear();
    map.set(id, value);
  }
}

const NOTHING = { up: 0, down: 0, ping: 0 };

const added = (one, other) => ({ up: one.up + other.up, down: one.down + other.down, ping: one.ping + other.ping });

function figure({ up, down, ping }) {
  if (up + down === 0) return { uptime: 0, avgPing: null };
  return { uptime: up / (up + down), avgPing: up === 0 ? null : ping / up };
}

module.exports = { Figures, SPANS };
