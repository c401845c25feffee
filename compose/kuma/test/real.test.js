"use strict";
// Against Kuma's own code and a database that Kuma filled: KUMA_DIR is Kuma's folder, KUMA_DATABASE a mysql:// address.
const assert = require("node:assert");
const Module = require("node:module");
const { test } = require("node:test");
const clock = require("../lib/clock");
const { Statistics } = require("../lib/statistics");
const { Wire } = require("../lib/wire");

const { KUMA_DIR, KUMA_DATABASE } = process.env;
const skip = !(KUMA_DIR && KUMA_DATABASE) && "KUMA_DIR and KUMA_DATABASE are not set";

test("statistics that were read fast are, value by value, those that Kuma reads itself", { skip, timeout: 600_000 }, async () => {
  const load = Module.createRequire(`${KUMA_DIR}/server/`);
  const dayjs = load("dayjs");
  dayjs.extend(load("dayjs/plugin/utc"));
  const { R } = load("redbean-node");
  const { hostname, port, username, password, pathname } = new URL(KUMA_DATABASE);
  const connection = { host: hostname, port: Number(port), user: username, password, database: pathname.slice(1), timezone: "Z" };
  R.setup(load("knex")({ client: "mysql2", connection }));
  R.freeze(true);
  const { UptimeCalculator } = load("./uptime-calculator");
  const now = dayjs.utc();
  UptimeCalculator.prototype.getCurrentDate = () => now;
  const ids = (await R.getCol("SELECT DISTINCT monitor_id FROM stat_daily ORDER BY monitor_id LIMIT 60")).map(Number);
  assert.ok(ids.length > 0, "the database has no statistics");

  const wire = new Wire(() => load("mysql2/promise").createConnection(connection));
  const statistics = new Statistics({ calculator: UptimeCalculator, wire, clock, owns: () => true });
  const stock = new Map();
  let began = clock.now();
  for (const id of ids) {
    const calculator = new UptimeCalculator();
    await calculator.init(id);
    stock.set(id, calculator);
  }
  const stockTook = clock.now() - began;
  const find = R.find.bind(R);
  R.find = async (table, clause, data) => (await statistics.find(table, data, (sql, values) => R.getAll(sql, values))) ?? find(table, clause, data);
  began = clock.now();
  await statistics.prepare(ids);
  console.log(`${ids.length} monitors: Kuma ${Math.round(stockTook)} ms, the agent ${Math.round(clock.now() - began)} ms`);
  for (const id of ids) {
    assert.deepStrictEqual(values(await statistics.of(id)), values(stock.get(id)), `monitor ${id}, packed`);
    assert.deepStrictEqual(values(await statistics.make(id)), values(stock.get(id)), `monitor ${id}, alone`);
  }
  wire.close();
  await R.close();
});

/** Everything that Kuma counts with, in its order. */
const values = (calculator) => JSON.parse(JSON.stringify(calculator));
