-- For a database without Kuma: Kuma 2.5.3's statistics and certificates, which native nodes keep as Kuma keeps them.

CREATE TABLE IF NOT EXISTS stat_minutely (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  monitor_id INTEGER NOT NULL,
  timestamp INTEGER NOT NULL,
  ping REAL NOT NULL,
  up INTEGER NOT NULL,
  down INTEGER NOT NULL,
  ping_min REAL NOT NULL DEFAULT 0,
  ping_max REAL NOT NULL DEFAULT 0,
  extras TEXT NULL
);

CREATE UNIQUE INDEX IF NOT EXISTS stat_minutely_monitor_id_timestamp_unique ON stat_minutely (monitor_id, timestamp);

CREATE TABLE IF NOT EXISTS stat_hourly (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  monitor_id INTEGER NOT NULL,
  timestamp INTEGER NOT NULL,
  ping REAL NOT NULL,
  up INTEGER NOT NULL,
  down INTEGER NOT NULL,
  ping_min REAL NOT NULL DEFAULT 0,
  ping_max REAL NOT NULL DEFAULT 0,
  extras TEXT NULL
);

CREATE UNIQUE INDEX IF NOT EXISTS stat_hourly_monitor_id_timestamp_unique ON stat_hourly (monitor_id, timestamp);

CREATE TABLE IF NOT EXISTS stat_daily (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  monitor_id INTEGER NOT NULL,
  timestamp INTEGER NOT NULL,
  ping REAL NOT NULL,
  up INTEGER NOT NULL,
  down INTEGER NOT NULL,
  ping_min REAL NOT NULL DEFAULT 0,
  ping_max REAL NOT NULL DEFAULT 0,
  extras TEXT NULL
);

CREATE UNIQUE INDEX IF NOT EXISTS stat_daily_monitor_id_timestamp_unique ON stat_daily (monitor_id, timestamp);

CREATE TABLE IF NOT EXISTS monitor_tls_info (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  monitor_id INTEGER NOT NULL,
  info_json TEXT NULL
);

CREATE INDEX IF NOT EXISTS monitor_tls_info_monitor_id_foreign ON monitor_tls_info (monitor_id);
