"use strict";
// `X-Komainu-Signature: t=<unix ms>,v1=<hex HMAC-SHA256(key, t.METHOD.path.body)>`, as all parts of komainu sign.

const crypto = require("node:crypto");

const HEADER = "x-komainu-signature";
const WINDOW_MS = 30_000;

const code = (key, at, method, path, body) =>
  crypto.createHmac("sha256", key).update(`${at}.${method}.${path}.`).update(body).digest();

const sign = (key, at, method, path, body) => `t=${at},v1=${code(key, at, method, path, body).toString("hex")}`;

/** Why a signature is refused; null: it is good. */
function refusal(key, header, now, method, path, body) {
  const parts = /^t=(-?\d{1,16}),\s*v1=([0-9a-fA-F]*)$/.exec((header || "").trim());
  if (!parts) return "the signature header does not read `t=<unix ms>,v1=<hex>`";
  if (Math.abs(Number(parts[1]) - now) > WINDOW_MS) {
    return "the signature's time is more than 30 s off; compare the clocks of the two hosts";
  }
  const claimed = Buffer.from(parts[2], "hex");
  const right = code(key, parts[1], method, path, body);
  const matches = claimed.length === right.length && crypto.timingSafeEqual(claimed, right);
  return matches ? null : "the signature does not match; compare the key of the two";
}

module.exports = { HEADER, sign, refusal };
