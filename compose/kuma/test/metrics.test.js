"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { Metrics } = require("../lib/metrics");

/** Series by their labels, as a registry keeps them. */
function registry() {
  const series = new Set();
  const own = new Set([7]);
  let run = null;
  const labels = () => ["team", "monitor_id"];
  const metrics = new Metrics({ runs: { current: () => ({ run }) }, tenure: { owns: (id) => own.has(id) }, labels });
  const labelled = (labels) => ({ monitorLabelValues: labels, remove: () => series.delete(JSON.stringify(labels)) });
  const update = (labels, by = null) => {
    run = by;
    if (metrics.mayShow(labelled(labels))) series.add(JSON.stringify(labels));
  };
  return { metrics, series, own, update };
}

test("a monitor that left is not put back by what was under way", () => {
  const { metrics, series, own, update } = registry();
  const run = { id: 7, isAlive: true };
  update({ monitor_id: 7 }, run);
  assert.strictEqual(series.size, 1);
  run.isAlive = false;
  metrics.forget(7);
  update({ monitor_id: 7 }, run);
  own.delete(7);
  update({ monitor_id: 7 });
  assert.strictEqual(series.size, 0);
});

test("a monitor whose tags changed is named once, by its new ones", () => {
  const { metrics, series, update } = registry();
  update({ team: ["a"], monitor_id: 7 });
  update({ team: ["b"], monitor_id: 7 });
  assert.deepStrictEqual([...series], ['{"team":["b"],"monitor_id":7}']);
  // Kuma learns of a new tag's name at its next start.
  update({ team: ["b"], new: ["x"], monitor_id: 7 });
  assert.deepStrictEqual([...series], ['{"team":["b"],"monitor_id":7}']);
  metrics.forget(7);
  assert.strictEqual(series.size, 0);
});
