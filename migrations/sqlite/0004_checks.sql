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

-- How a check is, for as long as it is there: the verdict, why, and since when.
CREATE TABLE IF NOT EXISTS komainu_check_state (
  name TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL,
  reason TEXT NULL,
  since_ms INTEGER NOT NULL
);

-- The row with id 1 is raised by every write to komainu_check, which locks it first: whoever sees the number it knows has read
-- them all. The row with id 2 is raised by every change of a verdict.
CREATE TABLE IF NOT EXISTS komainu_check_revision (
  id INTEGER NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL
);
INSERT INTO komainu_check_revision (id, revision) SELECT 1, 0 FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM komainu_check_revision WHERE id = 1);
INSERT INTO komainu_check_revision (id, revision) SELECT 2, 0 FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM komainu_check_revision WHERE id = 2);

-- How verdicts came to change: each voter's word at that moment (JSON), and who saw it first.
CREATE TABLE IF NOT EXISTS komainu_check_transition (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  reason TEXT NOT NULL,
  votes TEXT NOT NULL,
  first_failing TEXT NULL
);
CREATE INDEX IF NOT EXISTS komainu_check_transition_by_name ON komainu_check_transition (name, id);
CREATE INDEX IF NOT EXISTS komainu_check_transition_by_time ON komainu_check_transition (at_ms);

-- The slow way of votes: what a watchdog saw last, for peers that cannot ask it. Written while one of them does not.
CREATE TABLE IF NOT EXISTS komainu_check_report (
  watchdog_id TEXT NOT NULL PRIMARY KEY,
  incarnation TEXT NOT NULL,
  seq INTEGER NOT NULL,
  looks TEXT NOT NULL
);

-- Of which check and watchdog rows of komainu_check_stat are; '' of the verdict. A check that was deleted leaves its name NULL until its rows
-- are gone.
CREATE TABLE IF NOT EXISTS komainu_check_series (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name TEXT NULL,
  watchdog_id TEXT NOT NULL,
  UNIQUE (name, watchdog_id)
);

-- A row for each minute (span 60), hour (3600) and day (86400): looks by what came of them and how long those that succeeded took, of a
-- watchdog; seconds in each state, of the verdict. `at`: when it began, seconds UTC.
CREATE TABLE IF NOT EXISTS komainu_check_stat (
  series_id INTEGER NOT NULL,
  span INTEGER NOT NULL,
  at INTEGER NOT NULL,
  up INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  unable INTEGER NOT NULL,
  ms_sum INTEGER NOT NULL,
  ms_most INTEGER NOT NULL,
  up_s INTEGER NOT NULL,
  partial_s INTEGER NOT NULL,
  down_s INTEGER NOT NULL,
  unknown_s INTEGER NOT NULL,
  PRIMARY KEY (series_id, span, at)
);

-- Which minute each watchdog entered last, of which process: one that is entered again after its answer was lost is not added twice.
-- `at`: when it began, seconds UTC; what is over since then is made of its parts with the next one.
CREATE TABLE IF NOT EXISTS komainu_check_counted (
  watchdog_id TEXT NOT NULL PRIMARY KEY,
  incarnation TEXT NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL
);
