"use strict";
// Nodes that start at once on an empty database: one migrates, the others wait. And a node that started before the
// first user existed stops showing the setup page when there is one.

const ASK = 10; // seconds that one question for the lock lasts
const PING = 10_000;

/** Holds the cluster's start lock from before `connect` until `release()`. The server frees it if this process dies. */
class StartLock {
  constructor({ connect, name, log }) {
    Object.assign(this, { connect, log, name });
    this.connection = null;
  }

  async take() {
    this.connection = await this.connect();
    await this.connection.query("SET SESSION wait_timeout = 60");
    for (let asked = 0; ; asked += ASK) {
      const [[{ got }]] = await this.connection.query("SELECT GET_LOCK(?, ?) AS got", [this.name, ASK]);
      if (got === 1) break;
      if (got === null) throw new Error("the database refused the start lock");
      this.log.info(`another node prepares the database; waiting since ${asked + ASK} s`);
    }
    // A migration may take longer than a connection may be idle.
    this.timer = setInterval(() => this.connection?.query("DO 0").catch(() => {}), PING);
    this.timer.unref();
  }

  release() {
    clearInterval(this.timer);
    this.connection?.destroy();
    this.connection = null;
  }
}

/** A namespace middleware of Socket.IO: says what the database says, not what it said when this node started. */
function setupPage(hasUser) {
  let known = false;
  return async (socket, next) => {
    try {
      known ||= await hasUser();
    } catch {
      // Without an answer the page stays what Kuma says.
    }
    if (known) {
      const emit = socket.emit;
      socket.emit = function (event) {
        return event === "setup" ? true : emit.apply(this, arguments);
      };
    }
    socket.use(async ([event, callback], pass) => {
      if (event !== "needSetup" || typeof callback !== "function") return pass();
      known ||= await hasUser().catch(() => false);
      return known ? callback(false) : pass();
    });
    next();
  };
}

module.exports = { StartLock, setupPage };
