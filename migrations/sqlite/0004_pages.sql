-- Public pages: what stands on them, and what people write there.

-- One row per page. `definition`: a JSON object: words, looks, groups, and components under their public names and ids. `logo`: a picture
-- as an address of data. `revision`: that of komainu_page_revision when it was last written.
CREATE TABLE IF NOT EXISTS komainu_page (
  slug TEXT NOT NULL PRIMARY KEY,
  definition TEXT NOT NULL,
  logo TEXT NULL,
  managed_by TEXT NULL,
  revision INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  changed_by TEXT NOT NULL
);

-- The row with id 1 is raised by every write to pages, notices and updates, which locks it first: whoever sees the number it knows has
-- read them all.
CREATE TABLE IF NOT EXISTS komainu_page_revision (
  id INTEGER NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL
);
INSERT INTO komainu_page_revision (id, revision) SELECT 1, 0 FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM komainu_page_revision WHERE id = 1);

-- Incidents and planned maintenances, as people tell them. `components`: a JSON list of public ids. `incident_id`: the incident of
-- komainu_incident that it was opened from, which no public answer names. `turns_at`: when subscribers are to be told that it went on by itself.
-- `maintenance`: the row of komainu_silence that it is said for, as long as it is to be kept up with that.
CREATE TABLE IF NOT EXISTS komainu_page_notice (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  public_id TEXT NOT NULL UNIQUE,
  slug TEXT NOT NULL,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  impact TEXT NOT NULL,
  stage TEXT NOT NULL,
  components TEXT NOT NULL,
  starts_at INTEGER NULL,
  ends_at INTEGER NULL,
  turns_at INTEGER NULL,
  resolved_at INTEGER NULL,
  incident_id INTEGER NULL,
  maintenance INTEGER NULL,
  revision INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS komainu_page_notice_by_page ON komainu_page_notice (slug, id);
CREATE INDEX IF NOT EXISTS komainu_page_notice_turns ON komainu_page_notice (turns_at);
CREATE INDEX IF NOT EXISTS komainu_page_notice_maintenance ON komainu_page_notice (maintenance);

-- What was said of a notice, in order.
CREATE TABLE IF NOT EXISTS komainu_page_update (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  notice_id INTEGER NOT NULL,
  stage TEXT NOT NULL,
  words TEXT NOT NULL,
  at INTEGER NOT NULL,
  said_by TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS komainu_page_update_by_notice ON komainu_page_update (notice_id, id);
