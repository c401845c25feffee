-- Checks: what every watchdog looks at itself, and of which the majority says how it is.

-- What people chose. `settings`: a JSON object of Kuma's columns, those that its type uses. `timeout_s`: NULL where the
-- interval decides. `revision`: that of komainu_check_revision when it was last written.
CREATE TABLE IF NOT EXISTS komainu_check (
  name TEXT NOT NULL PRIMARY KEY,
  type TEXT NOT NULL,
  settings TEXT NOT NULL,
  interval_s INTEGER NOT NULL,
  timeout_s REAL NULL,
  quorum TEXT NOT NULL,
  zones TEXT NOT NULL,
  severity TEXT NOT NULL,
  channels TEXT NOT NULL,
  tags TEXT NOT NULL,
  is_paused INTEGER NOT NULL DEFAULT 0,
  managed_by TEXT NULL,
  revision INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  changed_by TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS komainu_check_by_revision ON komainu_check (revision);

-- How a check is, for as long as it is there: the verdict, why, since when, and which verdict people were told last.
CREATE TABLE IF NOT EXISTS komainu_check_state (
  name TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL,
  reason TEXT NULL,
  since_ms INTEGER NOT NULL,
  told TEXT NULL
);

-- Raised by every write to komainu_check, which locks this row first: whoever sees the number it knows has read them all.
CREATE TABLE IF NOT EXISTS komainu_check_revision (
  id INTEGER NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL
);
INSERT INTO komainu_check_revision (id, revision) SELECT 1, 0 FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM komainu_check_revision);
