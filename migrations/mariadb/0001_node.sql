-- The table `node` where there is none yet, with the columns that users of uptime-kuma-cluster know.

CREATE TABLE IF NOT EXISTS node (
  node_id VARCHAR(190) NOT NULL PRIMARY KEY,
  node_name VARCHAR(255) NULL,
  location VARCHAR(255) NULL,
  host VARCHAR(255) NULL,
  hostname VARCHAR(255) NULL,
  status VARCHAR(20) NOT NULL DEFAULT 'new',
  active TINYINT(1) NOT NULL DEFAULT 1,
  is_primary TINYINT(1) NOT NULL DEFAULT 0,
  created_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  modified_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  last_seen DATETIME NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
