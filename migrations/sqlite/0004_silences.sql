-- What people want to hear nothing of for a while. `matchers`: JSON. `until_resolved`: it ends once nothing that it takes is wrong.
-- `cron`, `duration_s` and `time_zone` say when it is in force between its start and its end; NULL: all the time. `warned_at`: people were
-- told that it ends soon. `ended_by`: who ended it before its time. A maintenance window has a `name` and `subjects`, a JSON list, instead of
-- matchers; its title is its remark, and what public pages say of it stands in `public_title` and `public_text`.
CREATE TABLE IF NOT EXISTS komainu_silence (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE,
  matchers TEXT NOT NULL,
  starts_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  until_resolved INTEGER NOT NULL DEFAULT 0,
  cron TEXT NULL,
  duration_s INTEGER NULL,
  time_zone TEXT NULL,
  author TEXT NOT NULL,
  remark TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  warned_at INTEGER NULL,
  ended_by TEXT NULL,
  name TEXT NULL UNIQUE,
  subjects TEXT NULL,
  public_title TEXT NULL,
  public_text TEXT NULL,
  managed_by TEXT NULL
);
CREATE INDEX IF NOT EXISTS komainu_silence_end ON komainu_silence (ends_at);

-- Of a delivery that is held: the silence that holds it. By the index: what is held by nothing of the kind, or by one that is over, of a
-- channel.
ALTER TABLE komainu_delivery ADD COLUMN silenced_by INTEGER NULL;
CREATE INDEX IF NOT EXISTS komainu_delivery_silenced ON komainu_delivery (silenced_by, state, channel, due_at);
