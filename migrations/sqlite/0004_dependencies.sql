-- What depends on what: trouble of `child` is explained by trouble of `cause`. Both are keys of incidents: `check/shop`, `node/node1`.
CREATE TABLE IF NOT EXISTS komainu_dependency (
  child TEXT NOT NULL,
  cause TEXT NOT NULL,
  PRIMARY KEY (child, cause)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS komainu_dependency_cause ON komainu_dependency (cause);
