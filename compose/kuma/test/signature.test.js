"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { refusal, sign } = require("../lib/signature");

const KEY = "0123456789abcdef0123456789abcdef";
const AT = 1_763_800_000_250;
const PATH = "/api/v1/reconcile-monitors";
const BODY = '{"generation":7}';
const GOOD = "t=1763800000250,v1=338ba786b345edae23d6f3e476236f6443217680d874ea00568d1c4202a7b47f";
const refused = (header, { key = KEY, now = AT, method = "POST", path = PATH, body = BODY } = {}) =>
  refusal(key, header, now, method, path, body);

test("a signature is what openssl and the watchdogs make of the message", () => {
  assert.strictEqual(sign(KEY, AT, "POST", PATH, BODY), GOOD);
  assert.strictEqual(refused(GOOD), null);
});

test("the signer may be half a minute off in either direction", () => {
  assert.strictEqual(refused(GOOD, { now: AT + 30_000 }), null);
  assert.strictEqual(refused(GOOD, { now: AT - 30_000 }), null);
  assert.match(refused(GOOD, { now: AT + 30_001 }), /30 s off/);
});

test("every part of the message is signed", () => {
  for (const other of [{ key: "another" }, { method: "GET" }, { path: "/x" }, { body: "" }]) {
    assert.match(refused(GOOD, other), /does not match/);
  }
});

test("garbage is named as such", () => {
  for (const header of [undefined, "", "t=1", "t=x,v1=00", "t=1763800000250,v1=zz"]) assert.match(refused(header), /does not read/);
  assert.match(refused("t=1763800000250,v1=00"), /does not match/);
});
