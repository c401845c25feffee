-- The table `node` where there is none yet, with the columns that users of uptime-kuma-cluster know.

CREATE TABLE IF NOT EXISTS node (
  node_id TEXT NOT NULL PRIMARY KEY,
  node_name TEXT NULL,
  location TEXT NULL,
  host TEXT NULL,
  hostname TEXT NULL,
  status TEXT NOT NULL DEFAULT 'new',
  active INTEGER NOT NULL DEFAULT 1,
  is_primary INTEGER NOT NULL DEFAULT 0,
  created_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  modified_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  last_seen DATETIME NULL
);
