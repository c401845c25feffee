-- For a database without Kuma: Kuma 2.5.3's statistics and certificates, which native nodes keep as Kuma keeps them.

CREATE TABLE IF NOT EXISTS stat_minutely (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  monitor_id INT UNSIGNED NOT NULL,
  timestamp INT NOT NULL,
  ping FLOAT(20,2) NOT NULL,
  up SMALLINT NOT NULL,
  down SMALLINT NOT NULL,
  ping_min FLOAT(20,2) NOT NULL DEFAULT 0.00,
  ping_max FLOAT(20,2) NOT NULL DEFAULT 0.00,
  extras TEXT NULL,
  UNIQUE KEY stat_minutely_monitor_id_timestamp_unique (monitor_id, timestamp)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS stat_hourly (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  monitor_id INT UNSIGNED NOT NULL,
  timestamp INT NOT NULL,
  ping FLOAT(20,2) NOT NULL,
  up SMALLINT NOT NULL,
  down SMALLINT NOT NULL,
  ping_min FLOAT(20,2) NOT NULL DEFAULT 0.00,
  ping_max FLOAT(20,2) NOT NULL DEFAULT 0.00,
  extras TEXT NULL,
  UNIQUE KEY stat_hourly_monitor_id_timestamp_unique (monitor_id, timestamp)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS stat_daily (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  monitor_id INT UNSIGNED NOT NULL,
  timestamp INT NOT NULL,
  ping FLOAT(20,2) NOT NULL,
  up INT UNSIGNED NOT NULL,
  down INT UNSIGNED NOT NULL,
  ping_min FLOAT(20,2) NOT NULL DEFAULT 0.00,
  ping_max FLOAT(20,2) NOT NULL DEFAULT 0.00,
  extras TEXT NULL,
  UNIQUE KEY stat_daily_monitor_id_timestamp_unique (monitor_id, timestamp)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS monitor_tls_info (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  monitor_id INT UNSIGNED NOT NULL,
  info_json LONGTEXT NULL,
  KEY monitor_tls_info_monitor_id_foreign (monitor_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
