"use strict";
// What this node answers to watchdogs and gateways, before any of Kuma's own handlers sees the request (Kuma parses
// bodies, and what is signed is the raw body).

const { Pushes } = require("./pushes");
const { HEADER, refusal } = require("./signature");
const { within } = require("./wire");

const PATH_HEALTH = "/api/v1/health";
const PATH_HINT = "/api/v1/reconcile-monitors";
/** In the query of a hint whose sender waits until a monitor's row was read: all are. It is not part of what is signed. */
const REREAD = /^reread=\d+$/;
const REREAD_LIMIT = 2_000;
/** Express takes any spelling of a path. */
const PUSH = /^\/api\/push\/([^/]+)\/?$/i;
const BODY_MOST = 1_024 * 1_024;
const LAG_MOST = 2_000;
const PULSE = 250;
/** A loop that is late by as much stood still. */
const STALL = 1_000;
const CACHED = 1_000;
const DATABASE_TIMEOUT = 2_000;

class Doors {
  constructor({ identity, tenure, runs, wire, clock, version }) {
    Object.assign(this, { identity, tenure, runs, wire, clock, version });
    this.beatAt = clock.now();
    this.asked = null;
    this.pushes = new Pushes({ runs, wire });
    setInterval(() => this.beat(), PULSE).unref();
  }

  beat() {
    const now = this.clock.now();
    if (now - this.beatAt > PULSE + STALL) this.runs.noteStall(this.beatAt);
    this.beatAt = now;
  }

  /** Instead of the Express application's `handle`. */
  take(req, res, kuma) {
    const [path, query] = parts(req.url);
    if (path === PATH_HEALTH) return void this.health(res);
    if (path === PATH_HINT && req.method === "POST") return void this.hint(req, res, path, REREAD.test(query));
    const push = PUSH.exec(path);
    if (push) return void this.pushes.take(push[1], res, kuma);
    kuma();
  }

  async health(res) {
    const lag = Math.max(0, this.clock.now() - this.beatAt - PULSE);
    const database = await this.databaseAnswers();
    const isHealthy = database && lag < LAG_MOST;
    answer(res, isHealthy ? 200 : 503, {
      status: isHealthy ? "ok" : "down",
      node_id: this.identity.id,
      incarnation: this.identity.incarnation,
      running: this.runs.held.size,
      generation: this.tenure.applied?.generation ?? null,
      lag_ms: Math.round(lag),
      database,
      version: this.version,
    });
  }

  /** On a connection of its own: a pool that is starved by somebody's login is not a dead database. */
  databaseAnswers() {
    const now = this.clock.now();
    if (!this.asked || now - this.asked.at > CACHED) {
      const answers = this.wire.query("SELECT 1", [], DATABASE_TIMEOUT).then(() => true, () => false);
      this.asked = { at: now, answers };
    }
    return this.asked.answers;
  }

  hint(req, res, path, isReread) {
    const chunks = [];
    let size = 0;
    req.on("data", (chunk) => {
      size += chunk.length;
      if (size <= BODY_MOST) chunks.push(chunk);
    });
    req.on("end", async () => {
      if (size > BODY_MOST) return problem(res, 413, "Payload Too Large", "a hint has no body to speak of");
      const reason = refusal(this.identity.key, req.headers[HEADER], this.clock.wall(), "POST", path, Buffer.concat(chunks));
      if (reason) return problem(res, 403, "Forbidden", reason);
      this.tenure.hint();
      answer(res, 202, { status: "ok", reread_ms: isReread ? await this.reread() : null });
    });
  }

  /** When the rows were compared; null: not in time, or there is no lease. */
  reread() {
    return within(REREAD_LIMIT, this.tenure.reread(), "reread").catch(() => null);
  }
}

/** Path and query, also of a URL that is written out whole. */
function parts(url) {
  const [path, query] = url.split("?", 2);
  const whole = /^[a-z]+:\/\/[^/]*(\/.*)?$/i.exec(path);
  return [whole ? whole[1] ?? "/" : path, query];
}

function answer(res, status, body, type = "application/json") {
  res.statusCode = status;
  res.setHeader("Content-Type", type);
  res.setHeader("Cache-Control", "no-store");
  res.end(JSON.stringify(body));
}

const problem = (res, status, title, detail) => answer(res, status, { title, status, detail }, "application/problem+json");

module.exports = { Doors };
