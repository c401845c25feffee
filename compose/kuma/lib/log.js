"use strict";
// Lines beside Kuma's own, in its manner.

const line = (level, text) => `${new Date().toISOString()} [KOMAINU] ${level}: ${text}`;

module.exports = {
  info: (text) => console.log(line("INFO", text)),
  warn: (text) => console.warn(line("WARN", text)),
  error: (text) => console.error(line("ERROR", text)),
  fatal(text) {
    console.error(line("FATAL", text));
    process.exit(78); // EX_CONFIG: a restart alone will not help.
  },
  giveUp(text) {
    console.error(line("FATAL", text));
    process.exit(1); // A restart will help.
  },
};
