-- How watchdogs and nodes are watched: what rounds, leases and decisions need.

-- What a watchdog sees, as JSON: written with its counter, so that no vote outlives its author's last word.
-- komainu_observation is for watchdogs of the version before, until all are new.
ALTER TABLE komainu_watchdog ADD COLUMN words TEXT NULL;
-- When `next_at` was said, by the same clock: a pause that a clock set back has left ahead is known by it.
ALTER TABLE komainu_channel ADD COLUMN paused_at INTEGER NOT NULL DEFAULT 0;

-- What was assigned since a generation is found without looking at the rest.
CREATE INDEX IF NOT EXISTS komainu_assignment_generation ON komainu_assignment (generation);

-- From where a deed was asked for; none: by the cluster itself, or on the database directly.
ALTER TABLE komainu_audit ADD COLUMN address TEXT NULL;

-- A place on a circle, by its key alone: of a large node an arc is looked at, and found without looking at the rest.
ALTER TABLE komainu_assignment ADD COLUMN place INTEGER AS (monitor_id % 65521 * 40494 % 65521) VIRTUAL;
CREATE INDEX IF NOT EXISTS komainu_assignment_place ON komainu_assignment (effective_node, place);

-- Which database server the leader writes to, by the server's own name: where there are several, everybody goes there.
ALTER TABLE komainu_leader ADD COLUMN server TEXT NULL;
-- And which one each process writes to.
ALTER TABLE komainu_watchdog ADD COLUMN server TEXT NULL;

-- How often a watchdog's row was written, whichever process wrote it, and which one made the row: a watchdog that was answered more
-- than stands here knows that the database lost its tail. The write that finds it notes it: what had been answered, what stood
-- here, and when that was written.
ALTER TABLE komainu_watchdog ADD COLUMN born TEXT NULL;
ALTER TABLE komainu_watchdog ADD COLUMN writes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE komainu_watchdog ADD COLUMN lost_answered INTEGER NULL;
ALTER TABLE komainu_watchdog ADD COLUMN lost_kept INTEGER NULL;
ALTER TABLE komainu_watchdog ADD COLUMN lost_kept_at INTEGER NULL;

-- What each watchdog found of a lost tail: `found` is JSON.
CREATE TABLE IF NOT EXISTS komainu_lost_tail (
  watchdog_id TEXT NOT NULL,
  answered INTEGER NOT NULL,
  found_at INTEGER NOT NULL,
  began_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  found TEXT NOT NULL,
  PRIMARY KEY (watchdog_id, answered)
);

-- Drawn for each deed that somebody asked for: whoever answered it can look whether it is still there.
ALTER TABLE komainu_audit ADD COLUMN deed_id TEXT NULL;
