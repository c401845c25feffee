//! What each of komainu's users may do in a MariaDB, table by table.
//!
//! Owns the one list of it: `komainu migrate --dry-run` prints it, `komainu migrate --grant` carries it out, and the tests'
//! clusters run with it. Three users, because three things may be taken over: a native node stands where its targets are
//! and must not be able to make itself an API key or to wipe out its traces; a watchdog changes rows and no table; only
//! `komainu migrate`, which runs seldom and by hand, changes tables. It does not own Kuma's own user, which Kuma's
//! migrations need with everything.

use std::fmt;
use std::str::FromStr;

use super::{KUMA_TABLES, MigrationPlan, connect};
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Session;
use crate::store::url::{DatabasePlace, DatabaseUrl};

/// Who works on the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// `komainu migrate`, and the few commands that work on the database itself.
    Migrate,
    /// `komainu watchdog`, with its API.
    Watchdog,
    /// `komainu node`.
    Node,
}

impl Role {
    /// All of them, in the order in which they are needed.
    pub const ALL: [Self; 3] = [Self::Migrate, Self::Watchdog, Self::Node];
}

/// An account of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    user: String,
    host: String,
}

impl FromStr for Account {
    type Err = String;

    /// `user`, from wherever it comes, or `user@host`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, host) = text.split_once('@').unwrap_or((text, "%"));
        let is_plain = |part: &str| !part.is_empty() && !part.contains(['\'', '\\', '`', '"']) && part.is_ascii();
        if !is_plain(user) || !is_plain(host) {
            return Err(format!("\"{text}\" is no user: write komainu_node or komainu_node@10.0.0.5, without quotes"));
        }
        Ok(Self { user: user.to_owned(), host: host.to_owned() })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'@'{}'", self.user, self.host)
    }
}

/// The users of watchdogs and native nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accounts {
    /// Of all watchdogs.
    pub watchdog: Account,
    /// Of all native nodes.
    pub node: Account,
}

const READ: &str = "SELECT";
/// Rows come and go, and nothing of them changes.
const LOG: &str = "SELECT, INSERT, DELETE";
const ROWS: &str = "SELECT, INSERT, UPDATE, DELETE";
const NOTHING: &str = "";

/// In the whole database: it makes and alters tables that are not there yet, takes all out again, and passes on what
/// follows. `TRIGGER` is for widening ids beside the work on a large table.
const MIGRATE: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, TRIGGER";

/// A native node's own lease and what it says of itself; what it is told to do stands in the other columns.
const OWN_LEASE: &str = "SELECT, UPDATE (incarnation, is_released, lease_seq, applied_generation, applied_nonce, \
     foreign_beats, host, hostname, address, kinds, runner, noting_incarnation, clock_ms, clock_off_ms, clock_stepped_ms, had_lock, \
     last_seen_ms, last_seen, fence, server)";

struct Rights {
    table: &'static str,
    watchdog: &'static str,
    node: &'static str,
}

const fn of(table: &'static str, watchdog: &'static str, node: &'static str) -> Rights {
    Rights { table, watchdog, node }
}

