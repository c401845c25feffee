"use strict";
// One database connection with the settings that safety rests on. A statement that fails on the wire or takes too long
// closes it; the next one opens a new one, at most every half second. It never retries.

const clock = require("./clock");

const STATEMENT_TIMEOUT = 3_000;
const RECONNECT_PAUSE = 500;
const SETTINGS =
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION idle_transaction_timeout = 5, innodb_lock_wait_timeout = 2, " +
  "group_concat_max_len = 67108864";

class Wire {
  /** `connect` returns a promise of a connection of mysql2/promise. */
  constructor(connect) {
    this.connect = connect;
    this.connecting = null;
    this.failedAt = -Infinity;
  }

  async query(sql, values = [], timeout = STATEMENT_TIMEOUT) {
    const connection = await this.open();
    try {
      const [answer] = await within(timeout, connection.query(sql, values), sql);
      return answer;
    } catch (error) {
      // What the server itself refused leaves the connection as it was.
      if (!error.sqlState || error.fatal) this.drop();
      throw error;
    }
  }

  async open() {
    if (!this.connecting) {
      if (clock.now() - this.failedAt < RECONNECT_PAUSE) throw new Error("the database is away");
      this.connecting = this.dial();
      this.connecting.catch(() => this.drop());
    }
    return this.connecting;
  }

  async dial() {
    const connection = await within(STATEMENT_TIMEOUT, this.connect(), "connect");
    connection.connection?.on?.("error", () => this.drop());
    for (const setting of SETTINGS.split("; ")) await within(STATEMENT_TIMEOUT, connection.query(setting), setting);
    return connection;
  }

  drop() {
    const { connecting } = this;
    this.connecting = null;
    this.failedAt = clock.now();
    connecting?.then((connection) => connection.destroy(), () => {});
  }

  close() {
    this.drop();
  }
}

function within(limit, promise, act) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limit} ms: ${act.slice(0, 60)}`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

module.exports = { Wire, within };
