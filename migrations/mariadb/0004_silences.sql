-- What people want to hear nothing of for a while. `matchers`: JSON. `until_resolved`: it ends once nothing that it takes is wrong.
-- `cron`, `duration_s` and `time_zone` say when it is in force between its start and its end; NULL: all the time. `warned_at`: people were
-- told that it ends soon. `ended_by`: who ended it before its time. A maintenance window has a `name` and `subjects`, a JSON list, instead of
-- matchers; its title is its remark, and what public pages say of it stands in `public_title` and `public_text`.
CREATE TABLE IF NOT EXISTS komainu_silence (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uid CHAR(36) NOT NULL,
  matchers TEXT NOT NULL,
  starts_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  until_resolved TINYINT(1) NOT NULL DEFAULT 0,
  cron VARCHAR(200) NULL,
  duration_s BIGINT NULL,
  time_zone VARCHAR(60) NULL,
  author VARCHAR(190) NOT NULL,
  remark TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  warned_at BIGINT NULL,
  ended_by VARCHAR(190) NULL,
  name VARCHAR(60) NULL,
  subjects MEDIUMTEXT NULL,
  public_title TEXT NULL,
  public_text TEXT NULL,
  managed_by VARCHAR(190) NULL,
  UNIQUE KEY komainu_silence_name (name),
  UNIQUE KEY komainu_silence_uid (uid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_silence_end ON komainu_silence (ends_at);

-- Of a delivery that is held: the silence that holds it. By the index: what is held by nothing of the kind, or by one that is over, of a
-- channel.
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS silenced_by BIGINT NULL;
CREATE INDEX IF NOT EXISTS komainu_delivery_silenced ON komainu_delivery (silenced_by, state, channel, due_at);
