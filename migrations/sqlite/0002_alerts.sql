-- Heartbeats of programs, and the outbox of what people are told. Times are milliseconds UTC unless a name says `_us`.

-- One row per heartbeat. `deadline` is absolute; NULL: never late by itself. `revision` is raised by every edit: two who
-- edit at once do not overwrite each other.
CREATE TABLE IF NOT EXISTS komainu_heartbeat (
  name TEXT NOT NULL PRIMARY KEY,
  description TEXT NOT NULL,
  period_s INTEGER NULL,
  cron TEXT NULL,
  time_zone TEXT NULL,
  grace_s INTEGER NOT NULL,
  max_runtime_s INTEGER NULL,
  first_due INTEGER NULL,
  severity TEXT NOT NULL DEFAULT 'critical',
  channels TEXT NOT NULL,
  tags TEXT NOT NULL,
  nonce TEXT NOT NULL,
  old_nonce TEXT NULL,
  old_nonce_until INTEGER NULL,
  allow_sha1 INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 1,
  state TEXT NOT NULL DEFAULT 'new',
  deadline INTEGER NULL,
  started_at INTEGER NULL,
  run_id TEXT NULL,
  last_status TEXT NULL,
  last_ok_at INTEGER NULL,
  last_at INTEGER NULL,
  last_duration_ms INTEGER NULL,
  last_exit_code INTEGER NULL,
  last_message TEXT NULL,
  last_push_id TEXT NULL,
  incident_id INTEGER NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  last_time_us INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX IF NOT EXISTS komainu_heartbeat_changed ON komainu_heartbeat (changed_at);
CREATE INDEX IF NOT EXISTS komainu_heartbeat_deadline ON komainu_heartbeat (state, deadline);

-- Every accepted push.
CREATE TABLE IF NOT EXISTS komainu_push (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  push_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  status TEXT NOT NULL,
  run_id TEXT NULL,
  duration_ms INTEGER NULL,
  exit_code INTEGER NULL,
  message TEXT NULL,
  watchdog_id TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS komainu_push_name ON komainu_push (name, id);
CREATE INDEX IF NOT EXISTS komainu_push_at ON komainu_push (at);

-- Times in which no watchdog could take a push, because none could write.
CREATE TABLE IF NOT EXISTS komainu_outage (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  began_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  noticed_by TEXT NOT NULL
);

-- What people are to be told: one row per thing that happened to an incident.
CREATE TABLE IF NOT EXISTS komainu_event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  incident_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  severity TEXT NOT NULL,
  summary TEXT NOT NULL,
  votes_bad INTEGER NOT NULL DEFAULT 0,
  votes_of INTEGER NOT NULL DEFAULT 0,
  at INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS komainu_event_incident ON komainu_event (incident_id);
CREATE INDEX IF NOT EXISTS komainu_event_at ON komainu_event (at);

-- One event for one channel. `state`: waiting, held, sent, cancelled, failed. `sending_at` is set right before the
-- message leaves: a claim that ran out with it set may have been told already. `due_at` stays
-- whatever fails: by how much a message is late is counted from it.
CREATE TABLE IF NOT EXISTS komainu_delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id INTEGER NOT NULL,
  incident_id INTEGER NOT NULL,
  channel TEXT NOT NULL,
  state TEXT NOT NULL,
  group_wait_ms INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NOT NULL,
  held_by INTEGER NULL,
  claimed_by TEXT NULL,
  claimed_until INTEGER NULL,
  sending_at INTEGER NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  notice_id TEXT NULL,
  may_be_repeated INTEGER NOT NULL DEFAULT 0,
  last_error TEXT NULL,
  vendor_ref TEXT NULL,
  created_at INTEGER NOT NULL,
  sent_at INTEGER NULL
);

CREATE INDEX IF NOT EXISTS komainu_delivery_due ON komainu_delivery (state, channel, due_at);
CREATE INDEX IF NOT EXISTS komainu_delivery_incident ON komainu_delivery (incident_id, channel);
CREATE INDEX IF NOT EXISTS komainu_delivery_held ON komainu_delivery (held_by);
CREATE INDEX IF NOT EXISTS komainu_delivery_created ON komainu_delivery (created_at);

-- When a channel may be used next, for all watchdogs together: its rate, and what the vendor asked for.
CREATE TABLE IF NOT EXISTS komainu_channel (
  name TEXT NOT NULL PRIMARY KEY,
  next_at INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  last_sent_at INTEGER NULL,
  last_error TEXT NULL,
  last_error_at INTEGER NULL
);

ALTER TABLE komainu_incident ADD COLUMN flaps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE komainu_incident ADD COLUMN parent_id INTEGER NULL;
ALTER TABLE komainu_incident ADD COLUMN reminded_at INTEGER NULL;
ALTER TABLE komainu_incident ADD COLUMN subject_json TEXT NULL;
CREATE INDEX IF NOT EXISTS komainu_incident_key ON komainu_incident (k);
