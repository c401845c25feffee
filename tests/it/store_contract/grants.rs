//! What each of komainu's users may do, and what the server refuses it.

use komainu::store::migrate::grants::{self, Accounts, Role};
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::{DatabaseUrl, Store};

use super::fixture::{Fixture, Kind};
use crate::support::kuma;
use crate::support::raw::Raw;

/// A stock Kuma's database with the three users, each with what the list gives it: migrated by its own.
struct Guarded {
    fixture: Fixture,
}

impl Guarded {
    async fn new() -> Self {
        let mut fixture = Fixture::empty(Kind::MariaDb).await;
        fixture.raw.execute(&format!("SET SESSION innodb_strict_mode = 0;\n{}", kuma::stock(false))).await;
        let guarded = Self { fixture };
        let root = Store::connect(&guarded.fixture.url).await.unwrap();
        let plan = migrate::plan(&root, MigrateOptions::default()).await.unwrap();
        let mut raw = Raw::connect(&guarded.fixture.text).await;
        for user in ["migrate", "watchdog", "node"] {
            raw.execute(&format!("CREATE USER {}@'%'", guarded.user(user))).await;
        }
        let url = guarded.url("migrate");
        let own = grants::statements(&url, &plan, &guarded.accounts());
        let own = own.iter().filter(|(role, _)| *role == Role::Migrate).flat_map(|(_, statements)| statements);
        for statement in own {
            raw.execute(statement).await;
        }
        let store = Store::connect(&url).await.unwrap();
        let plan = migrate::apply(&store, MigrateOptions::default()).await.unwrap();
        grants::give(&store, &plan, &guarded.accounts()).await.unwrap();
        guarded
    }

    /// One server serves all tests.
    fn user(&self, role: &str) -> String {
        format!("{role}_{}", self.fixture.url.database())
    }

    fn accounts(&self) -> Accounts {
        Accounts { watchdog: self.user("watchdog").parse().unwrap(), node: self.user("node").parse().unwrap() }
    }

    fn text(&self, role: &str) -> String {
        self.fixture.text.replacen("root@", &format!("{}@", self.user(role)), 1)
    }

    fn url(&self, role: &str) -> DatabaseUrl {
        DatabaseUrl::parse(&self.text(role)).unwrap()
    }

    async fn is_refused(&self, role: &str, statements: &[&str]) {
        let mut raw = Raw::connect(&self.text(role)).await;
        for sql in statements {
            let error = raw.try_execute(sql).await.expect_err(sql).to_string();
            assert!(error.contains("denied"), "{role}: {sql}: {error}");
        }
    }
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_native_node_makes_itself_no_key_wipes_out_no_trace_and_places_no_monitor() {
    let guarded = Guarded::new().await;
    let refused = [
        "INSERT INTO komainu_api_key (name, scope, hash, created_at) VALUES ('mine', 'admin', 'x', 1)",
        "SELECT hash FROM komainu_api_key",
        "DELETE FROM komainu_audit",
        "INSERT INTO komainu_audit (at, who, what, subject) VALUES (1, 'key/ops', 'node.add', 'x')",
        "UPDATE komainu_cluster SET frozen = 1",
        "UPDATE komainu_leader SET epoch = epoch + 1",
        "UPDATE komainu_schema SET version = 9",
        "UPDATE node SET status = 'online'",
        "UPDATE node SET overlay = 'none', weight = 900",
        "INSERT INTO node (node_id) VALUES ('another')",
        "DELETE FROM node",
        "UPDATE komainu_assignment SET assigned_node = 'mine'",
        "INSERT INTO komainu_assignment (monitor_id) VALUES (1)",
        "UPDATE monitor SET url = 'http://elsewhere/'",
        "DELETE FROM heartbeat",
        "UPDATE heartbeat SET status = 1",
        "SELECT nonce FROM komainu_heartbeat",
        "UPDATE komainu_incident SET resolved_at = 1",
        "UPDATE komainu_delivery SET state = 'sent'",
        "SELECT password FROM user",
        "SELECT password FROM proxy",
        "UPDATE setting SET value = 'mine'",
        "CREATE TABLE t (a INT)",
        "DROP TABLE komainu_audit",
    ];
    guarded.is_refused("node", &refused).await;
    let store = Store::connect(&guarded.url("node")).await.unwrap();
    store.try_as_node().await.unwrap();
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_watchdog_changes_no_table_and_nothing_that_was_done() {
    let guarded = Guarded::new().await;
    let refused = [
        "CREATE TABLE t (a INT)",
        "ALTER TABLE komainu_audit ADD COLUMN a INT",
        "DROP TABLE komainu_audit",
        "TRUNCATE TABLE komainu_audit",
        "CREATE INDEX i ON komainu_audit (who)",
        "CREATE TRIGGER t AFTER INSERT ON komainu_audit FOR EACH ROW SET @a = 1",
        "UPDATE komainu_audit SET who = 'somebody'",
        "UPDATE komainu_api_key SET scope = 'admin'",
        "UPDATE komainu_schema SET version = 9",
        "INSERT INTO komainu_leader (id) VALUES (2)",
        "INSERT INTO heartbeat (monitor_id, status, time) VALUES (1, 1, NOW())",
        "SELECT password FROM user",
        "UPDATE user SET password = 'mine'",
        "SELECT password FROM proxy",
        "SELECT * FROM notification",
        "UPDATE setting SET value = 'mine'",
    ];
    guarded.is_refused("watchdog", &refused).await;
    let database = guarded.fixture.url.database();
    let pass_on = format!("GRANT SELECT ON `{database}`.`komainu_audit` TO {}", guarded.accounts().node);
    guarded.is_refused("watchdog", &[&pass_on]).await;
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn migrate_reaches_nothing_beyond_its_database_and_takes_all_of_it_out_again() {
    let guarded = Guarded::new().await;
    let refused = [
        "SELECT * FROM mysql.user",
        "CREATE DATABASE another",
        "CREATE USER another",
        "SET GLOBAL read_only = 1",
        "GRANT SELECT ON *.* TO CURRENT_USER",
    ];
    guarded.is_refused("migrate", &refused).await;
    let store = Store::connect(&guarded.url("migrate")).await.unwrap();
    migrate::remove(&store).await.unwrap();
    let mut raw = Raw::connect(&guarded.fixture.text).await;
    let left =
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE 'komainu%'";
    assert_eq!(raw.count(left).await, 0);
}
