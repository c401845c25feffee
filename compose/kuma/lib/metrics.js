"use strict";
// What `/metrics` of this node says: each monitor that runs here, once. Kuma takes a monitor out when it is stopped, but a
// beat that was being stored then, or a push, puts it back, for good; and one whose tags changed is named twice.

class Metrics {
  /** `labels()`: the names that Kuma's own series may bear, those of the tags that were there when it started. */
  constructor({ runs, tenure, labels }) {
    Object.assign(this, { runs, tenure, labels });
    this.shown = new Map();
  }

  /** Before Kuma's `Prometheus.prototype.update`; false: it is not to happen. */
  mayShow(series) {
    const { run } = this.runs.current();
    const id = Number(series.monitorLabelValues.monitor_id);
    if (!this.tenure.owns(id) || (run && !run.isAlive)) return false;
    // One with another name would not be taken at all.
    const names = this.labels();
    for (const name of Object.keys(series.monitorLabelValues)) if (!names.includes(name)) delete series.monitorLabelValues[name];
    const before = this.shown.get(id);
    if (before && JSON.stringify(before.monitorLabelValues) !== JSON.stringify(series.monitorLabelValues)) before.remove();
    this.shown.set(id, series);
    return true;
  }

  /** It was stopped. */
  forget(id) {
    this.shown.get(id)?.remove();
    this.shown.delete(id);
  }
}

module.exports = { Metrics };
