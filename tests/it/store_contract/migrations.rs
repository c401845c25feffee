//! Migrations: what is made, what is left alone, what is refused.

use komainu::store::migrate::grants::{self, Accounts};
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::{DatabaseUrl, Store, StoreError, cluster};
use komainu_watchdogs::facts::Mode;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use crate::support::kuma;

const WITH_KUMA: MigrateOptions = MigrateOptions { without_kuma: false };
const WITHOUT_KUMA: MigrateOptions = MigrateOptions { without_kuma: true };

const INCIDENT_OF_THE_FIRST_SCHEMA: &str = "INSERT INTO komainu_incident (k, severity, summary, opened_at, \
     last_bad_at) VALUES ('node/node1', 'critical', 'offline', 1, 1)";

on_both_databases! {
    an_empty_database_is_migrated_once_and_for_all,
    stock_kuma_is_migrated_once_and_for_all,
    a_database_of_the_fork_is_extended_once_and_for_all,
    an_interrupted_migration_is_taken_up_again,
    a_database_of_the_first_schema_becomes_like_a_fresh_one,
    a_database_of_the_second_schema_becomes_like_a_fresh_one,
    removing_leaves_exactly_what_was_there,
    a_database_without_kuma_is_refused_unless_said_so,
    a_newer_schema_is_refused_by_name,
    an_unmigrated_database_names_the_command,
    a_database_with_monitors_starts_in_observe_mode,
    a_plan_changes_nothing,
}

async fn stock(kind: Kind) -> Fixture {
    let mut fixture = Fixture::empty(kind).await;
    fixture.raw.execute(&kuma::stock(kind == Kind::Sqlite)).await;
    fixture
}

async fn fork(kind: Kind) -> Fixture {
    let mut fixture = stock(kind).await;
    fixture.raw.execute(&kuma::fork(kind == Kind::Sqlite)).await;
    fixture
}

async fn migrates_once(mut fixture: Fixture, options: MigrateOptions) {
    let first = migrate::apply(&fixture.store, options).await.unwrap();
    assert_eq!((first.from, first.to), (0, migrate::SCHEMA));
    assert!(!first.statements.is_empty());
    fixture.store.check_schema().await.unwrap();
    let made = schema(&mut fixture).await;
    let stamp = fixture.stamp().await;
    let second = migrate::apply(&fixture.store, options).await.unwrap();
    assert_eq!(second.statements, Vec::<String>::new());
    assert_eq!(schema(&mut fixture).await, made);
    assert_eq!(fixture.stamp().await, stamp);
}

async fn an_empty_database_is_migrated_once_and_for_all(kind: Kind) {
    migrates_once(Fixture::empty(kind).await, WITHOUT_KUMA).await;
}

async fn stock_kuma_is_migrated_once_and_for_all(kind: Kind) {
    migrates_once(stock(kind).await, WITH_KUMA).await;
}

async fn a_database_of_the_fork_is_extended_once_and_for_all(kind: Kind) {
    let mut fixture = fork(kind).await;
    let before = fixture.raw.rows("SELECT node_id, node_name, status FROM node ORDER BY node_id").await;
    migrate::apply(&fixture.store, WITH_KUMA).await.unwrap();
    assert_eq!(fixture.raw.rows("SELECT node_id, node_name, status FROM node ORDER BY node_id").await, before);
    fixture.raw.execute("UPDATE node SET status = 'unreachable' WHERE node_id = 'node1'").await;
    migrates_once(fork(kind).await, WITH_KUMA).await;
}

async fn an_interrupted_migration_is_taken_up_again(kind: Kind) {
    let mut fixture = fork(kind).await;
    let before = schema(&mut fixture).await;
    let plan = migrate::plan(&fixture.store, WITH_KUMA).await.unwrap();
    let half = plan.statements.iter().position(|sql| sql.contains("ADD COLUMN weight")).unwrap();
    for statement in &plan.statements[..half] {
        fixture.raw.execute(statement).await;
    }
    assert!(matches!(fixture.store.check_schema().await, Err(StoreError::SchemaMissing)));
    migrate::apply(&fixture.store, WITH_KUMA).await.unwrap();
    fixture.store.check_schema().await.unwrap();
    migrate::remove(&fixture.store).await.unwrap();
    assert_eq!(schema(&mut fixture).await, widened(before));
}

