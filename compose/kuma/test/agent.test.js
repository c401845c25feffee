"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { Agent } = require("../lib/agent");
const clock = require("../lib/clock");
const { gate, settle, silent } = require("./standin");

const IDENTITY = { id: "kuma2", key: "ab".repeat(32), address: "http://kuma2:3001", hostname: "h", incarnation: "aaaaaaaaaaaaaaaa" };

/** The agent's patches on classes that have only what is hooked. */
function patched({ store, update, findOne } = {}) {
  const journal = [];
  const agent = new Agent(IDENTITY, "/nowhere", "2.5.3");
  const patches = agent.patches();
  const R = {
    store: store ?? (async (bean) => journal.push(`store ${bean.beanMeta.type}`)),
    find: async (type) => [`stock ${type}`],
    findOne: findOne ?? (async (type) => `one ${type}`),
    getAll: async () => [],
    exec: async () => {},
  };
  class Monitor {
    constructor(id) {
      this.id = id;
    }
    async start(io) {
      journal.push(`start ${this.id} ${io}`);
    }
    async stop() {
      journal.push(`stop ${this.id}`);
    }
    static async isUnderMaintenance(id) {
      return `maintenance of ${id}`;
    }
    static async sendStats(_, id) {
      journal.push(`stock figures ${id}`);
    }
    static async sendCertInfo() {}
    static async sendDomainInfo() {}
  }
  class UptimeCalculator {
    static list = {};
    async update(status) {
      return update ? update() : `counted ${status}`;
    }
  }
  const Notification = { send: async (to) => `sent to ${to}` };
  const jobs = { clearOldData: async () => journal.push("cleaned") };
  patches["redbean-node"]({ R });
  patches["server/model/monitor.js"](Monitor);
  patches["server/uptime-calculator.js"]({ UptimeCalculator });
  patches["server/notification.js"]({ Notification });
  patches["server/jobs/clear-old-data.js"](jobs);
  return { agent, journal, R, Monitor, UptimeCalculator, Notification, jobs };
}

test("what is no run of a monitor goes on as in Kuma", async () => {
  const { R, Monitor, UptimeCalculator, Notification, journal } = patched();
  await R.store({ beanMeta: { type: "heartbeat" } });
  assert.deepStrictEqual(journal, ["store heartbeat"]);
  assert.deepStrictEqual(await R.find("tag", " x ", []), ["stock tag"]);
  assert.strictEqual(await Monitor.isUnderMaintenance(3), "maintenance of 3");
  assert.strictEqual(await new UptimeCalculator().update(1), "counted 1");
  assert.strictEqual(await Notification.send("ops"), "sent to ops");
});

test("Kuma's own start of all monitors, one after another, finds none: the tenure begins instead", async () => {
  const { agent, R } = patched();
  let opened = 0;
  agent.open = () => ((opened += 1), []);
  assert.deepStrictEqual(await R.find("monitor", " active = 1 "), []);
  assert.strictEqual(opened, 1);
  assert.deepStrictEqual(await R.find("monitor", " user_id = ? ", [1]), ["stock monitor"]);
});

test("Kuma's start of a monitor that this node does not own starts nothing", async () => {
  const { agent, Monitor, journal } = patched();
  const monitor = new Monitor(9);
  agent.kuma.server.monitorList[9] = monitor;
  await monitor.start("io");
  await settle();
  assert.deepStrictEqual([journal, agent.kuma.server.monitorList], [[], {}]);
});

/** A run of monitor 7, which this node holds, whose statements wait for a connection until `found()`. */
function waiting() {
  const { promise, open: found } = gate();
  const sent = [];
  const database = { affectedRows: 1 };
  const client = { _query: async (_, { sql }) => (sent.push(sql), { response: [database] }) };
  const store = (bean) => promise.then(() => client._query(null, { sql: `insert into \`${bean.beanMeta.type}\` (\`monitor_id\`) values (?)`, bindings: [7] }));
  const { agent, R, UptimeCalculator } = patched({ store, update: () => R.store({ monitor_id: 7, beanMeta: { type: "stat_daily" } }) });
  agent.patchClient(client);
  agent.kuma.stop = async () => {};
  agent.isOpen = true;
  Object.assign(agent.tenure, { phase: "holding", renewedAt: clock.now(), isReconciled: true, mine: new Set([7]) });
  UptimeCalculator.list[7] = "counters";
  const run = { id: 7, isAlive: true, bean: { id: 7 } };
  const acts = { beat: () => R.store({ monitor_id: 7, beanMeta: { type: "heartbeat" } }), count: () => new UptimeCalculator().update(1) };
  const act = (name, context = {}) => agent.runs.context.run({ run, isPush: false, ...context }, acts[name]);
  return { agent, run, sent, client, database, found, act, counters: UptimeCalculator.list };
}

