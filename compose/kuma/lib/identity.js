"use strict";
// Who this process is: read from the environment once. Without an id and a key nothing starts, because a Kuma that
// runs everything beside others that do would check, count and alert twice.

const crypto = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");

const { parse: parseServers } = require("./servers");

/** The identity, or an Error whose message names the variable. */
function read(env) {
  const id = (env.KOMAINU_NODE_ID || "").trim();
  if (!/^[A-Za-z0-9._-]{1,190}$/.test(id)) {
    return new Error("KOMAINU_NODE_ID is missing or not a name (letters, digits, dots, dashes, underscores)");
  }
  const key = readKey(env);
  if (key instanceof Error) return key;
  const address = (env.KOMAINU_NODE_ADDRESS || "").trim().replace(/\/+$/, "");
  if (!isAddress(address)) {
    return new Error("KOMAINU_NODE_ADDRESS is not the address that watchdogs reach this node by, such as http://kuma1:3001");
  }
  const servers = env.KOMAINU_DATABASE_SERVERS ? parseServers(env.KOMAINU_DATABASE_SERVERS) : [];
  if (servers instanceof Error) return new Error(`KOMAINU_DATABASE_SERVERS: ${servers.message}`);
  return { id, key, address, servers, hostname: os.hostname(), incarnation: crypto.randomBytes(8).toString("hex") };
}

/** Scheme, host and port, nothing else. */
function isAddress(text) {
  try {
    return /^https?:\/\/[^/?#@\s]+$/.test(text) && new URL(text).host !== "";
  } catch {
    return false;
  }
}

function readKey(env) {
  let text = env.KOMAINU_NODE_KEY;
  if (env.KOMAINU_NODE_KEY_FILE) {
    try {
      text = fs.readFileSync(env.KOMAINU_NODE_KEY_FILE, "utf8");
    } catch (error) {
      return new Error(`KOMAINU_NODE_KEY_FILE: ${error.message}`);
    }
  }
  text = (text || "").trim().toLowerCase();
  if (!text && env.KOMAINU_NODE_KEY_FILE) return new Error(`KOMAINU_NODE_KEY_FILE: ${env.KOMAINU_NODE_KEY_FILE} is empty`);
  if (!text) return new Error("KOMAINU_NODE_KEY_FILE (or KOMAINU_NODE_KEY) is missing: `komainu nodes add` prints the key");
  if (!/^[0-9a-f]{64}$/.test(text)) return new Error("the node key is not 64 hex digits, as `komainu nodes add` prints it");
  return text;
}

module.exports = { read };
