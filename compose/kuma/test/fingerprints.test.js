"use strict";
const assert = require("node:assert");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");
const { faults, fingerprint, textOf } = require("../lib/fingerprints");

const AGENT = path.join(__dirname, "..", "komainu-agent.js");
const SOURCE = "class A {\n    start(io) {\n        if (io) {\n            go();\n        }\n    }\n\n    stop() {\n    }\n}\n";

function kuma(t, version, source) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "komainu-kuma-"));
  t.after(() => fs.rmSync(root, { recursive: true }));
  fs.writeFileSync(path.join(root, "package.json"), JSON.stringify({ name: "uptime-kuma", version }));
  fs.writeFileSync(path.join(root, "a.js"), source);
  return root;
}

const EXPECTED = { "a.js": { "start(io) {": fingerprint(textOf(SOURCE, "start(io) {")) } };

test("a function's text ends where its indentation does", () => {
  assert.strictEqual(textOf(SOURCE, "start(io) {").split("\n").length, 5);
  assert.strictEqual(textOf(SOURCE, "pause() {"), null);
});

test("the Kuma that the agent was written for fits", (t) => {
  assert.deepStrictEqual(faults(kuma(t, "2.5.3", SOURCE), EXPECTED), []);
});

test("another version, a changed and a missing function are each named", (t) => {
  assert.match(faults(kuma(t, "2.6.0", SOURCE), EXPECTED).join(), /version 2\.6\.0/);
  assert.match(faults(kuma(t, "2.5.3", SOURCE.replace("go()", "run()")), EXPECTED).join(), /a\.js: `start\(io\) {` is not the text/);
  assert.match(faults(kuma(t, "2.5.3", "class A {}\n"), EXPECTED).join(), /missing/);
  assert.match(faults(os.tmpdir(), EXPECTED).join(), /not an Uptime Kuma/);
});

test("a change outside of the hooked functions does not matter", (t) => {
  assert.deepStrictEqual(faults(kuma(t, "2.5.3", `// more\n${SOURCE}`), EXPECTED), []);
});

test("--check says beforehand what would be refused, by its exit code too, also where it is preloaded", (t) => {
  for (const NODE_OPTIONS of ["", `--require=${AGENT}`]) {
    const options = { encoding: "utf8", env: { ...process.env, NODE_OPTIONS } };
    const { status, stderr } = spawnSync(process.execPath, [AGENT, "--check", kuma(t, "2.5.3", SOURCE)], options);
    assert.strictEqual(status, 78);
    assert.match(stderr, /server\/model\/monitor\.js: `async start\(io\) {` is missing/);
  }
});

test("Uptime Kuma 2.5.3 has these functions", { skip: !process.env.KUMA_DIR && "KUMA_DIR is not set" }, () => {
  assert.deepStrictEqual(faults(process.env.KUMA_DIR), []);
});
