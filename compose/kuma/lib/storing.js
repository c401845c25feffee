"use strict";
// What is being stored of each monitor. One that left counts as stopped when nothing of it is; what then still waits for one of
// Kuma's connections, which may take a minute, can be cut off: it never leaves for the database any more. What is with the
// database is waited for.

class Storing {
  constructor() {
    this.segments = new Map();
  }

  ids() {
    return this.segments.keys();
  }

  /** Until it is released, the monitor does not count as stopped. */
  hold(run) {
    const segment = this.segment(run.id);
    segment.held += 1;
    segment.runs.add(run);
    return () => {
      segment.held -= 1;
      this.settle(run.id, segment);
    };
  }

  /** While a statement is with the database. */
  async send(id, act) {
    const segment = this.segment(id);
    segment.sent += 1;
    try {
      return await act();
    } finally {
      segment.sent -= 1;
      this.settle(id, segment);
    }
  }

  /** Fulfilled when nothing of it can be stored any more. */
  idle(id) {
    const segment = this.segments.get(id);
    return segment ? new Promise((resolve) => segment.waiters.push(resolve)) : Promise.resolve();
  }

  /** What has not left for the database yet never does: its runs are marked, and whoever sends a statement looks. */
  cut(id) {
    const segment = this.segments.get(id);
    if (!segment) return;
    segment.isCut = true;
    for (const run of segment.runs) run.isCut = true;
    this.settle(id, segment);
  }

  segment(id) {
    const segment = this.segments.get(id) ?? { held: 0, sent: 0, runs: new Set(), waiters: [], isCut: false };
    this.segments.set(id, segment);
    return segment;
  }

  settle(id, segment) {
    if (segment.sent > 0 || (segment.held > 0 && !segment.isCut)) return;
    if (this.segments.get(id) === segment) this.segments.delete(id);
    segment.waiters.forEach((resolve) => resolve());
  }
}

module.exports = { Storing };
