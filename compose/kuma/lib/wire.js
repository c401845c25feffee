"use strict";
// One database connection with the settings that safety rests on. A statement that fails on the wire or takes too long
// closes it; the next one opens a new one, at most every half second. It never retries.

const clock = require("./clock");

const STATEMENT_TIMEOUT = 3_000;
const RECONNECT_PAUSE = 500;
const SETTINGS = [
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
  // A row of statistics packed into one text takes a hundred kilobytes.
  "SET SESSION idle_transaction_timeout = 5, innodb_lock_wait_timeout = 2, group_concat_max_len = 16777216",
];

class Wire {
  /** `connect` returns a promise of a connection of mysql2/promise. */
  constructor(connect) {
    this.connect = connect;
    this.opening = null;
    this.failedAt = -Infinity;
    this.parked = null;
    /** Told that the present connection was given up; `true`: it is kept open until `releaseParked`. */
    this.ended = () => false;
    this.parkedEnded = () => {};
  }

  async query(sql, values = [], timeout = STATEMENT_TIMEOUT) {
    const opening = this.open();
    const connection = await opening;
    try {
      const [answer] = await within(timeout, connection.query(sql, values), sql);
      return answer;
    } catch (error) {
      // What the server itself refused leaves the connection as it was.
      if (!error.sqlState || error.fatal) this.drop(opening, error instanceof Late);
      throw error;
    }
  }

  open() {
    if (this.opening) return this.opening;
    if (clock.now() - this.failedAt < RECONNECT_PAUSE) return Promise.reject(new Error("the database is away"));
    const opening = this.dial(() => this.drop(opening));
    this.opening = opening;
    opening.catch(() => this.drop(opening));
    return opening;
  }

  async dial(lost) {
    const connecting = this.connect();
    let connection;
    try {
      connection = await within(STATEMENT_TIMEOUT, connecting, "connect");
      connection.connection?.on?.("error", lost);
      for (const setting of SETTINGS) await within(STATEMENT_TIMEOUT, connection.query(setting), setting);
      return connection;
    } catch (error) {
      // One that is made too late is wanted by nobody.
      connecting.then((late) => late.destroy(), () => {});
      throw error;
    }
  }

  /** Closes one connection; another may have taken its place meanwhile. */
  drop(opening = this.opening, isLate = false) {
    if (!opening) return;
    if (this.parked === opening) {
      // Whoever waits for a second answer of it gives up.
      if (isLate) return;
      this.parked = null;
      this.parkedEnded();
    }
    if (this.opening === opening) {
      this.opening = null;
      this.failedAt = clock.now();
      if (this.ended(isLate)) {
        this.parked = opening;
        return;
      }
    }
    destroy(opening);
  }

  releaseParked() {
    const { parked } = this;
    this.parked = null;
    destroy(parked);
  }

  close() {
    this.releaseParked();
    this.drop();
  }
}

function destroy(opening) {
  opening?.then((connection) => connection.destroy(), () => {});
}

/** No answer came in time. */
class Late extends Error {}

function within(limit, promise, act) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Late(`no answer within ${limit} ms: ${act.slice(0, 60)}`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

module.exports = { Wire, within };
