"use strict";
const assert = require("node:assert");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");

const AGENT = path.join(__dirname, "..", "komainu-agent.js");

/** A folder that looks like a Kuma whose text the agent does not know; `run` starts a program there, the agent preloaded. */
function kuma(t, files = {}) {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "komainu-preload-")));
  t.after(() => fs.rmSync(root, { recursive: true }));
  const server = 'console.log("server runs");';
  const all = { "package.json": '{"name":"uptime-kuma","version":"2.5.3"}', "server/server.js": server, ...files };
  for (const [file, text] of Object.entries(all)) {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    fs.writeFileSync(path.join(root, file), text);
  }
  const identity = { KOMAINU_NODE_ID: "kuma1", KOMAINU_NODE_KEY: "ab".repeat(32), KOMAINU_NODE_ADDRESS: "http://kuma1:3001" };
  return (args, env = {}) => {
    const options = { cwd: root, encoding: "utf8", env: { ...process.env, NODE_OPTIONS: `--require=${AGENT}`, ...identity, ...env } };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
    return { status, out: stdout + stderr };
  };
}

for (const [how, args, files] of [
  ["by its path", ["server/server.js"]],
  ["without its ending", ["server/server"]],
  ["by a process manager that loads it as the main program", ["pm.js"], { "pm.js": 'require("module")._load(require("path").resolve("server/server.js"), null, true);' }],
  ["in a thread", ["thread.js"], { "thread.js": 'new (require("worker_threads").Worker)("./server/server.js").on("exit", (code) => process.exit(code));' }],
  ["by a program that requires it", ["start.js"], { "start.js": 'require("./server/server");' }],
]) {
  test(`Kuma's server started ${how} does not run without the agent`, (t) => {
    const run = kuma(t, files);
    const { status, out } = run(args);
    assert.strictEqual(status, 78, out);
    assert.match(out, /FATAL: this Kuma is not one the agent knows/);
    assert.doesNotMatch(out, /server runs/);
    const unnamed = run(args, { KOMAINU_NODE_ID: "" });
    assert.strictEqual(unnamed.status, 78);
    assert.match(unnamed.out, /FATAL: KOMAINU_NODE_ID is missing/);
  });
}

test("other programs, their threads and children are left alone, with and without an identity", (t) => {
  const run = kuma(t, {
    "extra/reset-password.js": 'require("../server/other-server"); console.log("reset");',
    "server/other-server.js": "",
    "thread.js": 'const { Worker, isMainThread } = require("worker_threads"); if (isMainThread) new Worker(__filename); else console.log("thread");',
    "child.js": 'require("child_process").spawn(process.execPath, ["-e", "console.log(1+1)"], { stdio: "inherit" });',
  });
  for (const env of [{}, { KOMAINU_NODE_ID: "", KOMAINU_NODE_KEY: "" }]) {
    assert.deepStrictEqual(run(["extra/reset-password.js"], env), { status: 0, out: "reset\n" });
    assert.deepStrictEqual(run(["thread.js"], env), { status: 0, out: "thread\n" });
    assert.deepStrictEqual(run(["child.js"], env), { status: 0, out: "2\n" });
    assert.deepStrictEqual(run(["-p", "2*3"], env), { status: 0, out: "6\n" });
  }
});
