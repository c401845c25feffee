"use strict";
// What Kuma keeps in one process and reads from the database no more: sessions, settings, the pages it served, the lists that
// open browsers were sent. Every two seconds a few numbers say which of Kuma's tables somebody changed; what hangs on those
// is dropped here, and browsers are told. What this very process changed Kuma itself has told about already; told twice is
// told once. Only the end of sessions is not repeated: whoever changed a password here keeps the session it was changed in.

/** Table to what follows from a change of it. `setting` and `user` are read whole: each line matters by itself. */
const FOLLOWED = {
  status_page: ["pages"],
  status_page_cname: ["pages"],
  incident: ["pages"],
  group: ["pages"],
  monitor_group: ["pages"],
  maintenance_status_page: ["pages"],
  monitor_maintenance: ["pages"],
  monitor: ["pages"],
  tag: ["pages", "monitors"],
  monitor_tag: ["pages", "monitors"],
  monitor_notification: ["monitors"],
  notification: ["notifications"],
  proxy: ["proxies"],
  api_key: ["keys"],
  docker_host: ["dockerHosts"],
  remote_browser: ["remoteBrowsers"],
};
/** Of a monitor, what pages show. Its own node writes other columns while it runs. */
const SHOWN = { monitor: ["id", "name", "active", "parent", "type", "url", "description"] };
const OWN_LOOKS = 3;
const PASSWORD = /^UPDATE `user` SET password = \?/i;

class Memory {
  /** `kuma` has R, server, Settings, StatusPage, client, apicache; `isWatched(user)`: some browser is open; `dayjs()` is Kuma's. */
  constructor({ kuma, wire, isWatched, dayjs, log }) {
    Object.assign(this, { kuma, wire, isWatched, dayjs, log });
    this.prints = new Map();
    this.settings = null;
    this.users = null;
    this.ownPasswords = new Set();
    this.ownSettings = new Map();
    this.sql = null;
  }

  // ---- what this process changes itself ----

  /** Before a statement of Kuma's: a password that is changed here ends other sessions by Kuma's own hand. */
  noteStatement(sql, [password] = []) {
    if (PASSWORD.test(sql)) this.ownPasswords.add(password);
    if (this.ownPasswords.size > 100) this.ownPasswords.delete(this.ownPasswords.values().next().value);
  }

  noteSetting({ key, value }) {
    this.ownSettings.set(key, { value, looks: 0 });
  }

  // ---- what others changed ----

  async look() {
    await this.lookAtSettings();
    await this.lookAtUsers();
    await this.lookAtTables();
  }

  async lookAtSettings() {
    const rows = await this.wire.query("SELECT `key`, value FROM setting");
    const now = new Map(rows.map(({ key, value }) => [key, value]));
    this.dropSettings(now);
    const before = this.settings ?? now;
    const changed = [...new Set([...now.keys(), ...before.keys()])].filter((key) => now.get(key) !== before.get(key));
    for (const key of changed) await this.followSetting(key, now.get(key), before.get(key));
    if (changed.length > 0) await this.tellAll(["info"]);
    this.settings = now;
    this.forgetOwn();
  }

  /** What was set here is found at the next look, or another wrote over it. */
  forgetOwn() {
    for (const [key, own] of this.ownSettings) {
      own.looks += 1;
      if (own.looks > OWN_LOOKS || own.value === this.settings.get(key)) this.ownSettings.delete(key);
    }
  }

  /** Also what was read just before the change and kept just after it. */
  dropSettings(now) {
    const { cacheList } = this.kuma.Settings;
    for (const [key, { value }] of Object.entries(cacheList)) {
      if (JSON.stringify(value) !== plain(now.get(key))) delete cacheList[key];
    }
  }

