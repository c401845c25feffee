-- Public pages: what stands on them, and what people write there.

-- One row per page. `definition`: a JSON object: words, looks, groups, and components under their public names and ids. `logo`: a picture
-- as an address of data. `revision`: that of komainu_page_revision when it was last written.
CREATE TABLE IF NOT EXISTS komainu_page (
  slug VARCHAR(60) NOT NULL PRIMARY KEY,
  definition MEDIUMTEXT NOT NULL,
  logo MEDIUMTEXT NULL,
  managed_by VARCHAR(190) NULL,
  revision BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by VARCHAR(190) NOT NULL,
  changed_at BIGINT NOT NULL,
  changed_by VARCHAR(190) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- The row with id 1 is raised by every write to pages, notices and updates, which locks it first: whoever sees the number it knows has
-- read them all.
CREATE TABLE IF NOT EXISTS komainu_page_revision (
  id INT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO komainu_page_revision (id, revision) SELECT 1, 0 FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM komainu_page_revision WHERE id = 1);

-- Incidents and planned maintenances, as people tell them. `components`: a JSON list of public ids. `incident_id`: the incident of
-- komainu_incident that it was opened from, which no public answer names. `turns_at`: when subscribers are to be told that it went on by itself.
-- `maintenance`: the row of komainu_silence that it is said for, as long as it is to be kept up with that.
CREATE TABLE IF NOT EXISTS komainu_page_notice (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  public_id CHAR(24) NOT NULL UNIQUE,
  slug VARCHAR(60) NOT NULL,
  kind VARCHAR(12) NOT NULL,
  title TEXT NOT NULL,
  impact VARCHAR(10) NOT NULL,
  stage VARCHAR(15) NOT NULL,
  components MEDIUMTEXT NOT NULL,
  starts_at BIGINT NULL,
  ends_at BIGINT NULL,
  turns_at BIGINT NULL,
  resolved_at BIGINT NULL,
  incident_id BIGINT NULL,
  maintenance BIGINT NULL,
  revision BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by VARCHAR(190) NOT NULL,
  changed_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_page_notice_by_page ON komainu_page_notice (slug, id);
CREATE INDEX IF NOT EXISTS komainu_page_notice_turns ON komainu_page_notice (turns_at);
CREATE INDEX IF NOT EXISTS komainu_page_notice_maintenance ON komainu_page_notice (maintenance);

-- What was said of a notice, in order.
CREATE TABLE IF NOT EXISTS komainu_page_update (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  notice_id BIGINT NOT NULL,
  stage VARCHAR(15) NOT NULL,
  words MEDIUMTEXT NOT NULL,
  at BIGINT NOT NULL,
  said_by VARCHAR(190) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_page_update_by_notice ON komainu_page_update (notice_id, id);
