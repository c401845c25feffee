"use strict";
// A lock at the database that ends with the connection that renews. A process that is killed loses it at that moment, and
// watchdogs need not watch its lease to the end. Who loses it and lives says so to the tenure: nothing runs before another
// renewal. A connection that gives no answer in time is kept until a renewal on another one has said that this process has
// no lock: closing it would look like a death. On Galera, where each server has locks of its own, there is none.

const { ABOUT, nameOf, saidBy } = require("./servers");

class LeaseLock {
  /** `wire` carries the renewals; `lost` is told when a connection that held the lock has ended. */
  constructor({ wire, incarnation, lost }) {
    Object.assign(this, { wire, incarnation, lost });
    this.state = "unasked";
    /** The name of the server that the present connection is one to. */
    this.server = null;
    this.isParked = false;
    wire.ended = (isLate) => this.end(isLate);
    wire.parkedEnded = () => this.endParked();
  }

  /** Whether the present connection has it; it is asked for until it does. A server that refuses has none. */
  async take() {
    try {
      if (this.state === "unasked") this.state = (await this.lookAtServer()).isGalera ? "none" : "wanted";
      if (this.state === "wanted") {
        const [row] = await this.wire.query("SELECT GET_LOCK(CONCAT('komainu:lease:', ?), 0) AS locked", [this.incarnation]);
        if (Number(row.locked) === 1) this.state = "held";
      }
    } catch (error) {
      if (!error.sqlState || error.fatal) throw error;
      this.state = "none";
    }
    return this.state === "held";
  }

  /** Whether the lock that the holder of this row said it had is free. It says nothing on a server where it was never taken. */
  async isFreeOf({ incarnation, had_lock, server }) {
    if (!incarnation || Number(had_lock) !== 1) return false;
    try {
      if (this.server === null) await this.lookAtServer();
      if (this.server !== server) return false;
      const [row] = await this.wire.query("SELECT IS_FREE_LOCK(CONCAT('komainu:lease:', ?)) AS is_free", [incarnation]);
      return Number(row.is_free) === 1;
    } catch (error) {
      if (!error.sqlState || error.fatal) throw error;
      return false;
    }
  }

  /** A renewal has said that this process has no lock. */
  settle() {
    this.isParked = false;
    this.wire.releaseParked();
  }

  async lookAtServer() {
    const said = saidBy(await this.wire.query(ABOUT));
    this.server = nameOf(said);
    return said;
  }

  /** The present connection was given up; whether it is kept open. */
  end(isLate) {
    const wasHeld = this.state === "held";
    this.state = "unasked";
    this.server = null;
    if (!wasHeld) return false;
    this.isParked = isLate;
    if (!isLate) this.lost();
    return isLate;
  }

  endParked() {
    if (this.isParked) this.lost();
    this.isParked = false;
  }
}

module.exports = { LeaseLock };
