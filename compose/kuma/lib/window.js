"use strict";
// What people see on this node of monitors that other nodes run: which node that is, and their beats as they come.
// Nothing of it is written to Kuma's tables: the tag `node` exists only in what is sent to browsers.

const { Figures, SPANS } = require("./figures");

/** Places that were read longer ago are read again before they are shown. */
const PLACES_KEPT = 3_000;
const COLORS = ["#4B5563", "#2563EB", "#7C3AED", "#DB2777", "#D97706", "#059669", "#0E7490", "#9F1239"];
/** Ids of beats commit out of order: the tail is read this many looks deep. */
const DEPTH = 10;
const TAIL_MOST = 5_000;
/** One's own beat may be read before Kuma has heard that it is stored. */
const OWN_GRACE = 3_000;
/** A former owner's last beats are past by then. */
const LONG_HELD = 60_000;
const CHANGES_MOST = 50;

class Window {
  constructor({ kuma, wire, rows, runs, tenure, statistics, clock }) {
    Object.assign(this, { kuma, wire, rows, runs, tenure, statistics, clock });
    this.places = null;
    /** What browsers were told of places last. */
    this.told = null;
    this.marks = [];
    this.passed = new Map();
    this.doubtful = new Map();
    this.figures = new Figures({ wire, clock });
    this.placesAt = -Infinity;
  }

  get rooms() {
    return this.kuma.server.io?.sockets?.adapter?.rooms ?? new Map();
  }

  isWatched(user) {
    return (this.rooms.get(user)?.size ?? 0) > 0;
  }

  // ---- which node ----

  /** Looks while anybody does. */
  async keepPlaces() {
    const { engine } = this.kuma.server.io;
    if (!this.places || engine.clientsCount > 0) await this.lookAtPlaces();
  }

  /** Adds the tag to what `getMonitorJSONList` made. */
  async tagged(list) {
    // A login waits for its list, not for what others are told meanwhile, which after a failover is another whole list.
    if (this.clock.now() - this.placesAt > PLACES_KEPT) await this.readPlaces().catch(() => {});
    for (const monitor of Object.values(list)) {
      const tags = (monitor.tags ?? []).filter((tag) => tag.id !== 0);
      monitor.tags = [...tags, tagOf(monitor.id, this.places?.get(monitor.id)?.node)];
    }
    return list;
  }

  /** Tells browsers of monitors that came, went, or run elsewhere now. */
  async lookAtPlaces() {
    const { rows, places } = await this.readPlaces();
    const before = this.told ?? places;
    this.told = places;
    const changed = rows.filter((row) => before.get(row.id)?.text !== places.get(row.id).text);
    const gone = [...before].filter(([id]) => !places.has(id));
    for (const [id, { user }] of gone) this.kuma.server.io.to(user).emit("deleteMonitorFromList", id);
    for (const user of new Set(changed.map((row) => row.user_id))) {
      if (this.isWatched(user)) await this.tell(user, changed.filter((row) => row.user_id === user));
    }
  }

  async readPlaces() {
    this.placesAt = this.clock.now();
    const rows = await this.rows.readPlaces();
    const places = new Map(rows.map((row) => [row.id, { user: row.user_id, node: row.node, text: JSON.stringify(row) }]));
    this.places = places;
    return { rows, places };
  }

  async tell(user, changed) {
    const { server } = this.kuma;
    if (changed.length > CHANGES_MOST) {
      server.io.to(user).emit("monitorList", await server.getMonitorJSONList(user));
      return;
    }
    for (const { id } of changed) {
      server.io.to(user).emit("updateMonitorIntoList", await server.getMonitorJSONList(user, id));
    }
  }

  // ---- their beats ----

  /** Passes on the beats that this process did not make; counts those of its own monitors, which nobody else may make. */
  async lookAtBeats() {
    if (this.marks.length === 0) {
      const [{ last }] = await this.wire.query("SELECT COALESCE(MAX(id), 0) AS last FROM heartbeat");
      this.marks = [Number(last)];
      return;
    }
    // Nobody looks: what is left to find are beats of one's own monitors that somebody else made.
    const columns = this.kuma.server.io.engine.clientsCount > 0 ? "h.*" : "h.id, h.monitor_id, h.time, h.important";
    const sql =
      `SELECT ${columns}, m.user_id FROM heartbeat h JOIN monitor m ON m.id = h.monitor_id WHERE h.id > ? ORDER BY h.id LIMIT ?`;
    const beats = await this.wire.query(sql, [this.marks[0], TAIL_MOST], 5_000);
    const now = this.clock.now();
    for (const beat of beats) if (!this.passed.has(beat.id)) this.judge(beat, now);
    this.marks.push(beats.at(-1)?.id ?? this.marks.at(-1));
    if (this.marks.length > DEPTH) this.marks.shift();
    for (const id of this.passed.keys()) if (id <= this.marks[0]) this.passed.delete(id);
  }

  judge(beat, now) {
    const isOwn = this.runs.made(beat);
    if (!isOwn && this.tenure.owns(beat.monitor_id)) {
      const since = this.doubtful.get(beat.id) ?? now;
      this.doubtful.set(beat.id, since);
      if (now - since < OWN_GRACE) return;
      if (this.runs.heldFor(beat.monitor_id) > LONG_HELD) this.tenure.foreignBeats += 1;
    }
    this.doubtful.delete(beat.id);
    this.passed.set(beat.id, true);
    if (!isOwn) this.forgetFigures(beat.monitor_id);
    // Kuma forgets the pages it made when one of its own monitors changes.
    if (!isOwn && beat.important) this.kuma.apicache?.clear();
    if (isOwn || !this.isWatched(beat.user_id)) return;
    this.kuma.server.io.to(beat.user_id).emit("heartbeat", shown(beat));
    this.kuma.sendStats(this.kuma.server.io, beat.monitor_id, beat.user_id).catch(() => {});
  }

  // ---- their figures ----

  /** The owner has counted a beat. */
  forgetFigures(id) {
    this.figures.renew(id);
    this.statistics.renew(id);
  }

  /**
   * Instead of `Monitor.sendStats`, for others' monitors. What cannot be read is not shown: a login waits for this, and must
   * not fail by it.
   */
  async sendFigures(io, id, user) {
    if (!this.isWatched(user)) return;
    const figures = await this.figures.of(Number(id)).catch(() => null);
    if (!figures) return;
    const [day] = figures;
    io.to(user).emit("avgPing", id, day.avgPing ? Number(day.avgPing.toFixed(2)) : null);
    figures.forEach(({ uptime }, at) => io.to(user).emit("uptime", id, SPANS[at][0], uptime));
  }
}

/** As a beat that was just made looks to a browser. */
const shown = (beat) => ({
  monitorID: beat.monitor_id,
  status: beat.status,
  time: beat.time,
  msg: beat.msg,
  ping: beat.ping,
  important: Boolean(beat.important),
  duration: beat.duration,
  retries: beat.retries,
  response: beat.response,
});

/** No row of `tag` or `monitor_tag` has the number 0. */
function tagOf(monitor, node) {
  const value = node || "nobody";
  const color = node ? COLORS[[...node].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % COLORS.length, 7)] : "#DC2626";
  return { id: 0, monitor_id: monitor, tag_id: 0, value, name: "node", color };
}

module.exports = { Window };
