"use strict";
// What the agent rests on in Kuma, as text: the functions it replaces, and those whose order of steps it relies on. It
// compares the source files, so that one look tells everything, before Kuma has started and also where it is not run.

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const VERSIONS = ["2.5.3"];
const EXPECTED = path.join(__dirname, "fingerprints.json");

/** The text from a line that begins with `header` to the line that closes it, by its indentation; null: not there. */
function textOf(source, header) {
  const lines = source.split("\n");
  const first = lines.findIndex((line) => line.trimStart().startsWith(header));
  if (first < 0) return null;
  const indent = lines[first].slice(0, lines[first].length - lines[first].trimStart().length);
  const last = lines.findIndex((line, at) => at > first && line.startsWith(`${indent}}`));
  return last < 0 ? null : lines.slice(first, last + 1).join("\n");
}

const fingerprint = (text) => crypto.createHash("sha256").update(text).digest("hex").slice(0, 16);

/** Every reason not to trust the Kuma below `root`; empty: it is as the agent knows it. */
function faults(root, expected = JSON.parse(fs.readFileSync(EXPECTED, "utf8"))) {
  const version = versionOf(root);
  if (version === null) return [`${root} is not an Uptime Kuma`];
  const found = [];
  if (!VERSIONS.includes(version)) found.push(`version ${version} is not one that this agent knows: ${VERSIONS.join(", ")}`);
  for (const [file, headers] of Object.entries(expected)) {
    const source = read(path.join(root, file));
    for (const [header, print] of Object.entries(headers)) {
      const text = source && textOf(source, header);
      if (!text) found.push(`${file}: \`${header}\` is missing`);
      else if (fingerprint(text) !== print) found.push(`${file}: \`${header}\` is not the text this agent was written for`);
    }
  }
  return found;
}

/** The version of the Kuma below `root`; null: there is none. */
function versionOf(root) {
  try {
    const { name, version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
    return name === "uptime-kuma" ? version : null;
  } catch {
    return null;
  }
}

function read(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

module.exports = { faults, fingerprint, textOf, versionOf, VERSIONS };
