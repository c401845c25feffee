"use strict";
// Against Kuma's own code and a database that Kuma filled: KUMA_DIR is Kuma's folder, KUMA_DATABASE a mysql:// address.
const assert = require("node:assert");
const Module = require("node:module");
const { test } = require("node:test");
const clock = require("../lib/clock");
const { Agent } = require("../lib/agent");
const { Statistics } = require("../lib/statistics");
const { Wire } = require("../lib/wire");

const { KUMA_DIR, KUMA_DATABASE } = process.env;
const skip = !(KUMA_DIR && KUMA_DATABASE) && "KUMA_DIR and KUMA_DATABASE are not set";

/** Kuma's beans on the database, and how its modules are loaded. */
function kuma() {
  const load = Module.createRequire(`${KUMA_DIR}/server/`);
  const dayjs = load("dayjs");
  dayjs.extend(load("dayjs/plugin/utc"));
  const { R } = load("redbean-node");
  const { hostname, port, username, password, pathname } = new URL(KUMA_DATABASE);
  const connection = { host: hostname, port: Number(port), user: username, password, database: pathname.slice(1), timezone: "Z" };
  R.setup(load("knex")({ client: "mysql2", connection }));
  R.freeze(true);
  return { load, dayjs, R, connection };
}

test("statistics that were read fast are, value by value, those that Kuma reads itself", { skip, timeout: 600_000 }, async (t) => {
  const { load, dayjs, R, connection } = kuma();
  t.after(() => R.close());
  const { UptimeCalculator } = load("./uptime-calculator");
  const now = dayjs.utc();
  UptimeCalculator.prototype.getCurrentDate = () => now;
  const ids = (await R.getCol("SELECT DISTINCT monitor_id FROM stat_daily ORDER BY monitor_id LIMIT 60")).map(Number);
  assert.ok(ids.length > 0, "the database has no statistics");
  const tables = () => R.getAll("CHECKSUM TABLE stat_minutely, stat_hourly, stat_daily");
  const before = await tables();

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
  const read = [];
  for (const id of ids) read.push([id, values(await statistics.of(id)), values(await statistics.make(id))]);
  // What is read at different moments of a database that nodes write to is not the same.
  assert.deepStrictEqual(await tables(), before, "somebody writes statistics meanwhile: end the nodes of this database first");
  for (const [id, packed, alone] of read) {
    assert.deepStrictEqual(packed, values(stock.get(id)), `monitor ${id}, packed`);
    assert.deepStrictEqual(alone, values(stock.get(id)), `monitor ${id}, alone`);
  }
  wire.close();
});

test("the database stores no row, new or changed, of a process that is not the node's any more", { skip, timeout: 60_000 }, async (t) => {
  const { R } = kuma();
  t.after(() => R.close());
  const agent = new Agent({ id: "nobody", incarnation: "0".repeat(16), address: "http://nobody" }, KUMA_DIR, "2.5.3");
  agent.patchClient(R.knex.client);
  Object.assign(agent.tenure, { phase: "holding", renewedAt: clock.now() });
  const known = await R.findOne("stat_daily", " 1 = 1 ORDER BY id DESC ");
  const counted = () => Promise.all(["heartbeat", "stat_daily", "stat_minutely"].map((table) => R.count(table, " monitor_id = ? ", [known.monitor_id])));
  const before = await counted();
  const run = { id: known.monitor_id, isAlive: true };
  const store = (bean) => agent.runs.context.run({ run, isPush: false }, () => agent.runs.asRow(run.id, () => R.store(bean)));
  const fill = (bean, values) => Object.assign(bean, { monitor_id: run.id, ...values });
  const beat = fill(R.dispense("heartbeat"), { time: "2001-01-01 00:00:00", status: 1, msg: "late", important: false, duration: 0 });
  const minute = fill(R.dispense("stat_minutely"), { timestamp: 60, up: 1, down: 0, ping: 1, pingMin: 1, pingMax: 1 });
  const up = known.up;
  known.up = up + 1;
  for (const bean of [beat, minute, known]) await assert.rejects(store(bean), /the lease was revoked/);
  assert.deepStrictEqual([await counted(), (await R.load("stat_daily", known.id)).up], [before, up]);
});

/** Everything that Kuma counts with, in its order. */
const values = (calculator) => JSON.parse(JSON.stringify(calculator));
