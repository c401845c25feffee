"use strict";
// Where the agent takes hold of Kuma: a module is patched when it has finished loading, before whoever asked for it
// sees it. Kuma's modules require each other in circles, so one may be asked for while it is half loaded.

const Module = require("node:module");
const path = require("node:path");

/** `patches`: file below Kuma's root, or name of a package, to a function of its exports. */
function install(root, patches) {
  const waiting = new Map();
  for (const [name, patch] of Object.entries(patches)) {
    waiting.set(name.startsWith("server/") ? path.join(root, name) : Module.createRequire(`${root}/`).resolve(name), patch);
  }
  const load = Module._load;
  Module._load = function (request, parent, isMain) {
    const exports = load.apply(this, arguments);
    for (const [file, patch] of waiting) {
      if (Module._cache[file]?.loaded) {
        waiting.delete(file);
        patch(Module._cache[file].exports);
      }
    }
    return exports;
  };
  return { missing: () => [...waiting.keys()].map((file) => path.relative(root, file)) };
}

module.exports = { install };
