-- Everything of komainu except the table `node`. No column and no trigger on Kuma's tables.

CREATE TABLE IF NOT EXISTS komainu_cluster (
  id TINYINT NOT NULL PRIMARY KEY,
  mode VARCHAR(10) NOT NULL,
  frozen TINYINT(1) NOT NULL DEFAULT 0,
  generation BIGINT NOT NULL DEFAULT 0,
  nonce CHAR(16) NOT NULL,
  changed_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS komainu_leader (
  id TINYINT NOT NULL PRIMARY KEY,
  epoch BIGINT NOT NULL DEFAULT 0,
  holder CHAR(16) NULL,
  watchdog_id VARCHAR(190) NULL,
  renewals BIGINT NOT NULL DEFAULT 0,
  claimed_at BIGINT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The history of stamps: an acknowledgement counts only when its number and nonce stand here.
CREATE TABLE IF NOT EXISTS komainu_generation (
  generation BIGINT NOT NULL PRIMARY KEY,
  nonce CHAR(16) NOT NULL,
  epoch BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  reason VARCHAR(40) NOT NULL,
  monitors INT NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- node_id NULL or '': no home. assigned_node NULL: at home; '': nobody's.
CREATE TABLE IF NOT EXISTS komainu_assignment (
  monitor_id INT UNSIGNED NOT NULL PRIMARY KEY,
  node_id VARCHAR(190) NULL,
  assigned_node VARCHAR(190) NULL,
  effective_node VARCHAR(190) AS (COALESCE(assigned_node, node_id, '')) PERSISTENT,
  pinned TINYINT(1) NOT NULL DEFAULT 0,
  source_node VARCHAR(190) NULL,
  source_incarnation CHAR(16) NULL,
  released_at BIGINT NULL,
  reason VARCHAR(40) NOT NULL DEFAULT '',
  epoch BIGINT NOT NULL DEFAULT 0,
  generation BIGINT NOT NULL DEFAULT 0,
  changed_at BIGINT NOT NULL DEFAULT 0,
  started_at_ms BIGINT NULL,
  KEY komainu_assignment_effective (effective_node),
  KEY komainu_assignment_home (node_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS komainu_watchdog (
  watchdog_id VARCHAR(190) NOT NULL PRIMARY KEY,
  incarnation CHAR(16) NOT NULL,
  seq BIGINT NOT NULL DEFAULT 0,
  zone VARCHAR(190) NOT NULL DEFAULT '',
  advertise VARCHAR(500) NOT NULL DEFAULT '',
  hostname VARCHAR(255) NOT NULL DEFAULT '',
  version VARCHAR(40) NOT NULL DEFAULT '',
  isolated TINYINT(1) NOT NULL DEFAULT 0,
  stopped TINYINT(1) NOT NULL DEFAULT 0,
  last_seen BIGINT NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS komainu_observation (
  watchdog_id VARCHAR(190) NOT NULL,
  kind VARCHAR(20) NOT NULL,
  target VARCHAR(400) NOT NULL,
  incarnation CHAR(16) NOT NULL,
  seq BIGINT NOT NULL,
  vote VARCHAR(10) NOT NULL,
  failures INT NOT NULL DEFAULT 0,
  detail TEXT NOT NULL,
  PRIMARY KEY (watchdog_id, kind, target)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- One open incident per key: the virtual column is NULL, and so unique to nobody, once it is resolved.
CREATE TABLE IF NOT EXISTS komainu_incident (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  k VARCHAR(400) NOT NULL,
  severity VARCHAR(10) NOT NULL,
  summary TEXT NOT NULL,
  votes_bad INT NOT NULL DEFAULT 0,
  votes_of INT NOT NULL DEFAULT 0,
  opened_at BIGINT NOT NULL,
  last_bad_at BIGINT NOT NULL,
  resolved_at BIGINT NULL,
  acknowledged_at BIGINT NULL,
  acknowledged_by VARCHAR(190) NULL,
  open_key VARCHAR(400) AS (IF(resolved_at IS NULL, k, NULL)) VIRTUAL,
  UNIQUE KEY komainu_incident_open (open_key),
  KEY komainu_incident_resolved (resolved_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS komainu_api_key (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(190) NOT NULL UNIQUE,
  scope VARCHAR(10) NOT NULL,
  hash CHAR(64) NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS komainu_monitor (
  monitor_id INT UNSIGNED NOT NULL PRIMARY KEY,
  ref VARCHAR(400) NULL UNIQUE,
  channels TEXT NOT NULL,
  made_by VARCHAR(20) NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS komainu_audit (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  at BIGINT NOT NULL,
  who VARCHAR(190) NOT NULL,
  what VARCHAR(60) NOT NULL,
  subject VARCHAR(400) NOT NULL,
  before_json MEDIUMTEXT NULL,
  after_json MEDIUMTEXT NULL,
  KEY komainu_audit_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