async fn a_database_of_the_first_schema_becomes_like_a_fresh_one(kind: Kind) {
    let mut fresh = stock(kind).await;
    migrate::apply(&fresh.store, WITH_KUMA).await.unwrap();
    let mut fixture = stock(kind).await;
    let plan = migrate::plan(&fixture.store, WITH_KUMA).await.unwrap();
    let of_the_second = plan.statements.iter().position(|sql| sql.contains("komainu_heartbeat")).unwrap();
    for statement in &plan.statements[..of_the_second] {
        fixture.raw.execute(statement).await;
    }
    fixture.raw.execute("UPDATE komainu_schema SET version = 1").await;
    fixture.raw.execute(INCIDENT_OF_THE_FIRST_SCHEMA).await;
    assert!(matches!(fixture.store.check_schema().await, Err(StoreError::SchemaTooOld { found: 1, .. })));
    let done = migrate::apply(&fixture.store, WITH_KUMA).await.unwrap();
    assert_eq!((done.from, done.to), (1, migrate::SCHEMA));
    assert_eq!(schema(&mut fixture).await, schema(&mut fresh).await);
    assert_eq!(fixture.raw.one("SELECT flaps FROM komainu_incident WHERE k = 'node/node1'").await, "0");
}

async fn a_database_of_the_second_schema_becomes_like_a_fresh_one(kind: Kind) {
    for options in [WITH_KUMA, WITHOUT_KUMA] {
        let empty = async || if options.without_kuma { Fixture::empty(kind).await } else { fork(kind).await };
        let mut fresh = empty().await;
        migrate::apply(&fresh.store, options).await.unwrap();
        let mut fixture = empty().await;
        let before = schema(&mut fixture).await;
        apply_second_schema(&mut fixture, options).await;
        assert!(matches!(fixture.store.check_schema().await, Err(StoreError::SchemaTooOld { found: 2, .. })));
        let done = migrate::apply(&fixture.store, WITH_KUMA).await.unwrap();
        assert_eq!((done.from, done.to), (2, migrate::SCHEMA));
        assert_eq!(schema(&mut fixture).await, schema(&mut fresh).await);
        migrate::remove(&fixture.store).await.unwrap();
        assert_eq!(schema(&mut fixture).await, widened(before));
    }
}

/// As the second version of the schema left it: all that the third adds is not there, and not written down.
async fn apply_second_schema(fixture: &mut Fixture, options: MigrateOptions) {
    let plan = migrate::plan(&fixture.store, options).await.unwrap();
    let is_third = |sql: &String| sql.contains("TABLE IF NOT EXISTS stat_minutely") || sql.contains("pinned_node");
    let third = plan.statements.iter().position(is_third).unwrap();
    for statement in &plan.statements[..third] {
        fixture.raw.execute(statement).await;
    }
    let forget = "UPDATE komainu_schema SET version = 2, \
         node_columns = REPLACE(node_columns, ',labels,drains_pinned,runner', ''), \
         kuma_tables = REPLACE(kuma_tables, ',stat_minutely,stat_hourly,stat_daily,monitor_tls_info', '')";
    fixture.raw.execute(forget).await;
}

async fn removing_leaves_exactly_what_was_there(kind: Kind) {
    for (mut fixture, options) in
        [(Fixture::empty(kind).await, WITHOUT_KUMA), (stock(kind).await, WITH_KUMA), (fork(kind).await, WITH_KUMA)]
    {
        let before = schema(&mut fixture).await;
        migrate::apply(&fixture.store, options).await.unwrap();
        assert_ne!(schema(&mut fixture).await, before);
        migrate::remove(&fixture.store).await.unwrap();
        assert_eq!(schema(&mut fixture).await, widened(before));
        let again = migrate::remove(&fixture.store).await.unwrap();
        assert_eq!((again.statements, again.notes), (Vec::<String>::new(), Vec::<String>::new()));
        migrate::apply(&fixture.store, options).await.unwrap();
    }
}

async fn a_database_without_kuma_is_refused_unless_said_so(kind: Kind) {
    let fixture = Fixture::empty(kind).await;
    let error = migrate::apply(&fixture.store, WITH_KUMA).await.unwrap_err();
    assert!(error.to_string().contains("--without-kuma"), "{error}");
    migrate::apply(&fixture.store, WITHOUT_KUMA).await.unwrap();
    migrate::apply(&fixture.store, WITH_KUMA).await.unwrap();
}

async fn a_newer_schema_is_refused_by_name(kind: Kind) {
    let mut fixture = Fixture::native(kind).await.migrating().await;
    fixture.raw.execute(&format!("UPDATE komainu_schema SET version = {}", migrate::SCHEMA + 1)).await;
    fixture.store.check_schema().await.unwrap();
    fixture.raw.execute("UPDATE komainu_schema SET version = 7").await;
    let known = migrate::SCHEMA + 1;
    let message = format!("database has schema 7, this komainu knows up to {known}: upgrade komainu");
    assert_eq!(fixture.store.check_schema().await.unwrap_err().to_string(), message);
    assert_eq!(migrate::apply(&fixture.store, WITHOUT_KUMA).await.unwrap_err().to_string(), message);
    assert_eq!(migrate::remove(&fixture.store).await.unwrap_err().to_string(), message);
}

