"use strict";
const assert = require("node:assert");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");
const { read } = require("../lib/identity");

const AGENT = path.join(__dirname, "..", "komainu-agent.js");
const GOOD = { KOMAINU_NODE_ID: "kuma1", KOMAINU_NODE_KEY: "AB".repeat(32), KOMAINU_NODE_ADDRESS: "http://kuma1:3001/" };

test("a node without id, key or address is refused, naming the variable", () => {
  for (const name of Object.keys(GOOD)) assert.match(read({ ...GOOD, [name]: "" }).message, new RegExp(name.replace("_KEY", "_KEY")));
  assert.match(read({ ...GOOD, KOMAINU_NODE_KEY: "abc" }).message, /64 hex digits/);
  assert.match(read({ ...GOOD, KOMAINU_NODE_ADDRESS: "kuma1:3001" }).message, /KOMAINU_NODE_ADDRESS/);
});

test("an address that nothing could be reached by is refused at once, not at each registration", () => {
  for (const address of ["kuma1:3001", "http://kuma1:99999", "http://kuma1?x", "http://u:p@kuma1", "http://kuma1/path", "http://"]) {
    assert.match(read({ ...GOOD, KOMAINU_NODE_ADDRESS: address }).message, /KOMAINU_NODE_ADDRESS is not/, address);
  }
  for (const address of ["https://kuma1", "http://[::1]:3001/", "http://10.0.0.5:3001"]) {
    assert.strictEqual(read({ ...GOOD, KOMAINU_NODE_ADDRESS: address }).address, address.replace(/\/$/, ""));
  }
});

test("a key file that an editor of another system wrote is read; one without a key is named", (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "komainu-agent-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const file = path.join(dir, "key");
  const given = (text) => (fs.writeFileSync(file, text), read({ ...GOOD, KOMAINU_NODE_KEY: "", KOMAINU_NODE_KEY_FILE: file }));
  assert.strictEqual(given(`\ufeff${"CD".repeat(32)}\r\n`).key, "cd".repeat(32));
  assert.match(given("\n").message, new RegExp(`${file} is empty`));
  assert.match(given("abc").message, /64 hex digits/);
  fs.rmSync(file);
  assert.match(read({ ...GOOD, KOMAINU_NODE_KEY_FILE: file }).message, /KOMAINU_NODE_KEY_FILE: ENOENT/);
});

test("several database servers are read in their order, and what is none refuses the start", () => {
  assert.deepStrictEqual(read(GOOD).servers, []);
  const servers = read({ ...GOOD, KOMAINU_DATABASE_SERVERS: "db1,db2:3307" }).servers;
  assert.deepStrictEqual(servers, [{ host: "db1", port: 3306 }, { host: "db2", port: 3307 }]);
  assert.match(read({ ...GOOD, KOMAINU_DATABASE_SERVERS: "db1,,db2" }).message, /KOMAINU_DATABASE_SERVERS: "" is no/);
});

test("a key may stand in a file, with a line end", (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "komainu-agent-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  fs.writeFileSync(path.join(dir, "key"), `${"cd".repeat(32)}\n`);
  const identity = read({ ...GOOD, KOMAINU_NODE_KEY: "", KOMAINU_NODE_KEY_FILE: path.join(dir, "key") });
  assert.strictEqual(identity.key, "cd".repeat(32));
  assert.strictEqual(identity.address, "http://kuma1:3001");
  assert.match(identity.incarnation, /^[0-9a-f]{16}$/);
});

test("other programs than Kuma's server are left alone by the preload", () => {
  const env = { PATH: process.env.PATH, NODE_OPTIONS: `--require=${AGENT}` };
  const { status, stdout } = spawnSync(process.execPath, ["-p", "1 + 1"], { env, encoding: "utf8" });
  assert.deepStrictEqual([status, stdout], [0, "2\n"]);
});

test("Kuma's server without an identity ends with 78 before it does anything", (t) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "komainu-kuma-"));
  t.after(() => fs.rmSync(root, { recursive: true }));
  fs.mkdirSync(path.join(root, "server"));
  fs.writeFileSync(path.join(root, "package.json"), '{"name": "uptime-kuma", "version": "2.5.3"}');
  fs.writeFileSync(path.join(root, "server", "server.js"), 'console.log("Kuma began");');
  const run = (env) =>
    spawnSync(process.execPath, ["server/server.js"], {
      cwd: root,
      env: { PATH: process.env.PATH, NODE_OPTIONS: `--require=${AGENT}`, ...env },
      encoding: "utf8",
    });
  const nameless = run({});
  assert.deepStrictEqual([nameless.status, nameless.stdout], [78, ""]);
  assert.match(nameless.stderr, /FATAL: KOMAINU_NODE_ID/);
  const strange = run(GOOD);
  assert.deepStrictEqual([strange.status, strange.stdout], [78, ""]);
  assert.match(strange.stderr, /not one the agent knows/);
});
