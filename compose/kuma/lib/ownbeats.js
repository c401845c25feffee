"use strict";
// Beats that this process made: by the number of their row, and, since an answer may be lost, by monitor and time before that.

const KEPT_AT_MOST = 40_000;

/** The database keeps whole seconds. */
const nameOf = (monitor, time) => `${monitor}@${String(time).slice(0, 19)}`;

class OwnBeats {
  constructor() {
    this.noted = new Set();
  }

  noteId(id) {
    this.noted.add(id);
    if (this.noted.size > KEPT_AT_MOST) this.noted.delete(this.noted.values().next().value);
  }

  noteTime(monitor, time) {
    this.noteId(nameOf(monitor, time));
  }

  /** Whether this row of `heartbeat` is one of them. */
  has({ id, monitor_id: monitor, time }) {
    return this.noted.has(id) || this.noted.has(nameOf(monitor, time));
  }
}

module.exports = { OwnBeats };
