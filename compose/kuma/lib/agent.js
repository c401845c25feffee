"use strict";
// Puts the parts together and into Kuma: which of Kuma's functions is replaced by what, and when things begin.

const crypto = require("node:crypto");
const http = require("node:http");
const https = require("node:https");
const Module = require("node:module");

const { aged, rebased } = require("./age");
const clock = require("./clock");
const log = require("./log");
const { StartLock, setupPage } = require("./firststart");
const { Doors } = require("./doors");
const { LeaseLock } = require("./leaselock");
const { Maintenance } = require("./maintenance");
const { Memory } = require("./memory");
const { Metrics } = require("./metrics");
const { Relay } = require("./relay");
const { Rows } = require("./rows");
const { Runs } = require("./runs");
const { Servers } = require("./servers");
const { Statistics, TABLES } = require("./statistics");
const { Telling } = require("./telling");
const { Tenure } = require("./tenure");
const { Window } = require("./window");
const { Wire } = require("./wire");

const SELF_TEST_AFTER = 20_000;
const UP = 1;
const ALL_MONITORS = " active = 1 ";
/** The beat before a run's: by time it may be one of before the clock stepped. As Kuma itself asks where somebody pushes. */
const LAST_BY_TIME = " monitor_id = ? ORDER BY time DESC";
const LAST_STORED = " id = (SELECT MAX(id) FROM heartbeat WHERE monitor_id = ?)";

class Agent {
  constructor(identity, root, version) {
    this.identity = identity;
    this.root = root;
    this.version = version;
    this.kuma = { R: null, server: { monitorList: {}, maintenanceList: {} }, start: null, stop: null, sendStats: null };
    this.isOpen = false;
    this.isClosing = false;
    /** Which database server is used, where there are several. */
    this.servers = null;
    const dial = () => this.mysql().createConnection(this.kuma.R.knex.client.config.connection);
    this.wires = { lease: new Wire(dial), eyes: new Wire(dial), bulk: new Wire(dial), health: new Wire(dial), relay: new Wire(dial) };
    const lock = new LeaseLock({ wire: this.wires.lease, incarnation: identity.incarnation, lost: () => this.tenure.loseLock() });
    this.rows = new Rows({ identity, lease: this.wires.lease, eyes: this.wires.eyes, lock });
    const owns = (id) => this.tenure.owns(id);
    this.statistics = new Statistics({ calculator: null, wire: this.wires.bulk, clock, owns });
    this.runs = new Runs({ kuma: this.kuma, rows: this.rows, statistics: this.statistics, clock, log });
    this.tenure = new Tenure({ rows: this.rows, runs: this.runs, clock, log, exit: log.fatal, giveUp: log.giveUp });
    this.runs.tenure = this.tenure;
    this.telling = new Telling({ kuma: this.kuma, runs: this.runs, wire: this.wires.health, log });
    this.runs.telling = this.telling;
    const { kuma, rows, runs, tenure, statistics, telling } = this;
    this.relay = new Relay({ kuma, identity, wire: this.wires.relay, runs, tenure, telling, log });
    this.window = new Window({ kuma, wire: this.wires.bulk, rows, runs, tenure, statistics, clock });
    const labels = () => this.load("prom-client").register.getSingleMetric("monitor_status").labelNames;
    this.metrics = new Metrics({ runs, tenure, labels });
    this.maintenance = new Maintenance({ kuma, wire: this.wires.eyes, log });
    const isWatched = (user) => this.window.isWatched(user);
    this.memory = new Memory({ kuma, wire: this.wires.eyes, isWatched, dayjs: () => this.load("dayjs"), log });
  }

  /** File of Kuma, or package, to what is done to its exports. */
  patches() {
    return {
      "redbean-node": ({ R }) => this.patchBeans(R),
      "server/model/monitor.js": (Monitor) => this.patchMonitor(Monitor),
      "server/uptime-calculator.js": ({ UptimeCalculator }) => this.patchCalculator(UptimeCalculator),
      "server/uptime-kuma-server.js": ({ UptimeKumaServer }) => this.patchServer(UptimeKumaServer),
      "server/database.js": (Database) => this.patchDatabase(Database),
      "server/notification.js": ({ Notification }) => {
        wrap(Notification, "send", (send, args) => this.telling.tell(send, args));
      },
      "server/settings.js": ({ Settings }) => (this.kuma.Settings = Settings),
      "server/model/status_page.js": (StatusPage) => (this.kuma.StatusPage = StatusPage),
      "server/modules/apicache/index.js": (apicache) => (this.kuma.apicache = apicache),
      "server/prometheus.js": ({ Prometheus }) => this.patchPrometheus(Prometheus),
      "server/client.js": (client) => (this.kuma.client = client),
      "server/jobs/clear-old-data.js": (exports) => {
        wrap(exports, "clearOldData", async (clear) => {
          if (await this.rows.isFirstNode()) return clear();
          log.info("another node cleans old data");
        });
      },
    };
  }

