-- Added to `node`, each where it is missing: labels for affinity (a JSON list), whether a drain takes pinned monitors
-- along, and what runs there (`native`, `kuma`; NULL: it never registered).

ALTER TABLE node ADD COLUMN labels TEXT NULL;
ALTER TABLE node ADD COLUMN drains_pinned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN runner TEXT NULL;
