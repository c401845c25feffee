//! compose/sqlite-to-mariadb: what a Kuma on SQLite has is what the one on MariaDB gets.

use std::process::Command;

use tempfile::TempDir;

use super::{refused, repository, words};
use crate::cluster::server::MariaDb;
use crate::support::kuma;
use crate::support::raw::Raw;

/// A backslash, quotes, a line end, what looks like SQL, a sign of four bytes, nothing at all, and nothing.
const ROWS: &str = r#"
INSERT INTO `user` (id, username, password) VALUES (1, 'admin', '$2b$10$x\y');
INSERT INTO monitor (id, name, type, user_id, url, `interval`, active, accepted_statuscodes_json, headers, description)
  VALUES (7, 'a\nb ''q'' "d" 🐕', 'http', 1, 'https://example.com/?a=\', 60, 1, '["200-299"]', '{"X": "\\u00e4"}', ''),
         (9, 'line' || char(13, 10) || 'end; DROP TABLE monitor;', 'push', 1, NULL, 20, 0, '[]', NULL, NULL);
INSERT INTO heartbeat (id, monitor_id, status, msg, time, ping, important, duration)
  VALUES (5, 7, 1, '200 - OK', '2026-01-02 03:04:05.678', 12, 1, 0), (6, 7, 0, 'timeout', '2026-01-02T03:05:05.678Z', NULL, 1, 60);
INSERT INTO stat_daily (id, monitor_id, timestamp, ping, up, down) VALUES (1, 7, 1767312000, 12.25, 1439, 1);
INSERT INTO setting (id, `key`, value, type) VALUES (3, 'jwtSecret', '"old"', NULL);
"#;

struct Move {
    folder: TempDir,
    sqlite: Raw,
    mariadb: Raw,
    url: String,
}

impl Move {
    async fn prepare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sqlite = Raw::connect(&format!("sqlite://{}", folder.path().join("kuma.db").display())).await;
        sqlite.execute(&kuma::stock(true)).await;
        sqlite.execute(ROWS).await;
        let server = MariaDb::shared();
        let url = server.url(&server.fresh_database().await);
        let mut mariadb = Raw::connect(&url).await;
        mariadb.execute(&format!("SET SESSION innodb_strict_mode = 0;\n{}", kuma::stock(false))).await;
        mariadb.execute("INSERT INTO setting (`key`, value) VALUES ('jwtSecret', '\"new\"')").await;
        Self { folder, sqlite, mariadb, url }
    }

    /// As the document says it.
    fn command(&self) -> Command {
        let (_, place) = self.url.split_once('@').unwrap();
        let (address, database) = place.split_once('/').unwrap();
        let port = address.split_once(':').unwrap().1;
        let client = format!("mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P {port} -u root {database}");
        let mut command = Command::new("bash");
        command.args(["-o", "pipefail", "-c", &format!("\"$1\" kuma.db | {client}"), "sh"]);
        command.arg(repository("compose/sqlite-to-mariadb")).current_dir(self.folder.path());
        command
    }
}

#[tokio::test]
#[ignore = "needs MariaDB and python3"]
async fn every_row_arrives_as_it_was() {
    let mut both = Move::prepare().await;
    let output = both.command().output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    for sql in [
        "SELECT id, username, password FROM `user`",
        "SELECT id, name, type, url, `interval`, active, accepted_statuscodes_json, headers, description FROM monitor ORDER BY id",
        "SELECT id, monitor_id, status, msg, ping, important, duration FROM heartbeat ORDER BY id",
        "SELECT id, monitor_id, timestamp, up, down FROM stat_daily",
        "SELECT id, `key`, value FROM setting",
    ] {
        let (before, after) = (both.sqlite.rows(sql).await, both.mariadb.rows(sql).await);
        assert!(!before.is_empty());
        assert_eq!(after, before, "{sql}");
    }
    let times = both.mariadb.rows("SELECT CAST(time AS CHAR) FROM heartbeat ORDER BY id").await;
    assert!(
        times[0][0].starts_with("2026-01-02 03:04:05") && times[1][0].starts_with("2026-01-02 03:05:05"),
        "{times:?}"
    );
}

#[tokio::test]
#[ignore = "needs MariaDB and python3"]
async fn a_database_that_is_in_use_is_left_as_it_is() {
    let mut both = Move::prepare().await;
    both.mariadb.execute("INSERT INTO `user` (username) VALUES ('ada')").await;
    let (_, said) = refused(&mut both.command());
    assert!(said.contains("nothing was copied"), "{said}");
    assert_eq!(both.mariadb.one("SELECT value FROM setting").await, "\"new\"");
}

#[tokio::test]
#[ignore = "needs MariaDB and python3"]
async fn what_cannot_be_copied_whole_is_not_copied() {
    let mut both = Move::prepare().await;
    both.mariadb.execute("ALTER TABLE stat_daily DROP COLUMN up").await;
    let (_, said) = refused(&mut both.command());
    assert!(said.contains("Unknown column"), "{said}");
    assert_eq!(both.mariadb.count("SELECT COUNT(*) FROM monitor").await, 0);
    assert_eq!(both.mariadb.one("SELECT value FROM setting").await, "\"new\"");
}

#[tokio::test]
#[ignore = "needs python3"]
async fn a_kuma_1_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = Raw::connect(&format!("sqlite://{}", folder.path().join("kuma.db").display())).await;
    sqlite
        .execute(
            "CREATE TABLE `user` (id INTEGER); CREATE TABLE monitor (id INTEGER); CREATE TABLE heartbeat (id INTEGER)",
        )
        .await;
    let mut command = Command::new(repository("compose/sqlite-to-mariadb"));
    let (code, said) = refused(command.arg("kuma.db").current_dir(folder.path()));
    assert!(code == 1 && said.contains("upgrade Kuma on SQLite first"), "{said}");
    let mut command = Command::new(repository("compose/sqlite-to-mariadb"));
    assert_eq!(refused(command.arg("none.db").current_dir(folder.path())).0, 2);
}