  patchBeans(R) {
    this.kuma.R = R;
    const read = (sql, values) => R.getAll(sql, values);
    wrap(R, "store", async (store, [bean]) => {
      const { type } = bean.beanMeta;
      if (type === "setting") this.memory.noteSetting(bean);
      const isBeat = type === "heartbeat";
      // Before it is open Kuma may count old beats anew.
      if (!this.isOpen || (!isBeat && !(type in TABLES))) return store();
      const storeRow = () => this.runs.asRow(Number(bean.monitor_id), store);
      if (!isBeat) return storeRow();
      await this.telling.endOpen(bean);
      if (bean.important && bean.status === UP) await this.telling.settle(Number(bean.monitor_id));
      const id = await this.runs.beforeBeat(storeRow, bean);
      rebased(bean, this.runs.current(), clock);
      return id;
    });
    wrap(R, "exec", (exec, [sql, values]) => {
      this.memory.noteStatement(sql, values);
      return exec();
    });
    // The first thing a run does, before it asks for maintenance.
    wrap(R, "findOne", async (find, args) => {
      if (args[0] !== "heartbeat") return find();
      if (args[1] === LAST_BY_TIME) args[1] = LAST_STORED;
      return aged(await this.runs.beforeRun(find), this.runs.current(), clock, this.runs.stalls);
    });
    wrap(R, "find", async (find, [type, clause, data]) => {
      if (type === "monitor" && clause === ALL_MONITORS) return this.open();
      return (await this.statistics.find(type, data ?? [], read)) ?? find();
    });
  }

  patchMonitor(Monitor) {
    const { start, stop } = Monitor.prototype;
    const { sendStats } = Monitor;
    this.kuma.sendNotification = (...said) => Monitor.sendNotification(...said);
    this.kuma.start = (bean) => start.call(bean, this.kuma.server.io);
    const { metrics, runs } = this;
    this.kuma.stop = async (bean) => {
      await stop.call(bean);
      metrics.forget(Number(bean.id));
    };
    Monitor.prototype.start = function () {
      return runs.askedToStart(this);
    };
    Monitor.prototype.stop = function () {
      return runs.askedToStop(this);
    };
    // Where a run takes its beat's time.
    wrap(Monitor, "isUnderMaintenance", (ask) => {
      const { run, isPush } = runs.current();
      if (run && !isPush) run.begunAt = clock.now();
      return runs.beforeRun(ask);
    });
    this.kuma.sendStats = (io, id, user) => {
      if (this.tenure.owns(Number(id))) return sendStats.call(Monitor, io, id, user);
      return Promise.all([
        this.window.sendFigures(io, id, user),
        Monitor.sendCertInfo(io, id, user),
        Monitor.sendDomainInfo(io, id, user),
      ]);
    };
    Monitor.sendStats = this.kuma.sendStats;
  }

  patchCalculator(UptimeCalculator) {
    this.statistics.calculator = UptimeCalculator;
    UptimeCalculator.getUptimeCalculator = (id) => this.statistics.of(id);
    wrap(UptimeCalculator.prototype, "update", (update) => this.runs.beforeCounting(update));
  }

  patchPrometheus(Prometheus) {
    const { update } = Prometheus.prototype;
    const { metrics } = this;
    Prometheus.prototype.update = function (...args) {
      if (metrics.mayShow(this)) update.apply(this, args);
    };
  }

  patchServer(UptimeKumaServer) {
    const agent = this;
    const ready = UptimeKumaServer.prototype.initAfterDatabaseReady;
    UptimeKumaServer.prototype.initAfterDatabaseReady = async function () {
      await ready.call(this);
      agent.startLock.release();
      agent.begin(this);
    };
    wrap(UptimeKumaServer.prototype, "getMonitorJSONList", async (list) => agent.window.tagged(await list()));
  }

  patchDatabase(Database) {
    wrap(Database, "connect", async (connect) => {
      await this.chooseServer(Database);
      const { type, hostname, port, username, password, socketPath, dbName, ssl, ca } = Database.readDBConfig();
      if (type !== "mariadb") log.fatal(`a node of a cluster needs MariaDB, this Kuma is set to ${type}`);
      const settings = { host: hostname, port, user: username, password, socketPath, ...tlsOf(ssl, ca) };
      const name = `komainu-start:${crypto.createHash("sha256").update(dbName).digest("hex").slice(0, 24)}`;
      this.startLock = new StartLock({ connect: () => this.mysql().createConnection(settings), name, log });
      await this.startLock.take();
      await connect();
      this.patchClient(this.kuma.R.knex.client);
    });
  }

  /** Where `KOMAINU_DATABASE_SERVERS` names several, Kuma is told the one that is used, instead of the one it is set to. */
  async chooseServer(Database) {
    const { servers: list } = this.identity;
    if (!list?.length || this.servers) return;
    const { username, password, dbName, ssl, ca } = Database.readDBConfig();
    const settings = { user: username, password, ...tlsOf(ssl, ca) };
    const connect = async (server) => {
      const connection = await this.mysql().createConnection({ ...settings, ...server });
      // There may be no database yet: Kuma makes it.
      await connection.query("USE ??", [dbName]).catch((error) => {
        if (error.sqlState && !error.fatal) return;
        connection.destroy();
        throw error;
      });
      return connection;
    };
    const servers = new Servers({ list, connect, moved: (server) => this.move(server), clock, log });
    await servers.first();
    this.servers = servers;
    wrap(Database, "readDBConfig", (read) => ({ ...read(), hostname: servers.used.host, port: servers.used.port }));
  }

