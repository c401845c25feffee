-- What depends on what: trouble of `child` is explained by trouble of `cause`. Both are keys of incidents: `check/shop`, `node/node1`.
CREATE TABLE IF NOT EXISTS komainu_dependency (
  child VARCHAR(190) NOT NULL,
  cause VARCHAR(190) NOT NULL,
  PRIMARY KEY (child, cause)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_dependency_cause ON komainu_dependency (cause);
