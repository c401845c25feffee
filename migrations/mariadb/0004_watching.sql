-- How watchdogs and nodes are watched: what rounds, leases and decisions need.

-- What a watchdog sees, as JSON: written with its counter, so that no vote outlives its author's last word.
-- komainu_observation is for watchdogs of the version before, until all are new.
ALTER TABLE komainu_watchdog ADD COLUMN IF NOT EXISTS words MEDIUMTEXT NULL;
-- When `next_at` was said, by the same clock: a pause that a clock set back has left ahead is known by it.
ALTER TABLE komainu_channel ADD COLUMN IF NOT EXISTS paused_at BIGINT NOT NULL DEFAULT 0;

-- What was assigned since a generation is found without looking at the rest.
CREATE INDEX IF NOT EXISTS komainu_assignment_generation ON komainu_assignment (generation);

-- From where a deed was asked for; none: by the cluster itself, or on the database directly.
ALTER TABLE komainu_audit ADD COLUMN IF NOT EXISTS address VARCHAR(64) NULL;

-- A place on a circle, by its key alone: of a large node an arc is looked at, and found without looking at the rest.
ALTER TABLE komainu_assignment ADD COLUMN IF NOT EXISTS place INT UNSIGNED AS (monitor_id % 65521 * 40494 % 65521) PERSISTENT;
CREATE INDEX IF NOT EXISTS komainu_assignment_place ON komainu_assignment (effective_node, place);

-- Which database server the leader writes to, by the server's own name: where there are several, everybody goes there.
ALTER TABLE komainu_leader ADD COLUMN IF NOT EXISTS server VARCHAR(190) NULL;
-- And which one each process writes to.
ALTER TABLE komainu_watchdog ADD COLUMN IF NOT EXISTS server VARCHAR(190) NULL;

-- How often a watchdog's row was written, whichever process wrote it, and which one made the row: a watchdog that was answered more
-- than stands here knows that the database lost its tail. The write that finds it notes it: what had been answered, what stood
-- here, and when that was written.
ALTER TABLE komainu_watchdog ADD COLUMN IF NOT EXISTS born CHAR(16) NULL;
ALTER TABLE komainu_watchdog ADD COLUMN IF NOT EXISTS writes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE komainu_watchdog ADD COLUMN IF NOT EXISTS lost_answered BIGINT NULL;
ALTER TABLE komainu_watchdog ADD COLUMN IF NOT EXISTS lost_kept BIGINT NULL;
ALTER TABLE komainu_watchdog ADD COLUMN IF NOT EXISTS lost_kept_at BIGINT NULL;

-- What each watchdog found of a lost tail: `found` is JSON.
CREATE TABLE IF NOT EXISTS komainu_lost_tail (
  watchdog_id VARCHAR(190) NOT NULL,
  answered BIGINT NOT NULL,
  found_at BIGINT NOT NULL,
  began_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  found MEDIUMTEXT NOT NULL,
  PRIMARY KEY (watchdog_id, answered)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- Drawn for each deed that somebody asked for: whoever answered it can look whether it is still there.
ALTER TABLE komainu_audit ADD COLUMN IF NOT EXISTS deed_id CHAR(16) NULL;