const RIGHTS: [Rights; 60] = [
    // Ours.
    of("komainu_schema", READ, READ),
    of("komainu_cluster", "SELECT, UPDATE", READ),
    // Nodes go to the server that the leader uses.
    of("komainu_leader", "SELECT, UPDATE", "SELECT (id, epoch, renewals, server)"),
    of("komainu_generation", LOG, READ),
    // A node says how it began a monitor; where a monitor runs it does not say.
    of("komainu_assignment", ROWS, "SELECT, UPDATE (started_at_ms, started_after, begun_by, begun_with, put_aside)"),
    of("komainu_watchdog", ROWS, NOTHING),
    of("komainu_observation", ROWS, NOTHING),
    of("komainu_lost_tail", LOG, NOTHING),
    of("komainu_incident", ROWS, NOTHING),
    of("komainu_api_key", LOG, NOTHING),
    of("komainu_monitor", ROWS, NOTHING),
    // Nobody changes what was done; watchdogs take away what is older than 400 days.
    of("komainu_audit", LOG, NOTHING),
    of("komainu_heartbeat", ROWS, NOTHING),
    of("komainu_push", ROWS, NOTHING),
    of("komainu_intake", ROWS, NOTHING),
    of("komainu_outage", ROWS, NOTHING),
    of("komainu_event", ROWS, NOTHING),
    of("komainu_delivery", ROWS, NOTHING),
    of("komainu_channel", ROWS, NOTHING),
    of("komainu_silence", ROWS, NOTHING),
    of("komainu_dependency", LOG, NOTHING),
    of("komainu_deletion", LOG, NOTHING),
    // With each beat that says so, a node notes whom it found down or up again.
    of("komainu_down", "SELECT, DELETE", ROWS),
    // And at whose target it cannot look.
    of("komainu_only_kuma", "SELECT, DELETE", "SELECT, INSERT, DELETE"),
    // What stock nodes handed over, by Kuma's own user.
    of("komainu_told", "SELECT, DELETE", NOTHING),
    // And what they are to tell for native nodes, until a watchdog takes that over.
    of("komainu_relay", ROWS, NOTHING),
    // What watchdogs see of monitors is none of a node's business.
    of("komainu_opinion", ROWS, NOTHING),
    // What watchdogs look at themselves is none of a node's business.
    of("komainu_check", ROWS, NOTHING),
    of("komainu_check_state", ROWS, NOTHING),
    of("komainu_check_revision", "SELECT, UPDATE", NOTHING),
    of("komainu_check_transition", ROWS, NOTHING),
    of("komainu_check_report", ROWS, NOTHING),
    of("komainu_check_series", ROWS, NOTHING),
    of("komainu_check_stat", ROWS, NOTHING),
    of("komainu_check_counted", ROWS, NOTHING),
    // What the public is shown.
    of("komainu_page", ROWS, NOTHING),
    of("komainu_page_revision", "SELECT, UPDATE", NOTHING),
    of("komainu_page_notice", ROWS, NOTHING),
    of("komainu_page_update", LOG, NOTHING),
    of("komainu_page_subscriber", ROWS, NOTHING),
    of("komainu_page_news", LOG, NOTHING),
    of("node", ROWS, OWN_LEASE),
    // Kuma's. Native nodes store beats, statistics and certificates as Kuma does.
    of("monitor", ROWS, READ),
    of("heartbeat", "SELECT, DELETE", "SELECT, INSERT"),
    of("stat_minutely", "SELECT, DELETE", "SELECT, INSERT, UPDATE"),
    of("stat_hourly", "SELECT, DELETE", "SELECT, INSERT, UPDATE"),
    of("stat_daily", "SELECT, DELETE", "SELECT, INSERT, UPDATE"),
    of("monitor_tls_info", "SELECT, DELETE", "SELECT, INSERT, UPDATE"),
    of("tag", "SELECT, INSERT", NOTHING),
    of("monitor_tag", LOG, NOTHING),
    // What hangs on a monitor that is deleted; a certificate that is renewed ends what Kuma told of the one before.
    of("monitor_notification", "SELECT, DELETE", NOTHING),
    of("monitor_group", "SELECT, DELETE", NOTHING),
    of("monitor_maintenance", "SELECT, DELETE", READ),
    of("notification_sent_history", "SELECT, DELETE", "SELECT, DELETE"),
    of("maintenance", NOTHING, READ),
    // Kuma's time zone, and how long before its end a certificate is told of.
    of("setting", "SELECT (`key`, value)", "SELECT (`key`, value)"),
    // Of these, which rows there are: some hold passwords.
    of("user", "SELECT (id)", NOTHING),
    of("proxy", "SELECT (id, active)", "SELECT (id, active)"),
    of("docker_host", "SELECT (id)", NOTHING),
    of("remote_browser", "SELECT (id)", NOTHING),
];

/// Those of our list that are there once this is carried out: ours all, Kuma's where a Kuma has them, or where they are made.
pub(super) fn tables(has_table: impl Fn(&str) -> bool, makes_kuma: bool) -> Vec<&'static str> {
    let is_there = |table: &str| {
        let is_made = makes_kuma && KUMA_TABLES.contains(&table);
        table.starts_with("komainu_") || table == "node" || is_made || has_table(table)
    };
    RIGHTS.iter().map(|rights| rights.table).filter(|table| is_there(table)).collect()
}