async fn an_unmigrated_database_names_the_command(kind: Kind) {
    let fixture = stock(kind).await;
    let error = fixture.store.check_schema().await.unwrap_err();
    assert_eq!(error.to_string(), "the database has no komainu tables: run `komainu migrate`");
}

async fn a_database_with_monitors_starts_in_observe_mode(kind: Kind) {
    let mut fixture = stock(kind).await;
    fixture.raw.execute("INSERT INTO monitor (name, type) VALUES ('old', 'http')").await;
    migrate::apply(&fixture.store, WITH_KUMA).await.unwrap();
    assert_eq!(cluster::get(&fixture.store).await.unwrap().mode, Mode::Observe);
    let fresh = stock(kind).await;
    migrate::apply(&fresh.store, WITH_KUMA).await.unwrap();
    assert_eq!(cluster::get(&fresh.store).await.unwrap().mode, Mode::Active);
}

async fn a_plan_changes_nothing(kind: Kind) {
    let mut fixture = fork(kind).await;
    let before = schema(&mut fixture).await;
    let plan = migrate::plan(&fixture.store, WITH_KUMA).await.unwrap();
    assert!(plan.statements.iter().any(|sql| sql.contains("komainu_leader")));
    let accounts = Accounts { watchdog: "w".parse().unwrap(), node: "n".parse().unwrap() };
    assert_eq!(grants::statements(&fixture.url, &plan, &accounts).is_empty(), kind == Kind::Sqlite);
    assert_eq!(schema(&mut fixture).await, before);
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_missing_grant_is_named_with_the_way_to_the_grants() {
    let mut fixture = stock(Kind::MariaDb).await;
    let database = fixture.url.database();
    fixture.raw.execute(&format!("CREATE USER reader_{database}@'%' IDENTIFIED BY 'p'")).await;
    fixture.raw.execute(&format!("GRANT SELECT ON {database}.* TO reader_{database}@'%'")).await;
    let url = fixture.text.replace("root@", &format!("reader_{database}:p@"));
    let store = Store::connect(&DatabaseUrl::parse(&url).unwrap()).await.unwrap();
    let error = migrate::apply(&store, WITH_KUMA).await.unwrap_err();
    assert!(matches!(error, StoreError::MissingGrant { .. }), "{error:?}");
    assert!(error.to_string().contains("komainu migrate --dry-run"), "{error}");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_refused_user_and_an_unreachable_server_are_told_apart() {
    let fixture = Fixture::empty(Kind::MariaDb).await;
    let wrong = fixture.text.replace("root@", "nobody:secret@");
    let error = Store::connect(&DatabaseUrl::parse(&wrong).unwrap()).await.unwrap_err();
    assert!(matches!(error, StoreError::AccessDenied { .. }), "{error:?}");
    assert!(!error.to_string().contains("secret"));
    let nowhere = DatabaseUrl::parse("mysql://root@127.0.0.1:1/kuma").unwrap();
    let error = Store::connect(&nowhere).await.unwrap_err();
    assert!(error.is_lost_connection(), "{error:?}");
}

/// Every column of every table, and every index.
async fn schema(fixture: &mut Fixture) -> Vec<Vec<String>> {
    let sql = match fixture.kind {
        Kind::MariaDb => {
            "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(column_type AS CHAR), \
             CAST(is_nullable AS CHAR), CAST(column_default AS CHAR) FROM information_schema.columns \
             WHERE table_schema = DATABASE() \
             UNION ALL SELECT CAST(table_name AS CHAR), CAST(index_name AS CHAR), CAST(column_name AS CHAR), '', '' \
             FROM information_schema.statistics WHERE table_schema = DATABASE() ORDER BY 1, 2, 3"
        }
        Kind::Sqlite => {
            "SELECT m.name, p.name, p.type, CAST(p.\"notnull\" AS TEXT), p.dflt_value FROM sqlite_master m \
             JOIN pragma_table_xinfo(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' \
             UNION ALL SELECT tbl_name, name, '', '', '' FROM sqlite_master WHERE type = 'index' ORDER BY 1, 2"
        }
    };
    fixture.raw.rows(sql).await
}

/// The one thing that stays: a `node.status` that could not hold komainu's words.
fn widened(mut schema: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for row in &mut schema {
        if row[0] == "node" && row[1] == "status" && row[2].starts_with("enum") {
            "varchar(20)".clone_into(&mut row[2]);
        }
    }
    schema
}
