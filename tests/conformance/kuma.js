// Runs monitors once with stock Uptime Kuma's own `Monitor` class, for the conformance suite: its folder is the first
// argument. Standard input: [{"id": 1, "columns": {…}}, …]. Standard output: {"1": {"status": 1, "msg": "200 - OK"}, …}.
//
// Kuma's database is not there: what the class reads of it is answered here (no beat before, no maintenance, no proxy),
// and the beat that it would store is what is told. Everything that asks targets is Kuma's.

"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const folder = path.resolve(process.argv[2]);
process.chdir(folder);
// Kuma reads its own arguments.
process.argv.length = 2;
const kuma = createRequire(path.join(folder, "server", "server.js"));

// A checkout has no built pages, without which Kuma ends.
const fs = require("node:fs");
const readFileSync = fs.readFileSync;
fs.readFileSync = (file, ...rest) => (file === "./dist/index.html" ? Buffer.from("") : readFileSync(file, ...rest));

// Its log goes to standard output.
for (const name of ["log", "info", "warn", "error", "debug", "trace"]) {
    console[name] = () => {};
}

const dayjs = kuma("dayjs");
dayjs.extend(kuma("dayjs/plugin/utc"));
const { R } = kuma("redbean-node");
const waiting = new Map();
const cases = new Map();

// One process does all the work of all the runs, within their timeouts.
const AT_ONCE = 32;

// The beat before, as its case has it.
const beatBefore = (id) => {
    const before = cases.get(id)?.before;
    return before && { ...before, downCount: 0, time: dayjs.utc().subtract(before.ago, "second").format("YYYY-MM-DD HH:mm:ss.SSS") };
};
const STATUS = { down: 0, up: 1, pending: 2, maintenance: 3, paused: 0 };

Object.assign(R, {
    findOne: async (table, where, [id] = []) => (table === "heartbeat" ? beatBefore(id) : null),
    find: async () => [],
    load: async () => null,
    exec: async () => {},
    getAll: async () => [],
    getRow: async () => null,
    getCol: async () => [],
    isoDateTimeMillis: () => "1970-01-01 00:00:00.000",
    store: async (bean) => bean.getType() === "heartbeat" && waiting.get(bean.monitor_id)?.(bean),
});

const { UptimeKumaServer } = kuma("./uptime-kuma-server");
const server = UptimeKumaServer.getInstance();
server.sendMaintenanceListByUserID = async () => {};
const { UptimeCalculator } = kuma("./uptime-calculator");
const calculator = { update: async () => dayjs.utc(), get24Hour() {}, get30Day() {}, get1Year() {} };
UptimeCalculator.getUptimeCalculator = async () => calculator;
const Monitor = kuma("./model/monitor");
Monitor.isUnderMaintenance = async () => false;
Monitor.sendNotification = async () => {};
Monitor.sendStats = async () => {};
const CHILDREN = 1000;
Monitor.getChildren = async (id) =>
    cases.get(id).children.map((word, at) => ({ id: id * CHILDREN + at, name: `child ${at + 1}`, active: word !== "paused" }));
Monitor.getPreviousHeartbeat = async (id) => {
    const word = cases.get(Math.floor(id / CHILDREN)).children[id % CHILDREN];
    return word === "new" ? null : { status: STATUS[word] };
};
Monitor.prototype.handleTlsInfo = async () => {};
Monitor.prototype.getTags = async () => [];
R.modelList.monitor = Monitor;
R.modelList.heartbeat = kuma("./model/heartbeat");

async function run({ id, columns }) {
    const monitor = R.dispense("monitor");
    Object.assign(monitor, { id, user_id: 1, name: `case ${id}`, ...columns });
    const beat = new Promise((resolve) => waiting.set(id, resolve));
    monitor.isStop = true;
    await monitor.start({ to: () => ({ emit() {} }) });
    if (columns.type === "push") {
        // It looks after an interval, and makes no beat where the last push came in time.
        setTimeout(() => waiting.get(id)({ status: 1, msg: "" }), columns.interval * 1_000 + 2_000);
    }
    const { status, msg } = await beat;
    return { status, msg: String(msg).toWellFormed() };
}

async function main() {
    const chunks = [];
    for await (const chunk of process.stdin) {
        chunks.push(chunk);
    }
    const all = JSON.parse(Buffer.concat(chunks).toString());
    all.forEach((one) => cases.set(one.id, one));
    const results = {};
    const worker = async () => {
        for (let one = all.shift(); one; one = all.shift()) {
            results[one.id] = await run(one).catch((error) => ({ status: null, msg: String(error) }));
        }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

main();
