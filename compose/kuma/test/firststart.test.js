"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { StartLock, setupPage } = require("../lib/firststart");
const { settle, silent } = require("./standin");

/** A server that gives one lock to one connection. */
function database() {
  let holder = null;
  const waiting = [];
  const connect = async () => {
    const connection = {
      async query(sql) {
        if (!sql.includes("GET_LOCK")) return [[]];
        // Ten seconds passed without it.
        if (holder) await new Promise((resolve) => waiting.push(resolve));
        holder ??= connection;
        return [[{ got: holder === connection ? 1 : 0 }]];
      },
      destroy() {
        if (holder === connection) holder = null;
        waiting.splice(0).forEach((resolve) => resolve());
      },
    };
    return connection;
  };
  return { connect };
}

test("nodes that start at once prepare the database one after another", async () => {
  const { connect } = database();
  const journal = [];
  const start = async (name) => {
    const lock = new StartLock({ connect, name: "komainu-start", log: silent });
    await lock.take();
    journal.push(`${name} migrates`);
    await settle();
    journal.push(`${name} is ready`);
    lock.release();
  };
  await Promise.all([start("kuma1"), start("kuma2"), start("kuma3")]);
  for (let at = 0; at < 6; at += 2) assert.strictEqual(journal[at].split(" ")[0], journal[at + 1].split(" ")[0], journal.join());
});

function socket() {
  const emitted = [];
  const middlewares = [];
  return {
    emitted,
    emit: (event) => emitted.push(event),
    use: (middleware) => middlewares.push(middleware),
    /** Answers of the agent, or "kuma" when the event went on. */
    ask: (event) => new Promise((resolve) => middlewares[0]([event, resolve], () => resolve("kuma"))),
  };
}

test("a node that started before the first user existed stops showing the setup page once there is one", async () => {
  let users = 0;
  const page = setupPage(async () => users > 0);
  const early = socket();
  await page(early, () => {});
  early.emit("setup");
  assert.deepStrictEqual(early.emitted, ["setup"]);
  assert.strictEqual(await early.ask("needSetup"), "kuma");
  users = 1;
  assert.strictEqual(await early.ask("needSetup"), false);
  const late = socket();
  await page(late, () => {});
  late.emit("setup");
  late.emit("loginRequired");
  assert.deepStrictEqual(late.emitted, ["loginRequired"]);
});

test("a database that does not answer leaves the setup page to Kuma, and the socket open", async () => {
  const page = setupPage(() => Promise.reject(new Error("away")));
  const one = socket();
  let isPassed = false;
  await page(one, () => (isPassed = true));
  assert.strictEqual(isPassed, true);
  assert.strictEqual(await one.ask("needSetup"), "kuma");
  assert.strictEqual(await one.ask("login"), "kuma");
});
