-- How far open incidents have climbed their ladders: `opened_at` names the opening that it began with. `due_at`: of the step that comes
-- next, from 0; NULL: it climbs no more. Without a ladder: it climbs none.
CREATE TABLE IF NOT EXISTS komainu_climb (
  incident_id BIGINT NOT NULL,
  opened_at BIGINT NOT NULL,
  ladder VARCHAR(100) NOT NULL,
  round INT NOT NULL,
  step INT NOT NULL,
  due_at BIGINT NULL,
  PRIMARY KEY (incident_id, opened_at, ladder)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_climb_due ON komainu_climb (due_at);