/// The GRANT statements of each role, in the order in which they are needed; none for SQLite, where files have owners.
pub fn statements(url: &DatabaseUrl, plan: &MigrationPlan, accounts: &Accounts) -> Vec<(Role, Vec<String>)> {
    let DatabasePlace::MariaDb(addresses) = url.place() else { return vec![] };
    let database = url.database();
    let migrate = Account { user: addresses.first().username().to_owned(), host: "%".to_owned() };
    let all = Role::ALL.map(|role| {
        let statements = match role {
            Role::Migrate => vec![of_migrate(&database, &migrate)],
            Role::Watchdog => of_tables(&database, &plan.tables, &accounts.watchdog, |rights| rights.watchdog),
            Role::Node => of_tables(&database, &plan.tables, &accounts.node, |rights| rights.node),
        };
        (role, statements)
    });
    all.into()
}

fn of_migrate(database: &str, account: &Account) -> String {
    format!("GRANT {MIGRATE} ON `{database}`.* TO {account} WITH GRANT OPTION")
}

fn of_tables(
    database: &str,
    tables: &[&'static str],
    account: &Account,
    may: impl Fn(&Rights) -> &'static str,
) -> Vec<String> {
    let there = RIGHTS.iter().filter(|rights| tables.contains(&rights.table) && may(rights) != NOTHING);
    there.map(|rights| format!("GRANT {} ON `{database}`.`{}` TO {account}", may(rights), rights.table)).collect()
}

/// Gives watchdogs and native nodes what they need. The tables must be there, and the users; whoever does it needs what
/// [`Role::Migrate`] has. Giving twice is giving once.
pub async fn give(store: &Store, plan: &MigrationPlan, accounts: &Accounts) -> Result<(), StoreError> {
    let mut session = connect(store).await?;
    let given = give_on(&mut session, store.url(), plan, accounts).await;
    session.close().await;
    given
}

async fn give_on(
    session: &mut Session,
    url: &DatabaseUrl,
    plan: &MigrationPlan,
    accounts: &Accounts,
) -> Result<(), StoreError> {
    let given = statements(url, plan, accounts).into_iter().filter(|(role, _)| *role != Role::Migrate);
    for statement in given.flat_map(|(_, statements)| statements) {
        session.batch("give the grants", &statement).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{MARIADB, TABLES, split};
    use super::*;

    #[test]
    fn every_table_of_komainu_is_in_the_list_and_no_other_of_that_name() {
        let listed = |table: &str| RIGHTS.iter().any(|rights| rights.table == table);
        for table in TABLES.iter().chain(&KUMA_TABLES).chain(&["komainu_schema", "node"]) {
            assert!(listed(table), "{table}: say in RIGHTS what watchdogs and nodes do with it");
        }
        let ours = RIGHTS.iter().filter(|rights| rights.table.starts_with("komainu_"));
        assert_eq!(ours.count(), TABLES.len() + 1);
    }

    #[test]
    fn a_node_writes_its_own_lease_and_nothing_that_others_say_of_it() {
        let made = [split(MARIADB.node_columns), split(MARIADB.more_node_columns)].concat().join(";");
        for column in ["status", "komainu_status", "overlay", "weight", "labels", "emptied", "recover_asked"] {
            assert!(made.contains(&format!("ADD COLUMN {column} ")), "{column} is a column of node");
            assert!(!OWN_LEASE.contains(&format!(" {column},")), "{column}");
        }
    }

    #[test]
    fn an_account_is_quoted_and_one_that_cannot_be_is_refused() {
        assert_eq!("komainu_node".parse::<Account>().unwrap().to_string(), "'komainu_node'@'%'");
        assert_eq!("k@10.0.0.5".parse::<Account>().unwrap().to_string(), "'k'@'10.0.0.5'");
        for bad in ["", "@", "k@", "k'", "k`", "k\\", "k@%' WITH GRANT OPTION; --"] {
            assert!(bad.parse::<Account>().is_err(), "{bad}");
        }
    }
}
