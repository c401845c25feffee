-- How far open incidents have climbed their ladders: `opened_at` names the opening that it began with. `due_at`: of the step that comes
-- next, from 0; NULL: it climbs no more. Without a ladder: it climbs none.
CREATE TABLE IF NOT EXISTS komainu_climb (
  incident_id INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  ladder TEXT NOT NULL,
  round INTEGER NOT NULL,
  step INTEGER NOT NULL,
  due_at INTEGER NULL,
  PRIMARY KEY (incident_id, opened_at, ladder)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS komainu_climb_due ON komainu_climb (due_at);
