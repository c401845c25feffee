"use strict";
// What a push is answered. Kuma answers whatever goes wrong with 404 and the error's words, which may be the database's with
// its address, and a token that it does not find likewise. 404 is only for a token that no active monitor has and for what
// Kuma refuses; everything else is this node's trouble or a move's, and may be sent again: 503.

/** Kuma keeps no longer ones. */
const TOKEN_MOST = 64;
const LOOKED_UP_TOGETHER = 20;
const AT_ONCE = 200;
/** Between two looks whether the lease is over. */
const LOOK = 1_000;
const REFUSALS = [/^Monitor not found or not active\.$/, /^Invalid ping value\./];
const NOT_FOUND = { ok: false, msg: "Monitor not found or not active." };
const LATER = { ok: false, msg: "This node could not store the push: it may be sent again." };

class Pushes {
  /** `wire` answers small questions; `runs` knows the tokens of what runs here. */
  constructor({ runs, wire }) {
    Object.assign(this, { runs, wire });
    this.asked = [];
    this.isAsking = false;
  }

  /** A monitor's statistics have one writer: the node that runs it. */
  async take(text, res, kuma) {
    const token = decoded(text);
    const run = this.runs.pushed(token);
    if (run && !this.runs.refusal(run)) {
      this.judge(res);
      this.limit(res);
      this.runs.asPush(run, res, kuma);
      return;
    }
    const isUnknown = !run && !(await this.mayExist(token));
    answer(res, isUnknown ? 404 : 503, isUnknown ? NOT_FOUND : LATER);
  }

  /** Puts other words in place of Kuma's where they are an error's. */
  judge(res) {
    res.json = (body) => {
      delete res.json;
      const isTrouble = res.statusCode === 404 && body?.ok === false && !REFUSALS.some((words) => words.test(body.msg));
      return isTrouble ? answer(res, 503, LATER) : res.json(body);
    };
  }

  /** A database that says nothing keeps Kuma waiting for as long: once the lease is over nobody else does. */
  limit(res) {
    const looking = setInterval(() => {
      if (!this.runs.leaseRefusal()) return;
      clearInterval(looking);
      // Kuma may have an answer some day.
      res.json = () => res;
      answer(res, 503, LATER);
    }, LOOK).unref();
    res.once("close", () => clearInterval(looking));
  }

  /** Whether some active monitor has this token, as far as the database can be asked: many at once, one question at a time. */
  mayExist(token) {
    if (token.length > TOKEN_MOST) return false;
    if (this.asked.length >= AT_ONCE) return true;
    return new Promise((resolve) => {
      this.asked.push({ token, resolve });
      if (!this.isAsking) this.ask();
    });
  }

  async ask() {
    this.isAsking = true;
    while (this.asked.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, LOOKED_UP_TOGETHER));
      const asked = this.asked;
      this.asked = [];
      const found = await this.lookUp(asked.map(({ token }) => token)).catch(() => null);
      // The database compares without regard to case.
      for (const { token, resolve } of asked) resolve(!found || found.has(token.toLowerCase()));
    }
    this.isAsking = false;
  }

  async lookUp(tokens) {
    const sql = "SELECT push_token AS token FROM monitor WHERE active = 1 AND push_token IN (?)";
    const rows = await this.wire.query(sql, [tokens]);
    return new Set(rows.map(({ token }) => token.toLowerCase()));
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function answer(res, status, body) {
  res.statusCode = status;
  res.setHeader("Content-Type", "application/json");
  res.setHeader("Cache-Control", "no-store");
  if (status === 503) res.setHeader("Retry-After", "1");
  res.end(JSON.stringify(body));
}

module.exports = { Pushes };
