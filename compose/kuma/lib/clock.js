"use strict";
// The one place that reads clocks. `now()` is monotonic milliseconds that count suspend, so that a node whose host
// slept knows how old its lease is. Node offers only a clock that stands still meanwhile; Linux says it in a file, which
// is kept open: each guard asks, also when this process may open no more files.

const fs = require("node:fs");
const { performance } = require("node:perf_hooks");

const UPTIME = "/proc/uptime";
const file = fs.existsSync(UPTIME) ? fs.openSync(UPTIME, "r") : null;
const text = Buffer.alloc(64);

function now() {
  if (file === null) return performance.now();
  return parseFloat(text.toString("latin1", 0, fs.readSync(file, text, 0, text.length, 0))) * 1000;
}

const wall = () => Date.now();

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

module.exports = { now, wall, sleep };
