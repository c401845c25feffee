"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { Wire } = require("../lib/wire");
const { settle } = require("./standin");

/** A server that answers as the test says. */
function server() {
  const made = [];
  const state = { answer: async (sql) => [[{ sql }]], refuses: false };
  const connect = async () => {
    if (state.refuses) throw new Error("ECONNREFUSED");
    const connection = { isOpen: true, sqls: [], query: (sql) => (connection.sqls.push(sql), state.answer(sql)), destroy: () => (connection.isOpen = false) };
    made.push(connection);
    return connection;
  };
  return { wire: new Wire(connect), made, state };
}

const refused = (text) => Object.assign(new Error(text), { sqlState: "42S02" });

test("a connection is made once, with its settings before anything else", async () => {
  const { wire, made } = server();
  const [[first]] = [await wire.query("SELECT 1")];
  await wire.query("SELECT 2");
  assert.strictEqual(first.sql, "SELECT 1");
  assert.strictEqual(made.length, 1);
  assert.match(made[0].sqls[0], /READ COMMITTED/);
  assert.match(made[0].sqls[1], /idle_transaction_timeout/);
});

test("what the server refuses leaves the connection as it is", async () => {
  const { wire, made, state } = server();
  await wire.query("SELECT 1");
  state.answer = async () => Promise.reject(refused("no such table"));
  await assert.rejects(wire.query("SELECT 2"), /no such table/);
  state.answer = async () => [[]];
  await wire.query("SELECT 3");
  assert.strictEqual(made.length, 1);
});

test("a statement that is not answered in time closes its connection; the next is made after half a second", async () => {
  const { wire, made, state } = server();
  await wire.query("SELECT 1");
  const { answer } = state;
  state.answer = () => new Promise(() => {});
  await assert.rejects(wire.query("SELECT 2", [], 20), /no answer within 20 ms: SELECT 2/);
  await settle();
  assert.strictEqual(made[0].isOpen, false);
  state.answer = answer;
  await assert.rejects(wire.query("SELECT 3"), /the database is away/);
  wire.failedAt = -Infinity;
  await wire.query("SELECT 4");
  assert.strictEqual(made.length, 2);
});

test("the late failure of an old connection does not close the one that took its place", async () => {
  const { wire, made, state } = server();
  await wire.query("SELECT 1");
  let fail;
  const { answer } = state;
  state.answer = () => new Promise((_, reject) => (fail = reject));
  const slow = wire.query("SELECT 2", [], 5_000);
  await settle();
  wire.drop();
  wire.failedAt = -Infinity;
  state.answer = answer;
  await wire.query("SELECT 3");
  fail(new Error("connection lost"));
  await assert.rejects(slow, /connection lost/);
  await settle();
  assert.deepStrictEqual(made.map(({ isOpen }) => isOpen), [false, true]);
});

test("a server that is away is asked at most every half second", async () => {
  const { wire, state } = server();
  state.refuses = true;
  await assert.rejects(wire.query("SELECT 1"), /ECONNREFUSED/);
  await assert.rejects(wire.query("SELECT 1"), /the database is away/);
});
