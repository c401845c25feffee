"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { FOLLOWED, Memory } = require("../lib/memory");
const { silent } = require("./standin");

/** A node with two browsers of user 1 and one of user 2, before a database whose tables a test changes. */
function node() {
  const journal = [];
  const tables = Object.fromEntries(Object.keys(FOLLOWED).map((name) => [name, 1]));
  const settings = new Map();
  const users = [{ id: 1, password: "p1", active: 1 }, { id: 2, password: "p2", active: 1 }];
  const wire = {
    query: async (sql) => {
      if (sql.includes("FROM setting")) return [...settings].map(([key, value]) => ({ key, value }));
      if (sql.includes("FROM user")) return users.map((user) => ({ ...user }));
      if (sql.includes("information_schema")) return [{ name: "tag", col: "id" }, { name: "tag", col: "name" }];
      return Object.entries(tables).map(([name, print]) => ({ name, print }));
    },
  };
  const sockets = new Map([["a", { userID: 1 }], ["b", { userID: 1 }], ["c", { userID: 2 }], ["d", {}]]);
  const server = {
    io: { sockets: { sockets }, to: (user) => ({ emit: (event) => journal.push(`emit ${event} ${user}`) }) },
    disconnectAllSocketClients: (user) => journal.push(`end ${user}`),
    getMonitorJSONList: async () => ({}),
  };
  const said = (name) => async ({ userID }) => void journal.push(`${name} ${userID}`);
  const client = {
    sendInfo: async (socket) => socket.emit("info"),
    sendNotificationList: said("notifications"),
    sendProxyList: said("proxies"),
    sendAPIKeyList: said("keys"),
    sendDockerHostList: said("docker"),
    sendRemoteBrowserList: said("browsers"),
  };
  const kuma = {
    server, client,
    Settings: { cacheList: {} },
    apicache: { clear: () => journal.push("clear") },
    StatusPage: {
      loadDomainMappingList: async () => journal.push("domains"),
      sendStatusPageList: async (_, { userID }) => journal.push(`pages ${userID}`),
    },
  };
  let zone;
  const dayjs = () => ({ tz: { setDefault: (name) => (zone = name) } });
  const memory = new Memory({ kuma, wire, isWatched: () => true, dayjs, log: silent });
  const looked = async () => (await memory.look(), journal.splice(0));
  return { memory, tables, settings, users, kuma, server, looked, zone: () => zone };
}

test("a password that was changed on another node ends that user's sessions here, and nobody else's", async () => {
  const { users, looked } = node();
  assert.deepStrictEqual(await looked(), []);
  users[0].password = "new";
  assert.deepStrictEqual(await looked(), ["end 1"]);
  assert.deepStrictEqual(await looked(), []);
  users[1].active = 0;
  assert.deepStrictEqual(await looked(), ["end 2"]);
});

test("whoever changed the password here keeps the session it was changed in", async () => {
  const { memory, users, looked } = node();
  await looked();
  memory.noteStatement("UPDATE `user` SET password = ? WHERE id = ? ", ["mine", 1]);
  users[0].password = "mine";
  assert.deepStrictEqual(await looked(), []);
});

test("a disableAuth that was set back on another node closes this one too; set back here Kuma has done it", async () => {
  for (const isOwn of [false, true]) {
    const { memory, settings, kuma, looked } = node();
    settings.set("disableAuth", "true");
    await looked();
    kuma.Settings.cacheList.disableAuth = { value: true };
    if (isOwn) memory.noteSetting({ key: "disableAuth", value: "false" });
    settings.set("disableAuth", "false");
    assert.deepStrictEqual((await looked()).filter((line) => line.startsWith("end")), isOwn ? [] : ["end 1", "end 2"]);
    assert.deepStrictEqual(kuma.Settings.cacheList, {}, "the next request is asked who it is");
    settings.set("disableAuth", "true");
    assert.deepStrictEqual((await looked()).filter((line) => line.startsWith("end")), []);
    // What was once set here is another's when another sets it.
    settings.set("disableAuth", "false");
    assert.deepStrictEqual((await looked()).filter((line) => line.startsWith("end")), ["end 1", "end 2"]);
  }
});

test("a setting in the cache that the database does not have is dropped at each look, every other one stays", async () => {
  const { settings, kuma, looked } = node();
  settings.set("trustProxy", "true").set("plain", "no JSON");
  await looked();
  kuma.Settings.cacheList = { trustProxy: { value: false }, other: { value: 7 }, none: { value: null } };
  assert.deepStrictEqual(await looked(), []);
  assert.deepStrictEqual(kuma.Settings.cacheList, { none: { value: null } });
});

test("the entry page, the time zone and the secret of the sessions hold here as they were set elsewhere", async () => {
  const { settings, server, looked, zone } = node();
  const { TZ } = process.env;
  await looked();
  settings.set("entryPage", '"statusPage-shop"').set("serverTimezone", '"Asia/Tokyo"').set("jwtSecret", "$2a$new");
  const said = await looked();
  assert.deepStrictEqual([server.entryPage, server.jwtSecret, process.env.TZ, zone()], ["statusPage-shop", "$2a$new", "Asia/Tokyo", "Asia/Tokyo"]);
  assert.deepStrictEqual(said, ["end 1", "end 2", "emit info 1", "emit info 2"]);
  if (TZ === undefined) delete process.env.TZ;
  else process.env.TZ = TZ;
});

test("of each table that changed, what hangs on it is dropped and browsers are told", async () => {
  const expected = {
    status_page: ["clear", "domains", "pages 1", "pages 2"],
    monitor_group: ["clear", "domains", "pages 1", "pages 2"],
    monitor: ["clear", "domains", "pages 1", "pages 2"],
    monitor_notification: ["emit monitorList 1", "emit monitorList 2"],
    notification: ["notifications 1", "notifications 2"],
    proxy: ["proxies 1", "proxies 2"],
    api_key: ["keys 1", "keys 2"],
    docker_host: ["docker 1", "docker 2"],
    remote_browser: ["browsers 1", "browsers 2"],
  };
  const { tables, looked } = node();
  await looked();
  for (const [name, lines] of Object.entries(expected)) {
    tables[name] += 1;
    assert.deepStrictEqual(await looked(), lines, name);
    assert.deepStrictEqual(await looked(), [], name);
  }
});

test("what could not be told is told at the next look", async () => {
  const { kuma, tables, looked } = node();
  await looked();
  tables.notification += 1;
  const { sendNotificationList } = kuma.client;
  kuma.client.sendNotificationList = async () => assert.fail("the pool is empty");
  await assert.rejects(looked());
  Object.assign(kuma.client, { sendNotificationList });
  assert.deepStrictEqual(await looked(), ["notifications 1", "notifications 2"]);
});
