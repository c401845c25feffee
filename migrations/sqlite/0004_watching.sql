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
