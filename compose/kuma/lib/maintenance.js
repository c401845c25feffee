"use strict";
// Maintenance windows live in the memory of the node whose UI made them: what another node changed is reloaded here.

// Each node writes this when a window begins.
const NOT_AN_EDIT = new Set(["last_start_date"]);

class Maintenance {
  constructor({ kuma, wire, log }) {
    Object.assign(this, { kuma, wire, log });
    this.seen = null;
  }

  async look() {
    const rows = await this.wire.query("SELECT * FROM maintenance");
    const now = new Map(rows.map((row) => [row.id, { row, text: textOf(row) }]));
    const before = this.seen ?? new Map([...now].map(([id, { text }]) => [id, text]));
    this.seen = new Map([...now].map(([id, { text }]) => [id, text]));
    const users = new Set();
    for (const [id, { row, text }] of now) {
      if (before.get(id) === text) continue;
      // Until it is done it counts as not seen.
      this.seen.set(id, null);
      users.add(await this.reload(row));
      this.seen.set(id, text);
    }
    for (const id of before.keys()) if (!now.has(id)) users.add(this.forget(id));
    for (const user of users) if (user) await this.kuma.server.sendMaintenanceListByUserID(user);
  }

  async reload(row) {
    const { R, server } = this.kuma;
    this.end(server.maintenanceList[row.id]);
    const [bean] = R.convertToBeans("maintenance", [row]);
    server.maintenanceList[row.id] = bean;
    await bean.run();
    this.log.info(`maintenance ${row.id} was changed: reloaded`);
    return row.user_id;
  }

  forget(id) {
    const { maintenanceList } = this.kuma.server;
    const user = maintenanceList[id]?.user_id;
    this.end(maintenanceList[id]);
    delete maintenanceList[id];
    return user;
  }

  end(bean) {
    if (!bean) return;
    bean.stop();
    clearTimeout(bean.beanMeta.durationTimeout);
  }
}

const textOf = (row) => JSON.stringify(Object.entries(row).filter(([name]) => !NOT_AN_EDIT.has(name)));

module.exports = { Maintenance };
