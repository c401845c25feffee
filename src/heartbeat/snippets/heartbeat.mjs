#!/usr/bin/env node
// Tells komainu how a job went: heartbeat.mjs [ok|start|fail] [message]
import { createHmac } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const watchdogs = (process.env.KOMAINU_URL ?? "@URL@").split(",");
const secretFile = process.env.KOMAINU_HEARTBEAT_SECRET_FILE ?? `${homedir()}/.config/komainu/@NAME@.secret`;

// Details: message, duration_ms, exit_code, run_id. Throws when no watchdog took it.
export async function heartbeat(status = "ok", details = {}) {
  const secret = readFileSync(secretFile, "utf8").trim();
  // Every try sends the same body: 409 means that it had counted, or that a later one counts already.
  const body = JSON.stringify({ time: Date.now() / 1000, status, ...details });
  const signature = "sha256=" + createHmac("sha256", secret).update(body).digest("hex");
  const headers = { "Content-Type": "application/json", "X-Hub-Signature-256": signature };
  let trouble;
  for (const pause of [1, 2, 4, 8, 0]) {
    trouble = [];
    for (const watchdog of watchdogs) {
      const url = `${watchdog.trim().replace(/\/$/, "")}/heartbeats/@NAME@`;
      let answer;
      try {
        // A redirected POST would arrive as a GET, and its 200 would say nothing.
        const options = { method: "POST", headers, body, redirect: "manual", signal: AbortSignal.timeout(10_000) };
        answer = await fetch(url, options);
      } catch (error) {
        trouble.push(`${watchdog}: ${error.cause?.message ?? error.message}`);
        continue;
      }
      if (answer.status === 200 || answer.status === 409) return;
      trouble.push(`${watchdog}: ${answer.status} ${await answer.text()}`);
      if (answer.status !== 429 && answer.status < 500) throw new Error(trouble.at(-1));
    }
    await sleep(pause * 1000);
  }
  throw new Error(trouble.join("; "));
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [status, message] = process.argv.slice(2);
  await heartbeat(status, message === undefined ? {} : { message });
}
