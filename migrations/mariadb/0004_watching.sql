-- How watchdogs and nodes are watched: what rounds, leases and decisions need.

-- What was assigned since a generation is found without looking at the rest.
CREATE INDEX IF NOT EXISTS komainu_assignment_generation ON komainu_assignment (generation);
