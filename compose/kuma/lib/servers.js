"use strict";
// Which of several database servers everything in this process goes to, Kuma's own pool included. The choice is that of
// komainu's other processes (src/store/servers.rs): a server is used while it answers and takes writes; then all are asked
// at once, and of those that take writes it is the one that the leader's row names, else the first of the list. Servers that
// are no replicas of each other's are told apart by how far that row has come. An earlier one that is back draws nobody.

/** So long each server has to let somebody in, unless none of them does sooner. */
const SOON = 900;
const AT_MOST = 9_000;
/** Between two looks around while the leader is on a server that cannot be reached from here. */
const PAUSE = 5_000;
const ABOUT =
  "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_node_name', 'hostname', 'port', 'read_only')";
const STATUS = "SHOW STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_cluster_state_uuid')";
const LEADER = "SELECT epoch, renewals, server FROM komainu_leader WHERE id = 1";

class Servers {
  /** `connect({host, port})` returns a promise of a connection; `moved` is told that another server is used from here on. */
  constructor({ list, connect, moved, clock, log }) {
    Object.assign(this, { list, connect, moved, clock, log });
    this.used = null;
    this.lookedAt = -Infinity;
    this.looking = null;
  }

  get areSeveral() {
    return this.list.length > 1;
  }

  /** Whether a connection to there is of use. */
  isUsed({ host, port }) {
    return this.used === null || (this.used.host === host && this.used.port === Number(port));
  }

  /** Once at the start: until one takes writes. */
  async first() {
    for (;;) {
      const why = await this.look();
      if (this.used) return this.used;
      this.log.warn(`no database server takes writes: ${why}`);
      await this.clock.sleep(1_000);
    }
  }

  /** Now and then, on a connection to the server that is used: whether it still is the one. */
  async watch(query) {
    try {
      const said = about(await query(ABOUT), await query(STATUS));
      if (!said.shut) {
        const { leaders } = await view(query);
        if (leaders === null || leaders === said.name) return;
        // Perhaps that one cannot be reached from here.
        if (this.clock.now() - this.lookedAt < PAUSE) return;
      }
    } catch {
      // It is gone, or does not answer.
    }
    await this.look();
  }

  /** Asks all of them, and chooses; says why there is none. Only one look at a time. */
  look() {
    this.looking ??= this.askAll().finally(() => (this.looking = null));
    return this.looking;
  }

  async askAll() {
    this.lookedAt = this.clock.now();
    const reasons = [];
    const found = await this.gather(reasons);
    const chosen = choose(found);
    if (chosen) this.use(chosen);
    return reasons.join("; ");
  }

  use({ host, port, name }) {
    const before = this.used;
    this.used = { host, port, name };
    if (before && before.host === host && before.port === port) return;
    this.log.info(`database server ${name} at ${host}:${port}`);
    this.moved(this.used);
  }

  /** Those that take writes and answered soon; if none did, whoever is the first. In the order of the list. */
  gather(reasons) {
    return new Promise((resolve) => {
      const found = [];
      let [isLate, open] = [false, this.list.length];
      const end = () => {
        clearTimeout(late);
        resolve(found.sort((one, other) => one.at - other.at));
      };
      const late = setTimeout(() => {
        isLate = true;
        if (found.length > 0) end();
      }, SOON);
      this.list.forEach(async (server, at) => {
        try {
          found.push({ at, ...server, ...(await this.ask(server)) });
        } catch (error) {
          reasons.push(`${server.host}:${server.port}: ${error.message}`);
        }
        open -= 1;
        if (open === 0 || (isLate && found.length > 0)) end();
      });
    });
  }

  async ask(server) {
    const connecting = this.connect(server);
    const connection = await within(AT_MOST, connecting, () => connecting.then((late) => late.destroy(), () => {}));
    const query = async (sql) => (await connection.query(sql))[0];
    const asking = async () => {
      const said = about(await query(ABOUT), await query(STATUS));
      if (said.shut) throw new Error(said.shut);
      return { ...said, ...(await view(query)) };
    };
    try {
      return await within(AT_MOST, asking(), () => {});
    } finally {
      connection.destroy();
    }
  }
}

/** How far the leader's row has come there. One that cannot be read is behind any other. */
async function view(query) {
  try {
    const [row] = await query(LEADER);
    if (row) return { epoch: Number(row.epoch), renewals: Number(row.renewals), leaders: row.server ?? null };
  } catch (error) {
    if (!error.sqlState || error.fatal) throw error;
  }
  return { epoch: 0, renewals: 0, leaders: null };
}

const isOn = (value) => /^(on|1)$/i.test(value ?? "");

/** The rows of a SHOW, by name, and whether the server is one of a Galera cluster. */
function saidBy(rows) {
  const said = Object.fromEntries(rows.map((row) => [row.Variable_name.toLowerCase(), String(row.Value)]));
  return { ...said, isGalera: isOn(said.wsrep_on) };
}

/** By which all of komainu's processes tell servers apart. */
function nameOf(said) {
  return `${(said.isGalera && said.wsrep_node_name) || said.hostname}:${said.port}`;
}

function about(variables, status) {
  const said = saidBy([...variables, ...status]);
  const { isGalera } = said;
  const name = nameOf(said);
  const cluster = isGalera ? said.wsrep_cluster_state_uuid : null;
  let shut = null;
  if (!/^(off|0)$/i.test(said.read_only ?? "off")) shut = "it is read-only";
  else if (isGalera && !isOn(said.wsrep_ready)) shut = "its Galera is not ready";
  return { name, cluster, shut };
}

/** Of those that take writes, in the order of the list. */
function choose(found) {
  const isAhead = (one, other) => one.epoch > other.epoch || (one.epoch === other.epoch && one.renewals > other.renewals);
  const best = found.reduce((best, one) => (best === null || isAhead(one, best) ? one : best), null);
  if (best === null) return null;
  // What one of a Galera cluster has committed they all have.
  const isSame = (one) => (best.cluster === null ? one === best : one.cluster === best.cluster);
  const isAsFar = (one) => one.epoch === best.epoch && one.renewals === best.renewals;
  return found.find((one) => one.name === best.leaders && (isSame(one) || isAsFar(one))) ?? found.find(isSame);
}

/** `db1,db2:3307,[::1]:3308`, in the order in which they are tried; an Error that says what is wrong. */
function parse(text) {
  const list = [];
  for (const part of (text ?? "").split(",").map((part) => part.trim())) {
    const [, host, bare, port] = /^(?:\[([^\]]+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/.exec(part) ?? [];
    if (!host && !bare) return new Error(`"${part}" is no database server: write db1,db2:3307`);
    const server = { host: host ?? bare, port: Number(port ?? 3306) };
    if (list.some((other) => other.host === server.host && other.port === server.port)) return new Error(`${part} is named twice`);
    list.push(server);
  }
  return list;
}

function within(limit, promise, tooLate) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      tooLate();
      reject(new Error("no answer in time"));
    }, limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

module.exports = { ABOUT, Servers, choose, nameOf, parse, saidBy };
