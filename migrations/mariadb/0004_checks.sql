-- Checks: what every watchdog looks at itself, and of which the majority says how it is.

-- What people chose. `settings`: a JSON object of Kuma's columns, those that its type uses. `timeout_s`: NULL where the
-- interval decides. `revision`: that of komainu_check_revision when it was last written.
CREATE TABLE IF NOT EXISTS komainu_check (
  name VARCHAR(100) NOT NULL PRIMARY KEY,
  type VARCHAR(20) NOT NULL,
  settings MEDIUMTEXT NOT NULL,
  interval_s INT NOT NULL,
  timeout_s DOUBLE NULL,
  quorum VARCHAR(20) NOT NULL,
  zones MEDIUMTEXT NOT NULL,
  severity VARCHAR(10) NOT NULL,
  channels MEDIUMTEXT NOT NULL,
  tags MEDIUMTEXT NOT NULL,
  is_paused TINYINT(1) NOT NULL DEFAULT 0,
  managed_by VARCHAR(190) NULL,
  revision BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by VARCHAR(190) NOT NULL,
  changed_at BIGINT NOT NULL,
  changed_by VARCHAR(190) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_check_by_revision ON komainu_check (revision);

-- How a check is, for as long as it is there: the verdict, why, and since when.
CREATE TABLE IF NOT EXISTS komainu_check_state (
  name VARCHAR(100) NOT NULL PRIMARY KEY,
  state VARCHAR(10) NOT NULL,
  reason TEXT NULL,
  since_ms BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- The row with id 1 is raised by every write to komainu_check, which locks it first: whoever sees the number it knows has read
-- them all. The row with id 2 is raised by every change of a verdict.
CREATE TABLE IF NOT EXISTS komainu_check_revision (
  id INT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO komainu_check_revision (id, revision) SELECT 1, 0 FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM komainu_check_revision WHERE id = 1);
INSERT INTO komainu_check_revision (id, revision) SELECT 2, 0 FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM komainu_check_revision WHERE id = 2);

-- How verdicts came to change: each voter's word at that moment (JSON), and who saw it first.
CREATE TABLE IF NOT EXISTS komainu_check_transition (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(100) NOT NULL,
  at_ms BIGINT NOT NULL,
  from_state VARCHAR(10) NOT NULL,
  to_state VARCHAR(10) NOT NULL,
  reason TEXT NOT NULL,
  votes MEDIUMTEXT NOT NULL,
  first_failing VARCHAR(190) NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_check_transition_by_name ON komainu_check_transition (name, id);
CREATE INDEX IF NOT EXISTS komainu_check_transition_by_time ON komainu_check_transition (at_ms);

-- The slow way of votes: what a watchdog saw last, for peers that cannot ask it. Written while one of them does not.
CREATE TABLE IF NOT EXISTS komainu_check_report (
  watchdog_id VARCHAR(190) NOT NULL PRIMARY KEY,
  incarnation VARCHAR(16) NOT NULL,
  seq BIGINT NOT NULL,
  looks MEDIUMTEXT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- Of which check and watchdog rows of komainu_check_stat are; '' of the verdict. A check that was deleted leaves its name NULL until its rows
-- are gone.
CREATE TABLE IF NOT EXISTS komainu_check_series (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(100) NULL,
  watchdog_id VARCHAR(190) NOT NULL,
  UNIQUE KEY komainu_check_series_of (name, watchdog_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- A row for each minute (span 60), hour (3600) and day (86400): looks by what came of them and how long those that succeeded took, of a
-- watchdog; seconds in each state, of the verdict. `at`: when it began, seconds UTC.
CREATE TABLE IF NOT EXISTS komainu_check_stat (
  series_id BIGINT NOT NULL,
  span INT NOT NULL,
  at BIGINT NOT NULL,
  up INT NOT NULL,
  failed INT NOT NULL,
  unable INT NOT NULL,
  ms_sum BIGINT NOT NULL,
  ms_most INT NOT NULL,
  up_s INT NOT NULL,
  partial_s INT NOT NULL,
  down_s INT NOT NULL,
  unknown_s INT NOT NULL,
  PRIMARY KEY (series_id, span, at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- Which minute each watchdog entered last, of which process: one that is entered again after its answer was lost is not added twice.
-- `at`: when it began, seconds UTC; what is over since then is made of its parts with the next one.
CREATE TABLE IF NOT EXISTS komainu_check_counted (
  watchdog_id VARCHAR(190) NOT NULL PRIMARY KEY,
  incarnation VARCHAR(16) NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
