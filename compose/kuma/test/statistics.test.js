"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { Statistics } = require("../lib/statistics");
const { Clock, gate, settle } = require("./standin");

const DAY = 86_400;

/** As Kuma's: reads three tables through `R.find`, and is listed by whoever asked for it. */
function kuma() {
  const clock = new Clock();
  const own = new Set([1, 2]);
  const tables = { stat_minutely: [], stat_hourly: [], stat_daily: [] };
  const queries = [];
  let held = Promise.resolve();
  const wire = {
    async query(sql, [ids, since]) {
      queries.push(ids);
      await held;
      const table = /FROM (\w+)/.exec(sql)[1];
      return ids.map((id) => ({
        monitor_id: id,
        pack: JSON.stringify(tables[table].filter((row) => row[0] === id && row[1] > since).map(([, ...row]) => row)),
      })).filter(({ pack }) => pack !== "[]");
    },
  };
  class Calculator {
    static list = {};
    async init(id) {
      this.id = id;
      this.rows = {};
      for (const [table, span] of [["stat_minutely", DAY], ["stat_hourly", 30 * DAY], ["stat_daily", 365 * DAY]]) {
        const after = Math.floor(clock.wall() / 1_000) - span;
        this.rows[table] = await statistics.find(table, [id, after], async (_, [monitor]) =>
          tables[table].filter((row) => row[0] === monitor && row[1] > after).map(([, timestamp, up]) => ({ timestamp, up })));
      }
    }
  }
  const statistics = new Statistics({ calculator: Calculator, wire, clock, owns: (id) => own.has(id) });
  const hold = (promise) => (held = promise);
  return { clock, own, tables, queries, Calculator, statistics, hold, now: Math.floor(clock.wall() / 1_000) };
}

test("many monitors are read by three statements, with the names and values of Kuma's rows", async () => {
  const { statistics, tables, queries, Calculator, now } = kuma();
  tables.stat_minutely.push([1, now - 60, 3, 1, 12.5, 1.25, 99.75, '{"maintenance":2}'], [2, now - 60, 4, 0, 5, 5, 5, null]);
  tables.stat_daily.push([1, now - DAY, 4_000, 9, 12, 1, 99, null]);
  await statistics.prepare([1, 2]);
  assert.strictEqual(queries.length, 3);
  assert.deepStrictEqual(Calculator.list[1].rows.stat_minutely, [
    { timestamp: now - 60, up: 3, down: 1, ping: 12.5, pingMin: 1.25, pingMax: 99.75, extras: '{"maintenance":2}' },
  ]);
  assert.strictEqual(Calculator.list[2].rows.stat_minutely[0].extras, null);
  assert.strictEqual(Calculator.list[1].rows.stat_daily[0].up, 4_000);
});

test("rows older than Kuma's own limit, which the packing reads for safety, are left out", async () => {
  const { statistics, tables, Calculator, now } = kuma();
  tables.stat_minutely.push([1, now - DAY, 1, 0, 1, 1, 1, null], [1, now - DAY + 1, 2, 0, 1, 1, 1, null]);
  await statistics.prepare([1]);
  assert.deepStrictEqual(Calculator.list[1].rows.stat_minutely.map((row) => row.up), [2]);
});

test("nobody gets statistics that are half read", async () => {
  const { statistics, Calculator, hold } = kuma();
  const { promise, open } = gate();
  hold(promise);
  const prepared = statistics.prepare([1]);
  const asked = statistics.of(1);
  open();
  const [failed, second] = await Promise.all([prepared, asked]);
  assert.strictEqual(failed.size, 0);
  assert.strictEqual(Calculator.list[1], second);
  assert.ok(second.rows.stat_daily);
});

test("the statistics of another node's monitor can be looked at, and are never kept for counting", async () => {
  const { statistics, Calculator, clock, own } = kuma();
  const shown = await statistics.of("9");
  assert.deepStrictEqual(Object.keys(Calculator.list), []);
  assert.strictEqual(await statistics.of(9), shown);
  await clock.pass(60_000, 60_000);
  assert.notStrictEqual(await statistics.of(9), shown);
  own.add(9);
  statistics.drop(9);
  assert.strictEqual(await statistics.of(9), Calculator.list[9] ?? (await statistics.of(9)));
});

test("statistics of a monitor that left while they were read are not kept", async () => {
  const { statistics, Calculator, own, hold } = kuma();
  const { promise, open } = gate();
  hold(promise);
  const prepared = statistics.prepare([1]);
  own.delete(1);
  statistics.drop(1);
  open();
  await prepared;
  await settle();
  assert.deepStrictEqual(Object.keys(Calculator.list), []);
});
