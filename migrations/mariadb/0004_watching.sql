-- How watchdogs and nodes are watched: what rounds, leases and decisions need.

-- What a watchdog sees, as JSON: written with its counter, so that no vote outlives its author's last word.
-- komainu_observation is for watchdogs of the version before, until all are new.
ALTER TABLE komainu_watchdog ADD COLUMN IF NOT EXISTS words MEDIUMTEXT NULL;

-- What was assigned since a generation is found without looking at the rest.
CREATE INDEX IF NOT EXISTS komainu_assignment_generation ON komainu_assignment (generation);
