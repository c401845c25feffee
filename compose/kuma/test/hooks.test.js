"use strict";
const assert = require("node:assert");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");

const HOOKS = path.join(__dirname, "..", "lib", "hooks.js");

/** Runs `server/main.js` of a folder of these files after `preload`; answers what it printed. */
function run(t, files, preload) {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "komainu-hooks-")));
  t.after(() => fs.rmSync(root, { recursive: true }));
  for (const [file, text] of Object.entries({ "preload.js": preload, ...files })) {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    fs.writeFileSync(path.join(root, file), text);
  }
  const { stdout, stderr } = spawnSync(process.execPath, ["--require", path.join(root, "preload.js"), "server/main.js"], {
    cwd: root,
    encoding: "utf8",
  });
  return stdout + stderr;
}

const PRELOAD = `const hooks = require(${JSON.stringify(HOOKS)});
global.hooks = hooks.install(__dirname, {
  "server/a.js": (exports) => { exports.say = () => "patched"; },
  "some-package": (exports) => { exports.number += 1; },
});`;
const PACKAGE = { "node_modules/some-package/index.js": "exports.number = 41;" };

test("a module is patched before whoever asked for it destructures it", (t) => {
  const out = run(
    t,
    { ...PACKAGE, "server/a.js": 'exports.say = () => "stock";', "server/main.js": 'const { say } = require("./a"); console.log(say(), require("some-package").number, hooks.missing().length);' },
    PRELOAD,
  );
  assert.strictEqual(out, "patched 42 0\n");
});

test("a module that is asked for in a circle, half loaded, is patched once it is whole", (t) => {
  const out = run(
    t,
    {
      ...PACKAGE,
      "server/a.js": 'require("./b"); exports.say = () => "stock";',
      "server/b.js": 'const a = require("./a"); exports.later = () => a.say();',
      "server/main.js": 'const { say } = require("./a"); console.log(say(), require("./b").later());',
    },
    PRELOAD,
  );
  assert.strictEqual(out, "patched patched\n");
});

test("what was never loaded is known by name, for the self-test", (t) => {
  const out = run(t, { ...PACKAGE, "server/a.js": "", "server/main.js": 'require("some-package"); console.log(hooks.missing().join());' }, PRELOAD);
  assert.strictEqual(out, `${path.join("server", "a.js")}\n`);
});
