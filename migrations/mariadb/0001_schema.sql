-- What komainu found and made here, written before it makes anything: an interrupted migration is taken up again, and
-- --remove knows what was there before. version 0: not finished.

CREATE TABLE IF NOT EXISTS komainu_schema (
  id TINYINT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  node_origin VARCHAR(10) NOT NULL,
  node_columns TEXT NOT NULL,
  kuma_tables TEXT NOT NULL,
  migrated_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
