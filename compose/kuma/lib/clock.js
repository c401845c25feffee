"use strict";
// The one place that reads clocks. `now()` is monotonic milliseconds that count suspend, so that a node whose host
// slept knows how old its lease is. Node offers only a clock that stands still meanwhile; Linux says it in a file.

const fs = require("node:fs");
const { performance } = require("node:perf_hooks");

const UPTIME = "/proc/uptime";
const countsSuspend = fs.existsSync(UPTIME);

function now() {
  if (!countsSuspend) return performance.now();
  return parseFloat(fs.readFileSync(UPTIME, "latin1")) * 1000;
}

const wall = () => Date.now();

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

module.exports = { now, wall, sleep };
