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
