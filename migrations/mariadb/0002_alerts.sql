-- Heartbeats of programs, and the outbox of what people are told. Times are milliseconds UTC unless a name says `_us`.

-- One row per heartbeat. `deadline` is absolute; NULL: never late by itself. `revision` is raised by every edit: two who
-- edit at once do not overwrite each other.
CREATE TABLE IF NOT EXISTS komainu_heartbeat (
  name VARCHAR(190) NOT NULL PRIMARY KEY,
  description TEXT NOT NULL,
  period_s INT NULL,
  cron VARCHAR(200) NULL,
  time_zone VARCHAR(60) NULL,
  grace_s INT NOT NULL,
  max_runtime_s INT NULL,
  first_due BIGINT NULL,
  severity VARCHAR(10) NOT NULL DEFAULT 'critical',
  channels TEXT NOT NULL,
  tags TEXT NOT NULL,
  nonce CHAR(32) NOT NULL,
  old_nonce CHAR(32) NULL,
  old_nonce_until BIGINT NULL,
  allow_sha1 TINYINT(1) NOT NULL DEFAULT 0,
  revision BIGINT NOT NULL DEFAULT 1,
  state VARCHAR(10) NOT NULL DEFAULT 'new',
  deadline BIGINT NULL,
  started_at BIGINT NULL,
  run_id VARCHAR(100) NULL,
  last_status VARCHAR(10) NULL,
  last_ok_at BIGINT NULL,
  last_at BIGINT NULL,
  last_duration_ms BIGINT NULL,
  last_exit_code INT NULL,
  last_message TEXT NULL,
  last_push_id CHAR(32) NULL,
  incident_id BIGINT NULL,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  last_time_us BIGINT NOT NULL DEFAULT 0,
  KEY komainu_heartbeat_changed (changed_at),
  KEY komainu_heartbeat_deadline (state, deadline)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- Every accepted push.
CREATE TABLE IF NOT EXISTS komainu_push (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(190) NOT NULL,
  push_id CHAR(32) NOT NULL,
  at BIGINT NOT NULL,
  time_us BIGINT NOT NULL,
  status VARCHAR(10) NOT NULL,
  run_id VARCHAR(100) NULL,
  duration_ms BIGINT NULL,
  exit_code INT NULL,
  message TEXT NULL,
  watchdog_id VARCHAR(190) NOT NULL,
  KEY komainu_push_name (name, id),
  KEY komainu_push_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- Times in which no watchdog could take a push, because none could write.
CREATE TABLE IF NOT EXISTS komainu_outage (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  began_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  noticed_by VARCHAR(190) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What people are to be told: one row per thing that happened to an incident.
CREATE TABLE IF NOT EXISTS komainu_event (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  incident_id BIGINT NOT NULL,
  kind VARCHAR(10) NOT NULL,
  severity VARCHAR(10) NOT NULL,
  summary TEXT NOT NULL,
  votes_bad INT NOT NULL DEFAULT 0,
  votes_of INT NOT NULL DEFAULT 0,
  at BIGINT NOT NULL,
  KEY komainu_event_incident (incident_id),
  KEY komainu_event_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One event for one channel. `state`: waiting, held, sent, cancelled, failed. `sending_at` is set right before the
-- message leaves: a claim that ran out with it set may have been told already. `due_at` stays
-- whatever fails: by how much a message is late is counted from it.
CREATE TABLE IF NOT EXISTS komainu_delivery (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  event_id BIGINT NOT NULL,
  incident_id BIGINT NOT NULL,
  channel VARCHAR(100) NOT NULL,
  state VARCHAR(10) NOT NULL,
  group_wait_ms BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NOT NULL,
  held_by BIGINT NULL,
  claimed_by CHAR(16) NULL,
  claimed_until BIGINT NULL,
  sending_at BIGINT NULL,
  attempts INT NOT NULL DEFAULT 0,
  notice_id VARCHAR(64) NULL,
  may_be_repeated TINYINT(1) NOT NULL DEFAULT 0,
  last_error TEXT NULL,
  vendor_ref VARCHAR(500) NULL,
  created_at BIGINT NOT NULL,
  sent_at BIGINT NULL,
  KEY komainu_delivery_due (state, channel, due_at),
  KEY komainu_delivery_incident (incident_id, channel),
  KEY komainu_delivery_held (held_by),
  KEY komainu_delivery_created (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- When a channel may be used next, for all watchdogs together: its rate, and what the vendor asked for.
CREATE TABLE IF NOT EXISTS komainu_channel (
  name VARCHAR(100) NOT NULL PRIMARY KEY,
  next_at BIGINT NOT NULL DEFAULT 0,
  failures INT NOT NULL DEFAULT 0,
  last_sent_at BIGINT NULL,
  last_error TEXT NULL,
  last_error_at BIGINT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

ALTER TABLE komainu_incident ADD COLUMN IF NOT EXISTS flaps INT NOT NULL DEFAULT 0;
ALTER TABLE komainu_incident ADD COLUMN IF NOT EXISTS parent_id BIGINT NULL;
ALTER TABLE komainu_incident ADD COLUMN IF NOT EXISTS reminded_at BIGINT NULL;
ALTER TABLE komainu_incident ADD COLUMN IF NOT EXISTS subject_json TEXT NULL;
CREATE INDEX IF NOT EXISTS komainu_incident_key ON komainu_incident (k);