  /** Everything goes to this server from here on: new connections, idle ones, and those that wait for an answer elsewhere. */
  move({ host, port }) {
    const client = this.kuma.R?.knex?.client;
    if (!client || !this.servers) return;
    for (const settings of [client.config?.connection, client.connectionSettings]) if (settings) Object.assign(settings, { host, port });
    for (const wire of Object.values(this.wires)) wire.drop();
    for (const { resource } of client.pool?.used ?? []) {
      if (!this.servers.isUsed(resource.config)) resource.stream.destroy(new Error("the database server is another one now"));
    }
  }

  /** Each statement comes here with the connection it waited for. */
  patchClient(client) {
    if (this.servers) wrap(client, "validateConnection", (isValid, [connection]) => isValid() && this.servers.isUsed(connection.config));
    wrap(client, "_query", (query, [, statement]) => this.runs.beforeSending(query, statement));
  }

  /** Kuma's database is ready; it does not listen yet. */
  begin(server) {
    this.kuma.server = server;
    const { identity, tenure, runs } = this;
    const doors = new Doors({ identity, tenure, runs, wire: this.wires.health, clock, version: this.version });
    const handle = server.app.handle;
    server.app.handle = (req, res, next) => doors.take(req, res, () => handle.call(server.app, req, res, next));
    if (this.servers?.areSeveral) this.every(1_000, () => this.servers.watch((sql) => this.wires.health.query(sql)));
    const hasUser = async () => Number((await this.wires.eyes.query("SELECT COUNT(*) AS users FROM user"))[0].users) > 0;
    server.io.use(setupPage(hasUser));
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => this.close());
    this.selfTesting = setTimeout(() => this.selfTest(), SELF_TEST_AFTER).unref();
  }

  /** Kuma listens and would now start every monitor, one after another. */
  open() {
    this.isOpen = true;
    const failed = (error) => log.giveUp(`the agent failed: ${error.stack}`);
    this.tenure.live().catch(failed);
    this.tenure.renewAlways().catch(failed);
    this.every(1_000, () => this.window.lookAtBeats());
    this.every(2_000, () => this.window.keepPlaces());
    this.every(2_000, () => this.maintenance.look());
    this.every(2_000, () => this.memory.look());
    this.every(2_000, () => this.relay.look());
    return [];
  }

  async close() {
    log.info("stopping: the lease is given back");
    clearTimeout(this.selfTesting);
    this.isClosing = true;
    try {
      await this.tenure.leave();
    } catch (error) {
      log.warn(`the lease was not given back: ${error.message}`);
    }
  }

  /** Says once what fails, and goes on: none of these decides who runs a monitor. */
  async every(ms, act) {
    let complaint = "";
    while (!this.isClosing) {
      try {
        await act();
        complaint = "";
      } catch (error) {
        if (!complaint) log.warn(error.message);
        complaint = error.message;
      }
      await clock.sleep(ms);
    }
  }

  /** What the fingerprints cannot show: that the hooks were reached. */
  async selfTest() {
    const { httpServer } = this.kuma.server;
    const missing = this.hooks.missing();
    if (missing.length > 0) log.fatal(`self-test: never loaded: ${missing.join(", ")}`);
    if (!this.isOpen) log.fatal("self-test: Kuma did not come to start its monitors");
    const address = httpServer.address();
    const { get } = address && "key" in httpServer ? https : http;
    const host = ["::", "0.0.0.0"].includes(address.address) ? "127.0.0.1" : address.address;
    const options = { host, port: address.port, path: "/api/v1/health", rejectUnauthorized: false, timeout: 10_000 };
    const reached = await new Promise((resolve) => {
      const request = get(options, (response) => {
        let text = "";
        response.on("data", (part) => (text += part));
        response.on("end", () => resolve(text.includes(this.identity.incarnation)));
      });
      request.on("timeout", () => request.destroy());
      request.on("error", () => resolve(false));
    });
    if (!reached) log.fatal("self-test: /api/v1/health is not answered by the agent");
  }

  mysql() {
    return this.load("mysql2/promise");
  }

  /** Kuma's own copy of a package. */
  load(name) {
    return Module.createRequire(`${this.root}/`)(name);
  }
}

/** As Kuma connects. */
function tlsOf(ssl, ca) {
  return ssl ? { ssl: { rejectUnauthorized: true, ...(ca?.trim() ? { ca: [ca] } : {}) } } : {};
}

/** Replaces a method by `by(original, arguments)`, where `original()` goes on as it would have gone. */
function wrap(object, name, by) {
  const original = object[name];
  object[name] = function (...args) {
    return by(() => original.apply(this, args), args);
  };
}

module.exports = { Agent };