test("a statement that waited for one of Kuma's connections until the lease was over is not sent, and not told of", async () => {
  for (const name of ["beat", "count"]) {
    const { agent, run, sent, client, found, act, counters } = waiting();
    let isSettled = false;
    act(name).finally(() => (isSettled = true)).catch(() => {});
    await settle();
    agent.tenure.renewedAt = -Infinity;
    found();
    await settle();
    assert.deepStrictEqual([sent, isSettled, run.isAlive], [[], false, false]);
    assert.strictEqual(7 in counters, name === "beat", "what was counted and not stored is read anew");
    assert.strictEqual(agent.runs.storing.segments.size, 0);
    // What is no row of a monitor goes its way.
    await client._query(null, { sql: "SELECT" });
    assert.deepStrictEqual(sent, ["SELECT"]);
  }
});

test("a statement that reached the database after the lease was revoked stores nothing, and its run is not told of it", async () => {
  for (const name of ["beat", "count"]) {
    const { run, database, found, act, counters } = waiting();
    let isSettled = false;
    act(name).finally(() => (isSettled = true)).catch(() => {});
    database.affectedRows = 0;
    found();
    await settle();
    assert.deepStrictEqual([isSettled, run.isAlive, 7 in counters], [false, false, name === "beat"]);
  }
});

test("a push that waited for a connection until the lease was over is answered so that it comes again", async () => {
  const { agent, sent, found, act } = waiting();
  const pushed = act("beat", { isPush: true, isHeld: true });
  await settle();
  agent.tenure.renewedAt = -Infinity;
  found();
  await assert.rejects(pushed, /the push was not stored/);
  assert.deepStrictEqual(sent, []);
});

test("a run that cannot read its previous beat begins again soon, not when an interval has passed", async () => {
  const failing = async () => {
    throw new Error("the database is away");
  };
  const { agent, R } = patched({ findOne: failing });
  agent.kuma.stop = async () => {};
  agent.runs.log = silent;
  Object.assign(agent.tenure, { phase: "holding", renewedAt: clock.now(), isReconciled: true, mine: new Set([7]) });
  const run = { id: 7, isAlive: true, bean: { id: 7 } };
  const again = new Promise((resolve) => (agent.runs.enqueue = resolve));
  agent.runs.context.run({ run, isPush: false }, () => R.findOne("heartbeat", " monitor_id = ? ", [7]));
  assert.deepStrictEqual(await again, [7]);
  assert.strictEqual(run.isAlive, false);
  await assert.rejects(R.findOne("heartbeat"), /away/);
});

