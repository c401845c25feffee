-- For a database without Kuma: the part of Kuma 2.5.3's tables that native nodes need, by Kuma's names and types.

CREATE TABLE IF NOT EXISTS monitor (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NULL,
  active INTEGER NOT NULL DEFAULT 1,
  user_id INTEGER NULL,
  `interval` INTEGER NOT NULL DEFAULT 20,
  url TEXT NULL,
  type TEXT NULL,
  weight INTEGER NULL DEFAULT 2000,
  hostname TEXT NULL,
  port INTEGER NULL,
  created_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  keyword TEXT NULL,
  maxretries INTEGER NOT NULL DEFAULT 0,
  ignore_tls INTEGER NOT NULL DEFAULT 0,
  upside_down INTEGER NOT NULL DEFAULT 0,
  maxredirects INTEGER NOT NULL DEFAULT 10,
  accepted_statuscodes_json TEXT NOT NULL DEFAULT '["200-299"]',
  dns_resolve_type TEXT NULL,
  dns_resolve_server TEXT NULL,
  retry_interval INTEGER NOT NULL DEFAULT 0,
  push_token TEXT NULL,
  method TEXT NOT NULL DEFAULT 'GET',
  body TEXT NULL,
  headers TEXT NULL,
  basic_auth_user TEXT NULL,
  basic_auth_pass TEXT NULL,
  expiry_notification INTEGER NULL DEFAULT 1,
  auth_method TEXT NULL,
  resend_interval INTEGER NOT NULL DEFAULT 0,
  packet_size INTEGER NOT NULL DEFAULT 56,
  http_body_encoding TEXT NULL,
  description TEXT NULL,
  tls_ca TEXT NULL,
  tls_cert TEXT NULL,
  tls_key TEXT NULL,
  parent INTEGER NULL,
  invert_keyword INTEGER NOT NULL DEFAULT 0,
  json_path TEXT NULL,
  expected_value TEXT NULL,
  timeout REAL NOT NULL DEFAULT 0,
  json_path_operator TEXT NULL,
  cache_bust INTEGER NOT NULL DEFAULT 0,
  conditions TEXT NOT NULL DEFAULT '[]',
  ping_count INTEGER NOT NULL DEFAULT 1,
  ping_numeric INTEGER NOT NULL DEFAULT 1,
  ping_per_request_timeout INTEGER NOT NULL DEFAULT 2,
  ip_family TEXT NULL,
  save_response INTEGER NOT NULL DEFAULT 0,
  save_error_response INTEGER NOT NULL DEFAULT 1,
  response_max_length INTEGER NOT NULL DEFAULT 1024,
  retry_only_on_status_code_failure INTEGER NOT NULL DEFAULT 0,
  bearer_token TEXT NULL
);

CREATE TABLE IF NOT EXISTS heartbeat (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  important INTEGER NOT NULL DEFAULT 0,
  monitor_id INTEGER NOT NULL,
  status INTEGER NOT NULL,
  msg TEXT NULL,
  time DATETIME NOT NULL,
  ping INTEGER NULL,
  duration INTEGER NOT NULL DEFAULT 0,
  down_count INTEGER NOT NULL DEFAULT 0,
  end_time DATETIME NULL,
  retries INTEGER NOT NULL DEFAULT 0,
  response TEXT NULL
);

CREATE INDEX IF NOT EXISTS heartbeat_important_index ON heartbeat (important);
CREATE INDEX IF NOT EXISTS heartbeat_monitor_id_index ON heartbeat (monitor_id);
CREATE INDEX IF NOT EXISTS monitor_important_time_index ON heartbeat (monitor_id, important, time);
CREATE INDEX IF NOT EXISTS monitor_time_index ON heartbeat (monitor_id, time);

CREATE TABLE IF NOT EXISTS tag (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  color TEXT NOT NULL,
  created_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS monitor_tag (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  monitor_id INTEGER NOT NULL,
  tag_id INTEGER NOT NULL,
  value TEXT NULL
);

CREATE INDEX IF NOT EXISTS monitor_tag_monitor_id_foreign ON monitor_tag (monitor_id);
CREATE INDEX IF NOT EXISTS monitor_tag_tag_id_foreign ON monitor_tag (tag_id);
