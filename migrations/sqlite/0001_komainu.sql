-- Everything of komainu except the table `node`. No column and no trigger on Kuma's tables.

CREATE TABLE IF NOT EXISTS komainu_cluster (
  id INTEGER NOT NULL PRIMARY KEY,
  mode TEXT NOT NULL,
  frozen INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0,
  nonce TEXT NOT NULL,
  changed_at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS komainu_leader (
  id INTEGER NOT NULL PRIMARY KEY,
  epoch INTEGER NOT NULL DEFAULT 0,
  holder TEXT NULL,
  watchdog_id TEXT NULL,
  renewals INTEGER NOT NULL DEFAULT 0,
  claimed_at INTEGER NULL
);

-- The history of stamps: an acknowledgement counts only when its number and nonce stand here.
CREATE TABLE IF NOT EXISTS komainu_generation (
  generation INTEGER NOT NULL PRIMARY KEY,
  nonce TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  monitors INTEGER NOT NULL DEFAULT 0
);

-- node_id NULL or '': no home. assigned_node NULL: at home; '': nobody's.
CREATE TABLE IF NOT EXISTS komainu_assignment (
  monitor_id INTEGER PRIMARY KEY,
  node_id TEXT NULL,
  assigned_node TEXT NULL,
  effective_node TEXT AS (COALESCE(assigned_node, node_id, '')) STORED,
  pinned INTEGER NOT NULL DEFAULT 0,
  source_node TEXT NULL,
  source_incarnation TEXT NULL,
  released_at INTEGER NULL,
  reason TEXT NOT NULL DEFAULT '',
  epoch INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0,
  changed_at INTEGER NOT NULL DEFAULT 0,
  started_at_ms INTEGER NULL
);

CREATE INDEX IF NOT EXISTS komainu_assignment_effective ON komainu_assignment (effective_node);
CREATE INDEX IF NOT EXISTS komainu_assignment_home ON komainu_assignment (node_id);

CREATE TABLE IF NOT EXISTS komainu_watchdog (
  watchdog_id TEXT NOT NULL PRIMARY KEY,
  incarnation TEXT NOT NULL,
  seq INTEGER NOT NULL DEFAULT 0,
  zone TEXT NOT NULL DEFAULT '',
  advertise TEXT NOT NULL DEFAULT '',
  hostname TEXT NOT NULL DEFAULT '',
  version TEXT NOT NULL DEFAULT '',
  isolated INTEGER NOT NULL DEFAULT 0,
  stopped INTEGER NOT NULL DEFAULT 0,
  last_seen INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS komainu_observation (
  watchdog_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  target TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  seq INTEGER NOT NULL,
  vote TEXT NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0,
  detail TEXT NOT NULL,
  PRIMARY KEY (watchdog_id, kind, target)
);

-- One open incident per key: the virtual column is NULL, and so unique to nobody, once it is resolved.
CREATE TABLE IF NOT EXISTS komainu_incident (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  k TEXT NOT NULL,
  severity TEXT NOT NULL,
  summary TEXT NOT NULL,
  votes_bad INTEGER NOT NULL DEFAULT 0,
  votes_of INTEGER NOT NULL DEFAULT 0,
  opened_at INTEGER NOT NULL,
  last_bad_at INTEGER NOT NULL,
  resolved_at INTEGER NULL,
  acknowledged_at INTEGER NULL,
  acknowledged_by TEXT NULL,
  open_key TEXT AS (CASE WHEN resolved_at IS NULL THEN k END) VIRTUAL
);

CREATE UNIQUE INDEX IF NOT EXISTS komainu_incident_open ON komainu_incident (open_key);
CREATE INDEX IF NOT EXISTS komainu_incident_resolved ON komainu_incident (resolved_at);

CREATE TABLE IF NOT EXISTS komainu_api_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS komainu_monitor (
  monitor_id INTEGER PRIMARY KEY,
  ref TEXT NULL UNIQUE,
  channels TEXT NOT NULL,
  made_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS komainu_audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  subject TEXT NOT NULL,
  before_json TEXT NULL,
  after_json TEXT NULL
);

CREATE INDEX IF NOT EXISTS komainu_audit_at ON komainu_audit (at);