test("what is being stored when this node leaves is stored, and waited for", async () => {
  const { agent, sent, found, act } = waiting();
  agent.rows.lease = { query: async () => ({ affectedRows: 1 }) };
  const stored = act("beat");
  await settle();
  const closed = agent.close();
  await settle();
  assert.strictEqual(agent.tenure.phase, "leaving");
  found();
  await Promise.all([stored, closed]);
  assert.match(sent.join(), /^insert into `heartbeat` .* where exists \(select 1 from `node` [^,]*$/);
  assert.strictEqual(agent.tenure.phase, "ended");
});

test("inside a run of a monitor this node does not own, nothing is stored, counted or told", async () => {
  const { agent, R, UptimeCalculator, Notification, journal } = patched();
  const run = { id: 9, isAlive: true, bean: { id: 9 } };
  let settled = 0;
  agent.kuma.stop = async () => {};
  agent.isOpen = true;
  agent.runs.context.run({ run, isPush: false }, () => {
    for (const act of [() => R.store({ beanMeta: { type: "heartbeat" } }), () => new UptimeCalculator().update(1), () => Notification.send("ops")]) {
      act().then(() => (settled += 1), () => (settled += 1));
    }
  });
  await settle();
  assert.deepStrictEqual([settled, journal], [0, []]);
});

test("figures of an own monitor are Kuma's, of another's the database's", async () => {
  const { agent, Monitor, journal } = patched();
  agent.tenure.mine.add(7);
  agent.window.sendFigures = async (_, id) => journal.push(`summed ${id}`);
  await Monitor.sendStats("io", "7", 1);
  await Monitor.sendStats("io", "9", 1);
  assert.deepStrictEqual(journal, ["stock figures 7", "summed 9"]);
});

test("one node cleans old data: the first of those that are online", async () => {
  for (const [first, cleaned] of [["kuma1", []], ["kuma2", ["cleaned"]], [null, ["cleaned"]]]) {
    const { agent, jobs, journal } = patched();
    agent.rows.eyes = { query: async () => [{ first }] };
    await jobs.clearOldData();
    assert.deepStrictEqual(journal, cleaned);
  }
});

test("the self-test ends Kuma when a hook was not reached or health is not answered by the agent", async (t) => {
  const log = require("../lib/log");
  const http = require("node:http");
  const said = [];
  const { fatal } = log;
  log.fatal = (text) => said.push(text);
  t.after(() => (log.fatal = fatal));
  let body = IDENTITY.incarnation;
  const server = http.createServer((_, res) => res.end(body));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { agent } = patched();
  agent.kuma.server.httpServer = server;
  agent.hooks = { missing: () => [] };
  agent.isOpen = true;
  await agent.selfTest();
  assert.deepStrictEqual(said, []);
  body = "<html>Kuma</html>";
  await agent.selfTest();
  agent.isOpen = false;
  agent.hooks = { missing: () => ["server/notification.js"] };
  await agent.selfTest();
  assert.deepStrictEqual(said.map((text) => /never loaded|did not come|not answered/.exec(text)[0]), ["not answered", "never loaded", "did not come", "not answered"]);
});

test("a setting and a password that are changed in this process are known as its own", async () => {
  const { agent, R } = patched();
  await R.store({ key: "disableAuth", value: "false", beanMeta: { type: "setting" } });
  await R.exec("UPDATE `user` SET password = ? WHERE id = ? ", ["$2a$mine", 1]);
  await R.exec("DELETE FROM stat_minutely");
  assert.strictEqual(agent.memory.ownSettings.get("disableAuth").value, "false");
  assert.deepStrictEqual([...agent.memory.ownPasswords], ["$2a$mine"]);
});

test("the beat before a run's is the one that was stored last, whatever the times say", async () => {
  const asked = [];
  const { R } = patched({ findOne: async (...args) => asked.push(args) });
  await R.findOne("heartbeat", " monitor_id = ? ORDER BY time DESC", [7]);
  await R.findOne("user", " monitor_id = ? ORDER BY time DESC", [7]);
  assert.deepEqual(asked, [
    ["heartbeat", " id = (SELECT MAX(id) FROM heartbeat WHERE monitor_id = ?)", [7]],
    ["user", " monitor_id = ? ORDER BY time DESC", [7]],
  ]);
});

test("a wall clock that is set while a run lasts moves neither the next run nor the beat that is stored", async (t) => {
  for (const step of [-3_600_000, 3_600_000]) {
    let set = 0;
    const { now } = Date;
    t.mock.method(Date, "now", () => now() + set);
    let stored = null;
    const { agent, R, Monitor } = patched({ store: async (bean) => (stored = bean.time) });
    agent.isOpen = true;
    Object.assign(agent.tenure, { phase: "holding", renewedAt: clock.now(), isReconciled: true, mine: new Set([7]) });
    const run = { id: 7, isAlive: true, bean: { id: 7, type: "http" } };
    const beat = { monitor_id: 7, beanMeta: { type: "heartbeat" } };
    const began = (beat.time = wallTime(0));
    await agent.runs.context.run({ run, isPush: false }, async () => {
      await Monitor.isUnderMaintenance(7);
      set = step;
      await R.store(beat);
    });
    assert.strictEqual(stored, began);
    // Kuma's own reckoning of how much of the interval is over.
    const over = Date.now() - Date.parse(`${beat.time.replace(" ", "T")}Z`);
    assert.ok(over >= -50 && over < 1_000, `${over} ms`);
    t.mock.restoreAll();
  }
});

/** The age in seconds of the beat that Kuma finds, by Kuma's own reckoning, in a run of monitor 7 or a push to it. */
async function ageFound({ time, type = "push", isPush = false, heardAgo, stoodStillAgo = Infinity, interval = 60 }) {
  const { agent, R } = patched({ findOne: async () => ({ time, status: 1 }) });
  Object.assign(agent.tenure, { phase: "holding", renewedAt: clock.now(), isReconciled: true, mine: new Set([7]) });
  const run = { id: 7, isAlive: true, bean: { id: 7, type, interval }, heardAt: clock.now() - heardAgo };
  agent.runs.stalls.note(clock.now() - stoodStillAgo - 1_500, clock.now() - stoodStillAgo);
  const beat = await agent.runs.context.run({ run, isPush }, () => R.findOne("heartbeat", " monitor_id = ? ", [7]));
  return Math.round((Date.now() - Date.parse(`${beat.time.replace(" ", "T")}Z`)) / 1000);
}

const wallTime = (secondsAgo) => new Date(Date.now() - secondsAgo * 1000).toISOString().slice(0, 23).replace("T", " ");

test("how old the last push is, a run asks this process's own clock, not whoever's wall clock made the beat", async () => {
  assert.strictEqual(await ageFound({ time: wallTime(-3_600), heardAgo: 62_000 }), 62, "a beat in the future is late too");
  assert.strictEqual(await ageFound({ time: wallTime(3_600), heardAgo: 5_000 }), 5, "one that looks old is in time");
});

test("a push that fell due while this node's loop stood still is waited for anew, and no other", async () => {
  assert.strictEqual(await ageFound({ time: wallTime(100), heardAgo: 62_000, stoodStillAgo: 3_000, interval: 86_400 }), 62);
  assert.strictEqual(await ageFound({ time: wallTime(100), heardAgo: 62_000, stoodStillAgo: 3_000 }), 3);
  assert.strictEqual(await ageFound({ time: wallTime(100), heardAgo: 2_000, stoodStillAgo: 3_000 }), 2);
});

test("what asks for no push that is overdue finds beats as they are", async () => {
  assert.strictEqual(await ageFound({ time: wallTime(100), heardAgo: 5_000, type: "http" }), 100);
  assert.strictEqual(await ageFound({ time: wallTime(100), heardAgo: 5_000, isPush: true }), 100);
  const { R } = patched({ findOne: async () => null });
  assert.strictEqual(await R.findOne("heartbeat", " monitor_id = ? ", [7]), null);
});

test("once another database server is used Kuma's idle connections to the old one are lent no more, and those that wait fail", async () => {
  const { agent } = patched();
  const [old, next] = [{ host: "db1", port: 3306 }, { host: "db2", port: 3307 }];
  agent.servers = { used: old, isUsed: ({ host, port }) => host === agent.servers.used.host && port === agent.servers.used.port };
  const failed = [];
  const connection = (config) => ({ config, stream: { destroy: (error) => failed.push(`${config.host}: ${error.message}`) } });
  const client = { validateConnection: () => true, connectionSettings: { ...old }, config: { connection: { ...old } } };
  client.pool = { used: [{ resource: connection(old) }, { resource: connection(next) }] };
  agent.kuma.R.knex = { client };
  agent.patchClient(client);
  assert.strictEqual(client.validateConnection(connection(old)), true);
  agent.servers.used = next;
  agent.move(next);
  assert.deepStrictEqual([client.connectionSettings, client.config.connection], [next, next]);
  assert.deepStrictEqual(failed, ["db1: the database server is another one now"]);
  assert.strictEqual(client.validateConnection(connection(old)), false);
  assert.strictEqual(client.validateConnection(connection(next)), true);
});

test("Kuma is told the database server that is used, instead of the one it is set to", async () => {
  const agent = new Agent({ ...IDENTITY, servers: [{ host: "db1", port: 3306 }, { host: "db2", port: 3307 }] }, "/nowhere", "2.5.3");
  const answers = (port) => ({
    query: async (sql) => [sql.startsWith("SHOW V") ? [{ Variable_name: "read_only", Value: port === 3306 ? "ON" : "OFF" }] : []],
    destroy() {},
  });
  const dialled = [];
  agent.mysql = () => ({ createConnection: async (settings) => (dialled.push(settings), answers(settings.port)) });
  const config = { type: "mariadb", hostname: "db", port: 1, username: "kuma", password: "x", dbName: "kuma" };
  const Database = { readDBConfig: () => config };
  await agent.chooseServer(Database);
  assert.deepStrictEqual(Database.readDBConfig(), { ...config, hostname: "db2", port: 3307 });
  assert.deepStrictEqual(dialled.map(({ host, user, password }) => `${user}:${password}@${host}`), ["kuma:x@db1", "kuma:x@db2"]);
});
