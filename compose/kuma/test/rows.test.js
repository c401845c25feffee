"use strict";
const assert = require("node:assert");
const { test } = require("node:test");
const { Rows } = require("../lib/rows");

const rows = new Rows({ identity: { id: "kuma1", incarnation: "aaaaaaaaaaaaaaaa" } });
const HELD = "exists (select 1 from `node` where `node_id` = ? and `incarnation` = ?)";

test("a row's statement does nothing once the node's lease is another's", () => {
  assert.deepStrictEqual(rows.fenced({ sql: "insert into `heartbeat` (`monitor_id`, `msg`) values (?, ?)", bindings: [7, "ok (?)"] }), {
    sql: `insert into \`heartbeat\` (\`monitor_id\`, \`msg\`) select ?, ? from dual where ${HELD}`,
    bindings: [7, "ok (?)", "kuma1", "aaaaaaaaaaaaaaaa"],
  });
  assert.deepStrictEqual(rows.fenced({ sql: "update `stat_daily` set `up` = ?, `ping` = ? where `id` = ?", bindings: [1, 2, 3] }), {
    sql: `update \`stat_daily\` set \`up\` = ?, \`ping\` = ? where \`id\` = ? and ${HELD}`,
    bindings: [1, 2, 3, "kuma1", "aaaaaaaaaaaaaaaa"],
  });
});

test("what has another form is sent as it is", () => {
  for (const sql of ["select 1", "insert into `heartbeat` (`ping`) values (DEFAULT)", "delete from `heartbeat` where `id` = ?"]) {
    assert.deepStrictEqual(rows.fenced({ sql, bindings: [1] }), { sql, bindings: [1] });
  }
});
