-- Heartbeats of programs: runs, deadlines, and gaps in which no push could be taken.

-- What `deadline` is made of, as JSON: the schedule's limit and those of open runs. Where the earliest of them is not the
-- `deadline`, an older program wrote the row, and `deadline` alone counts. `gap_id`: the last row of komainu_outage that is
-- counted in.
ALTER TABLE komainu_heartbeat ADD COLUMN IF NOT EXISTS limits TEXT NULL;
ALTER TABLE komainu_heartbeat ADD COLUMN IF NOT EXISTS gap_id BIGINT NOT NULL DEFAULT 0;
-- It is never late, and nobody is told of it.
ALTER TABLE komainu_heartbeat ADD COLUMN IF NOT EXISTS is_paused TINYINT(1) NOT NULL DEFAULT 0;
UPDATE komainu_heartbeat SET gap_id = (SELECT COALESCE(MAX(id), 0) FROM komainu_outage);

-- When a watchdog last proved that it could store a push, by the database's clock. Not in its own row: leases wait for nobody.
CREATE TABLE IF NOT EXISTS komainu_intake (
  watchdog_id VARCHAR(190) NOT NULL PRIMARY KEY,
  proved_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- How many bytes a push said, where it said more than a few words; what may be cut is found by it. Computed, so that rows of
-- older programs have it too.
ALTER TABLE komainu_push ADD COLUMN IF NOT EXISTS output_bytes INT AS (CASE WHEN CHAR_LENGTH(message) > 250 THEN LENGTH(message) END) VIRTUAL;
CREATE INDEX IF NOT EXISTS komainu_push_output ON komainu_push (name, output_bytes, status);
