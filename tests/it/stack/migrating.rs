//! `komainu migrate` beside a Kuma that is starting.

use std::process::{Command, Stdio};
use std::time::Duration;

use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::{DatabaseUrl, Store};

use super::{komainu, refused};
use crate::cluster::server::MariaDb;
use crate::cluster::wait::wait_until;
use crate::support::kuma;
use crate::support::raw::Raw;

/// Only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

const SECRET: &str = "INSERT INTO setting (`key`, value) VALUES ('jwtSecret', 'x')";

async fn empty_database() -> (String, Raw) {
    let server = MariaDb::shared();
    let url = server.url(&server.fresh_database().await);
    let raw = Raw::connect(&url).await;
    (url, raw)
}

fn migration(url: &str, line: &[&str]) -> Command {
    let mut command = komainu();
    command.args(["migrate", "--database", url]).args(line);
    command
}

async fn make_tables(raw: &mut Raw) {
    raw.execute(&format!("SET SESSION innodb_strict_mode = 0;\n{}", kuma::stock(false))).await;
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn kuma_is_there_once_its_own_migrations_are_done() {
    let (url, mut raw) = empty_database().await;
    let store = Store::connect(&DatabaseUrl::parse(&url).unwrap()).await.unwrap();
    assert!(!migrate::has_kuma(&store).await.unwrap(), "an empty database");
    raw.execute("CREATE TABLE monitor (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY)").await;
    assert!(!migrate::has_kuma(&store).await.unwrap(), "its settings come after its monitors");
    raw.execute("DROP TABLE monitor").await;
    make_tables(&mut raw).await;
    assert!(!migrate::has_kuma(&store).await.unwrap(), "tables alone may be half made");
    raw.execute(SECRET).await;
    assert!(migrate::has_kuma(&store).await.unwrap());
    raw.execute("INSERT INTO knex_migrations_lock (is_locked) VALUES (1)").await;
    assert!(!migrate::has_kuma(&store).await.unwrap(), "a later version migrates anew");
    raw.execute("UPDATE knex_migrations_lock SET is_locked = 0").await;
    assert!(migrate::has_kuma(&store).await.unwrap());
}

#[tokio::test]
async fn a_database_without_kuma_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::connect(&DatabaseUrl::sqlite(folder.path().join("k.db"))).await.unwrap();
    migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
    assert!(migrate::has_kuma(&store).await.unwrap());
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_migration_waits_for_the_first_kuma_and_enters_the_nodes() {
    let (url, mut raw) = empty_database().await;
    let line = ["--wait-for-kuma", "60s", "--node", "kuma1=http://kuma1:3001/", "--node", "kuma2=http://kuma2:3001"];
    let mut waiting = migration(&url, &line).stdout(Stdio::null()).spawn().unwrap();
    make_tables(&mut raw).await;
    assert_eq!(
        raw.count(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'node'"
        )
        .await,
        0
    );
    assert!(waiting.try_wait().unwrap().is_none(), "it waits");
    raw.execute(SECRET).await;
    let has_ended = async || waiting.try_wait().unwrap().is_some();
    wait_until("the migration ends", LIMIT, has_ended).await;
    assert!(waiting.wait().unwrap().success());
    let nodes = raw.rows("SELECT node_id, address, status FROM node ORDER BY node_id").await;
    assert_eq!(nodes, [["kuma1", "http://kuma1:3001", "new"], ["kuma2", "http://kuma2:3001", "new"]]);
    assert_eq!(raw.one("SELECT mode FROM komainu_cluster").await, "active", "there is nothing to adopt");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_kuma_that_does_not_come_is_not_waited_for_forever() {
    let (url, _) = empty_database().await;
    let (code, words) = refused(&mut migration(&url, &["--wait-for-kuma", "1s"]));
    assert!(code == 1 && words.contains("no Uptime Kuma has made its tables"), "{words}");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_migration_waits_for_the_database_where_it_waits_for_kuma() {
    let mut server = MariaDb::start();
    let url = server.url(&server.fresh_database().await);
    let mut raw = Raw::connect(&url).await;
    make_tables(&mut raw).await;
    raw.execute(SECRET).await;
    server.stop();
    let (code, words) = refused(&mut migration(&url, &[]));
    assert!(code == 1 && words.contains("cannot reach the database"), "{words}");
    let (code, words) = refused(&mut migration(&url, &["--wait-for-kuma", "1s"]));
    assert!(code == 1 && words.contains("cannot reach the database"), "{words}");
    let mut waiting = migration(&url, &["--wait-for-kuma", "60s"]).stdout(Stdio::null()).spawn().unwrap();
    server.start_again();
    wait_until("the migration ends", LIMIT, async || waiting.try_wait().unwrap().is_some()).await;
    assert!(waiting.wait().unwrap().success());
}
