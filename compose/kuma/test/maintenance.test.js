"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { Maintenance } = require("../lib/maintenance");
const { silent } = require("./standin");

function kuma() {
  const journal = [];
  const rows = [];
  const made = ({ ...row }) => ({
    ...row,
    beanMeta: {},
    run: async () => journal.push(`run ${row.id} ${row.title}`),
    stop: () => journal.push(`stop ${row.id} ${row.title}`),
  });
  const server = { maintenanceList: {}, sendMaintenanceListByUserID: async (user) => journal.push(`send ${user}`) };
  const maintenance = new Maintenance({
    kuma: { server, R: { convertToBeans: (_, given) => given.map(made) } },
    wire: { query: async () => rows.map((row) => ({ ...row })) },
    log: silent,
  });
  const has = (row) => (rows.push(row), (server.maintenanceList[row.id] = made(row)), row);
  return { journal, rows, server, maintenance, has };
}

const WINDOW = { id: 1, user_id: 4, title: "night", active: 1, last_start_date: null };

test("a maintenance window made on another node is run here", async () => {
  const { journal, rows, server, maintenance } = kuma();
  await maintenance.look();
  rows.push(WINDOW);
  await maintenance.look();
  assert.deepStrictEqual(journal, ["run 1 night", "send 4"]);
  assert.strictEqual(server.maintenanceList[1].title, "night");
});

test("an edited one replaces the one in memory, which ends first", async () => {
  const { journal, maintenance, has } = kuma();
  const row = has({ ...WINDOW });
  await maintenance.look();
  row.title = "day";
  await maintenance.look();
  assert.deepStrictEqual(journal, ["stop 1 night", "run 1 day", "send 4"]);
});

test("a deleted one ends", async () => {
  const { journal, rows, server, maintenance, has } = kuma();
  has({ ...WINDOW });
  await maintenance.look();
  rows.length = 0;
  await maintenance.look();
  assert.deepStrictEqual(journal, ["stop 1 night", "send 4"]);
  assert.deepStrictEqual(server.maintenanceList, {});
});

test("that a window began, which each node notes, is no edit", async () => {
  const { journal, maintenance, has } = kuma();
  const row = has({ ...WINDOW });
  await maintenance.look();
  row.last_start_date = "2026-01-01 00:00:00";
  await maintenance.look();
  assert.deepStrictEqual(journal, []);
});

test("one that could not be loaded is loaded at the next look", async () => {
  const { journal, rows, maintenance } = kuma();
  await maintenance.look();
  rows.push(WINDOW);
  const { convertToBeans } = maintenance.kuma.R;
  maintenance.kuma.R.convertToBeans = () => {
    throw new Error("the database is away");
  };
  await assert.rejects(maintenance.look(), /away/);
  maintenance.kuma.R.convertToBeans = convertToBeans;
  await maintenance.look();
  await maintenance.look();
  assert.deepStrictEqual(journal, ["run 1 night", "send 4"]);
});
