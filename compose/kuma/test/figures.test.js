"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { Figures } = require("../lib/figures");
const { Clock } = require("./standin");

/** Figures before tables of statistics; `rows` are `[table, id, timestamp, up, down, ping]`. */
function figures() {
  const clock = new Clock();
  const rows = [];
  const asked = [];
  const wire = {
    query: async (sql, [ids, from, before]) => {
      asked.push(ids);
      if (wire.fails) throw new Error("away");
      const sums = new Map();
      for (const [table, id, timestamp, up, down, ping] of rows) {
        if (!sql.includes(table) || !ids.includes(id) || timestamp < from || timestamp >= before) continue;
        const sum = sums.get(id) ?? { id, up: 0, down: 0, ping: 0 };
        sums.set(id, { id, up: sum.up + up, down: sum.down + down, ping: sum.ping + ping * up });
      }
      return [...sums.values()];
    },
  };
  const minute = () => Math.floor(clock.wall() / 60_000) * 60;
  const day = () => Math.floor(clock.wall() / 86_400_000) * 86_400;
  return { figures: new Figures({ wire, clock }), clock, rows, asked, wire, minute, day };
}

const SPAN = ["uptime", "avgPing"];
const shown = (answer) => answer.map((one) => SPAN.map((name) => one[name]));

test("figures are those of Kuma's own spans, with the first and the last row of each", async () => {
  const { figures: f, rows, minute, day } = figures();
  rows.push(["stat_minutely", 5, minute() - 1_439 * 60, 1, 0, 10], ["stat_minutely", 5, minute() - 1_440 * 60, 0, 9, 0]);
  rows.push(["stat_minutely", 5, minute(), 2, 1, 40]);
  rows.push(["stat_daily", 5, day() - 29 * 86_400, 1, 1, 10], ["stat_daily", 5, day() - 30 * 86_400, 0, 6, 0], ["stat_daily", 5, day(), 0, 0, 0]);
  assert.deepStrictEqual(shown(await f.of(5)), [[0.75, 30], [0.5, 10], [0.125, 10]]);
  assert.deepStrictEqual(shown(await f.of(6)), [[0, null], [0, null], [0, null]]);
});

test("with every beat they are the owner's again, and only the present is read for it", async () => {
  const { figures: f, rows, asked, minute, day } = figures();
  rows.push(["stat_minutely", 5, minute() - 600, 3, 0, 10], ["stat_minutely", 5, minute(), 1, 0, 10], ["stat_daily", 5, day(), 4, 0, 10]);
  assert.strictEqual((await f.of(5))[0].uptime, 1);
  const before = asked.length;
  assert.strictEqual((await f.of(5))[0].uptime, 1);
  assert.strictEqual(asked.length, before, "nothing happened");
  rows[1][4] = 1;
  rows[2][4] = 1;
  f.renew(5);
  assert.deepStrictEqual((await f.of(5)).map(({ uptime }) => uptime), [0.8, 0.8, 0.8]);
  assert.strictEqual(asked.length - before, 3);
});

test("when statistics were cleared the past is read anew within a minute", async () => {
  const { figures: f, rows, clock, minute, day } = figures();
  rows.push(["stat_minutely", 5, minute() - 600, 3, 1, 10], ["stat_daily", 5, day() - 5 * 86_400, 3, 1, 10]);
  assert.strictEqual((await f.of(5))[1].uptime, 0.75);
  rows.splice(0);
  await clock.pass(60_000, 60_000);
  assert.deepStrictEqual(shown(await f.of(5)), [[0, null], [0, null], [0, null]]);
});

test("many monitors are read together, and what could not be read is read again", async () => {
  const { figures: f, asked, wire } = figures();
  await Promise.all([5, 6, 5].map((id) => f.of(id)));
  assert.deepStrictEqual(asked, Array.from({ length: 6 }, () => [5, 6]));
  wire.fails = true;
  await assert.rejects(f.of(9));
  wire.fails = false;
  assert.strictEqual((await f.of(9)).length, 3);
});