  async followSetting(key, value, before) {
    const { server } = this.kuma;
    const isOwn = this.ownSettings.get(key)?.value === value;
    if (key === "entryPage") server.entryPage = parsed(value);
    if (key === "jwtSecret" && value) server.jwtSecret = value;
    if (key === "serverTimezone" && parsed(value)) {
      process.env.TZ = parsed(value);
      this.dayjs().tz.setDefault(parsed(value));
    }
    // Whoever came in without a password goes.
    const isClosed = key === "disableAuth" && parsed(before) === true && parsed(value) !== true;
    if ((isClosed || key === "jwtSecret") && !isOwn) {
      this.log.info(`the setting ${key} was changed on another node: its sessions end here`);
      for (const user of this.sessions()) server.disconnectAllSocketClients(user);
    }
  }

  async lookAtUsers() {
    const rows = await this.wire.query("SELECT id, password, active FROM user");
    const now = new Map(rows.filter(({ active }) => active).map(({ id, password }) => [id, password]));
    for (const [id, password] of this.users ?? []) {
      if (now.get(id) === password || this.ownPasswords.has(now.get(id))) continue;
      this.log.info(`user ${id} was changed on another node: the sessions here end`);
      this.kuma.server.disconnectAllSocketClients(id);
    }
    this.users = now;
  }

  async lookAtTables() {
    this.sql ??= await this.statement();
    const rows = await this.wire.query(this.sql, [], 10_000);
    const isFirst = this.prints.size === 0;
    const changed = rows.filter(({ name, print }) => !isFirst && this.prints.get(name) !== String(print));
    await this.tellAll(new Set(changed.flatMap(({ name }) => FOLLOWED[name])));
    // Only now: what could not be told is told at the next look.
    for (const { name, print } of rows) this.prints.set(name, String(print));
  }

  /** One line for each table: how many rows, and all of them in one number. */
  async statement() {
    const names = Object.keys(FOLLOWED);
    const columns = await this.wire.query(
      "SELECT table_name AS name, column_name AS col FROM information_schema.columns " +
        "WHERE table_schema = DATABASE() AND table_name IN (?) ORDER BY table_name, ordinal_position",
      [names],
    );
    const parts = names.map((name) => {
      const all = columns.filter((column) => column.name === name).map(({ col }) => col);
      const texts = (SHOWN[name] ?? all).map((column) => `QUOTE(\`${column}\`)`).join(", ");
      const number = `CAST(CONV(LEFT(MD5(CONCAT_WS(',', ${texts})), 15), 16, 10) AS UNSIGNED)`;
      return `SELECT '${name}' AS name, CONCAT(COUNT(*), '/', COALESCE(BIT_XOR(${number}), 0)) AS print FROM \`${name}\``;
    });
    return parts.join(" UNION ALL ");
  }

  // ---- what follows ----

  /** The users of whom browsers are open here. */
  sessions() {
    const users = new Set([...this.kuma.server.io.sockets.sockets.values()].map(({ userID }) => userID));
    return [...users].filter((user) => user !== undefined && user !== null);
  }

  async tellAll(what) {
    const wanted = new Set(what);
    const { apicache, StatusPage } = this.kuma;
    if (wanted.has("pages")) {
      apicache.clear();
      await StatusPage.loadDomainMappingList();
    }
    for (const user of wanted.size > 0 ? this.sessions() : []) {
      if (this.isWatched(user)) for (const one of wanted) await this.tell(user, one);
    }
  }

  /** As Kuma tells the browsers of a user; it asks a socket for no more than this. */
  async tell(user, what) {
    const { client, server, StatusPage } = this.kuma;
    const socket = { userID: user, emit: (...said) => server.io.to(user).emit(...said) };
    const acts = {
      info: () => client.sendInfo(socket),
      pages: () => StatusPage.sendStatusPageList(server.io, socket),
      monitors: async () => server.io.to(user).emit("monitorList", await server.getMonitorJSONList(user)),
      notifications: () => client.sendNotificationList(socket),
      proxies: () => client.sendProxyList(socket),
      keys: () => client.sendAPIKeyList(socket),
      dockerHosts: () => client.sendDockerHostList(socket),
      remoteBrowsers: () => client.sendRemoteBrowserList(socket),
    };
    await acts[what]();
  }
}

/** As Kuma reads a setting. */
function parsed(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return text;
  }
}

const plain = (text) => JSON.stringify(parsed(text));

module.exports = { Memory, FOLLOWED };
