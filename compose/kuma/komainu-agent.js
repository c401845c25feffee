"use strict";
// Makes an unmodified Uptime Kuma a node of a komainu cluster:
//
//   NODE_OPTIONS=--require=/…/komainu-agent.js node server/server.js
//   node komainu-agent.js --check /…/uptime-kuma      (says beforehand whether it fits)
//
// NODE_OPTIONS reaches every Node process that Kuma starts; only the server itself is taken hold of.

const fs = require("node:fs");
const Module = require("node:module");
const path = require("node:path");

const fingerprints = require("./lib/fingerprints");

// Preloaded and started at once, this file is loaded only the first time.
if (require.main === module || fileOf(process.argv[1]) === __filename) check(process.argv.slice(2));
else preload();

function check([option, dir]) {
  if (option !== "--check" || !dir) {
    console.error("usage: node komainu-agent.js --check DIR");
    process.exit(64);
  }
  const faults = fingerprints.faults(path.resolve(dir));
  faults.forEach((fault) => console.error(fault));
  if (faults.length === 0) console.log(`Uptime Kuma ${fingerprints.versionOf(path.resolve(dir))}: this agent fits`);
  process.exit(faults.length === 0 ? 0 : 78);
}

function preload() {
  const root = serverRoot(process.argv[1]);
  if (root !== null) return takeHold(root);
  // A process manager may load the server in a program of its own: pm2 does.
  const load = Module._load;
  let isHeld = false;
  Module._load = function (request, parent, isMain) {
    const server = !isHeld && /(^|[/\\])server(\.js)?$/.test(request) ? serverRoot(resolved(request, parent, isMain)) : null;
    if (server === null) return load.apply(this, arguments);
    isHeld = true;
    takeHold(server);
    return Module._load.apply(this, arguments);
  };
}

function takeHold(root) {
  const log = require("./lib/log");
  const identity = require("./lib/identity").read(process.env);
  if (identity instanceof Error) return log.fatal(identity.message);
  const faults = fingerprints.faults(root);
  if (faults.length > 0) return log.fatal(`this Kuma is not one the agent knows:\n  ${faults.join("\n  ")}`);
  const { Agent } = require("./lib/agent");
  const agent = new Agent(identity, root, fingerprints.versionOf(root));
  agent.hooks = require("./lib/hooks").install(root, agent.patches());
  log.info(`node ${identity.id}, incarnation ${identity.incarnation}`);
}

function resolved(request, parent, isMain) {
  try {
    return Module._resolveFilename(request, parent, isMain);
  } catch {
    return null;
  }
}

/** Kuma's folder if this is the file of its server, else null. */
function serverRoot(main) {
  const file = fileOf(main);
  if (file === null) return null;
  const root = path.dirname(path.dirname(file));
  return path.relative(root, file) === path.join("server", "server.js") && fingerprints.versionOf(root) !== null ? root : null;
}

/** The file that a process was started with, wherever links lead; null: none. */
function fileOf(main) {
  try {
    return main ? fs.realpathSync(require.resolve(path.resolve(main))) : null;
  } catch {
    return null;
  }
}
