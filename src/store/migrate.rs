//! Making, checking and taking away the tables of komainu.
//!
//! Owns when which file of `migrations/` runs and what is remembered for `--remove`. Only the command line calls it:
//! watchdogs and nodes [`check`] and stop.

mod found;
pub mod grants;
mod widening;

use super::catalog::Catalog;
use super::dialect::Dialect;
use super::error::StoreError;
use super::pool::Store;
use super::session::{Purpose, Session};
use found::{Found, NodeOrigin};
use komainu_watchdogs::ids::Nonce;
use std::time::Duration;

/// The schema that this komainu makes. It works with the next one too, so that databases are migrated first and
/// programs are replaced one by one.
pub const SCHEMA: u32 = 4;

/// A large table may take its time to be altered.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

/// One database's migration files.
struct Files {
    schema: &'static str,
    komainu: &'static str,
    node: &'static str,
    node_columns: &'static str,
    kuma: &'static str,
    alerts: &'static str,
    operations: &'static str,
    more_node_columns: &'static str,
    more_kuma: &'static str,
    /// The fourth schema, a file for each thing it is about.
    fourth: [&'static str; 9],
}

const MARIADB: Files = Files {
    schema: include_str!("../../migrations/mariadb/0001_schema.sql"),
    komainu: include_str!("../../migrations/mariadb/0001_komainu.sql"),
    node: include_str!("../../migrations/mariadb/0001_node.sql"),
    node_columns: include_str!("../../migrations/mariadb/0001_node_columns.sql"),
    kuma: include_str!("../../migrations/mariadb/0001_kuma.sql"),
    alerts: include_str!("../../migrations/mariadb/0002_alerts.sql"),
    operations: include_str!("../../migrations/mariadb/0003_operations.sql"),
    more_node_columns: include_str!("../../migrations/mariadb/0003_node_columns.sql"),
    more_kuma: include_str!("../../migrations/mariadb/0003_kuma.sql"),
    fourth: [
        include_str!("../../migrations/mariadb/0004_watching.sql"),
        include_str!("../../migrations/mariadb/0004_monitors.sql"),
        include_str!("../../migrations/mariadb/0004_heartbeats.sql"),
        include_str!("../../migrations/mariadb/0004_telling.sql"),
        include_str!("../../migrations/mariadb/0004_silences.sql"),
        include_str!("../../migrations/mariadb/0004_dependencies.sql"),
        include_str!("../../migrations/mariadb/0004_checks.sql"),
        include_str!("../../migrations/mariadb/0004_pages.sql"),
        include_str!("../../migrations/mariadb/0004_subscribers.sql"),
    ],
};

const SQLITE: Files = Files {
    schema: include_str!("../../migrations/sqlite/0001_schema.sql"),
    komainu: include_str!("../../migrations/sqlite/0001_komainu.sql"),
    node: include_str!("../../migrations/sqlite/0001_node.sql"),
    node_columns: include_str!("../../migrations/sqlite/0001_node_columns.sql"),
    kuma: include_str!("../../migrations/sqlite/0001_kuma.sql"),
    alerts: include_str!("../../migrations/sqlite/0002_alerts.sql"),
    operations: include_str!("../../migrations/sqlite/0003_operations.sql"),
    more_node_columns: include_str!("../../migrations/sqlite/0003_node_columns.sql"),
    more_kuma: include_str!("../../migrations/sqlite/0003_kuma.sql"),
    fourth: [
        include_str!("../../migrations/sqlite/0004_watching.sql"),
        include_str!("../../migrations/sqlite/0004_monitors.sql"),
        include_str!("../../migrations/sqlite/0004_heartbeats.sql"),
        include_str!("../../migrations/sqlite/0004_telling.sql"),
        include_str!("../../migrations/sqlite/0004_silences.sql"),
        include_str!("../../migrations/sqlite/0004_dependencies.sql"),
        include_str!("../../migrations/sqlite/0004_checks.sql"),
        include_str!("../../migrations/sqlite/0004_pages.sql"),
        include_str!("../../migrations/sqlite/0004_subscribers.sql"),
    ],
};

/// Tables that `--without-kuma` makes where they are missing.
const KUMA_TABLES: [&str; 8] =
    ["monitor", "heartbeat", "tag", "monitor_tag", "stat_minutely", "stat_hourly", "stat_daily", "monitor_tls_info"];

/// Ours, in the order in which they go; `komainu_schema` last, so that an interrupted removal can be repeated.
const TABLES: [&str; 40] = [
    "komainu_dependency",
    "komainu_silence",
    "komainu_page_news",
    "komainu_page_subscriber",
    "komainu_page_update",
    "komainu_page_notice",
    "komainu_page_revision",
    "komainu_page",
    "komainu_lost_tail",
    "komainu_check_counted",
    "komainu_check_stat",
    "komainu_check_series",
    "komainu_check_report",
    "komainu_check_transition",
    "komainu_check_state",
    "komainu_check_revision",
    "komainu_check",
    "komainu_opinion",
    "komainu_relay",
    "komainu_told",
    "komainu_only_kuma",
    "komainu_down",
    "komainu_deletion",
    "komainu_channel",
    "komainu_delivery",
    "komainu_event",
    "komainu_outage",
    "komainu_intake",
    "komainu_push",
    "komainu_heartbeat",
    "komainu_audit",
    "komainu_monitor",
    "komainu_api_key",
    "komainu_incident",
    "komainu_observation",
    "komainu_watchdog",
    "komainu_assignment",
    "komainu_generation",
    "komainu_leader",
    "komainu_cluster",
];

/// How to migrate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MigrateOptions {
    /// Make the part of Kuma's tables that native nodes need: no Kuma will ever start on this database.
    pub without_kuma: bool,
}

/// What a migration would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MigrationPlan {
    /// The schema as it is; 0: none.
    pub from: u32,
    /// The schema afterwards.
    pub to: u32,
    /// SQL, in order; empty: nothing to do.
    pub statements: Vec<String>,
    /// Tables on which watchdogs and native nodes get [`grants`], once it is carried out.
    pub tables: Vec<&'static str>,
    /// For people: what is peculiar to this database.
    pub notes: Vec<String>,
}

/// Reads what is there and says what [`apply`] would do.
pub async fn plan(store: &Store, options: MigrateOptions) -> Result<MigrationPlan, StoreError> {
    let mut lease = store.lease("read the schema").await?;
    plan_on(&mut lease, options).await
}

/// Brings the schema up to date; does nothing when it is.
pub async fn apply(store: &Store, options: MigrateOptions) -> Result<MigrationPlan, StoreError> {
    let mut session = connect(store).await?;
    widening::widen_large(&mut session).await?;
    session.begin("migrate", Purpose::Write).await?;
    let planned = plan_on(&mut session, options).await;
    let outcome = carry_out(&mut session, planned).await;
    let done = session.end("migrate", outcome).await;
    session.close().await;
    store.forget_catalog();
    done
}

/// Whether an Uptime Kuma has made all its tables here, however slow it is. It makes `setting` after `monitor`, and enters the
/// secret of its sessions once its own migrations are done; one of a later version holds a lock while it migrates anew.
/// Tables that `--without-kuma` made hold no settings, and have ours beside them.
pub async fn has_kuma(store: &Store) -> Result<bool, StoreError> {
    let act = "look for Kuma's tables";
    let mut lease = store.lease(act).await?;
    let catalog = Catalog::read(&mut lease).await?;
    if !catalog.has_table("monitor") || !catalog.has_table("setting") {
        return Ok(catalog.has_table("monitor") && catalog.has_table("komainu_schema"));
    }
    let sql = "SELECT 1 AS one FROM setting WHERE `key` = 'jwtSecret'";
    if lease.row(act, sql, vec![]).await?.is_none() {
        return Ok(false);
    }
    if !catalog.has_table("knex_migrations_lock") {
        return Ok(true);
    }
    let sql = "SELECT 1 AS one FROM knex_migrations_lock WHERE is_locked = 1";
    Ok(lease.row(act, sql, vec![]).await?.is_none())
}

/// What [`remove`] would do.
pub async fn plan_removal(store: &Store) -> Result<MigrationPlan, StoreError> {
    let mut lease = store.lease("read the schema").await?;
    plan_removal_on(&mut lease).await
}

/// Takes everything of komainu out again. What was there before stays: Kuma's tables, and a `node` table of the fork
/// with its own columns. A `node.status` that was widened from an ENUM stays widened.
pub async fn remove(store: &Store) -> Result<MigrationPlan, StoreError> {
    let mut session = connect(store).await?;
    session.begin("remove komainu", Purpose::Write).await?;
    let planned = plan_removal_on(&mut session).await;
    let outcome = carry_out(&mut session, planned).await;
    let done = session.end("remove komainu", outcome).await;
    session.close().await;
    store.forget_catalog();
    done
}

/// Refuses a schema that is too old or too new for this program.
pub(crate) async fn check(session: &mut Session) -> Result<(), StoreError> {
    let row = session.row("check the schema", "SELECT version FROM komainu_schema WHERE id = 1", vec![]).await?;
    let found = row.map_or(Ok(0), |row| row.small("version"))?;
    refuse_newer(found)?;
    match found {
        0 => Err(StoreError::SchemaMissing),
        older if older < SCHEMA => Err(StoreError::SchemaTooOld { found: older, needed: SCHEMA }),
        _ => Ok(()),
    }
}

fn refuse_newer(found: u32) -> Result<(), StoreError> {
    if found > SCHEMA + 1 { Err(StoreError::SchemaTooNew { found, known: SCHEMA + 1 }) } else { Ok(()) }
}

/// A connection that waits long, and keeps a second `komainu migrate` out until it closes.
async fn connect(store: &Store) -> Result<Session, StoreError> {
    let mut session = Session::connect(store.url()).await?;
    session.limit_statements_to(MIGRATION_TIMEOUT).await?;
    if session.dialect() == Dialect::MariaDb {
        // An ALTER that waits for a table lets nobody else at it: rather give up.
        session.batch("set up the session", "SET SESSION lock_wait_timeout = 10").await?;
        let lock = "SELECT GET_LOCK(CONCAT('komainu-migrate:', MD5(DATABASE())), 60) AS locked";
        let row = session.row("wait for another migration", lock, vec![]).await?;
        if row.map_or(Ok(0), |row| row.small("locked"))? != 1 {
            return Err(StoreError::Invalid("another `komainu migrate` is at work on this database".to_owned()));
        }
    }
    Ok(session)
}

async fn carry_out(
    session: &mut Session,
    planned: Result<MigrationPlan, StoreError>,
) -> Result<MigrationPlan, StoreError> {
    let plan = planned?;
    for statement in &plan.statements {
        session.batch("migrate", statement).await?;
    }
    Ok(plan)
}

async fn plan_on(session: &mut Session, options: MigrateOptions) -> Result<MigrationPlan, StoreError> {
    let found = Found::read(session).await?;
    refuse_newer(found.version)?;
    let makes_kuma = options.without_kuma || !found.kuma_tables.is_empty();
    let mut plan = MigrationPlan {
        from: found.version,
        to: SCHEMA.max(found.version),
        statements: vec![],
        tables: grants::tables(|table| found.catalog.has_table(table), makes_kuma && found.version < SCHEMA),
        notes: found.notes(),
    };
    if found.version >= SCHEMA {
        return Ok(plan);
    }
    if !found.catalog.has_table("monitor") && !makes_kuma {
        return Err(StoreError::NoKuma);
    }
    plan.notes.extend(widening::notes(&found));
    let dialect = session.dialect();
    if found.version == 0 {
        plan.statements = first_migration(dialect, &found, makes_kuma);
    }
    if found.version < 2 {
        plan.statements.extend(split(files(dialect).alerts));
    }
    if found.version < 3 {
        plan.statements.extend(third_migration(dialect, &found, makes_kuma));
    }
    plan.statements.extend(fourth_migration(dialect, &found));
    plan.statements.extend(widening::of_small(dialect, &found, makes_kuma));
    plan.statements
        .push(format!("UPDATE komainu_schema SET version = {SCHEMA}, migrated_at = {} WHERE id = 1", dialect.now_ms()));
    Ok(plan)
}

fn files(dialect: Dialect) -> &'static Files {
    match dialect {
        Dialect::MariaDb => &MARIADB,
        Dialect::Sqlite => &SQLITE,
    }
}

fn first_migration(dialect: Dialect, found: &Found, makes_kuma: bool) -> Vec<String> {
    let files = files(dialect);
    let mut statements = split(files.schema);
    statements.push(found.record(dialect, makes_kuma));
    if makes_kuma {
        statements.extend(split(files.kuma));
    }
    statements.extend(split(files.komainu));
    statements.extend(split(files.node));
    let node_columns = split(files.node_columns);
    statements.extend(node_columns.into_iter().filter(|statement| !found.node_has(added_column(statement))));
    statements.extend(found.widen_status());
    statements.extend(first_rows(dialect, found));
    statements
}

fn third_migration(dialect: Dialect, found: &Found, makes_kuma: bool) -> Vec<String> {
    let files = files(dialect);
    let mut statements = vec![];
    // A first migration wrote down all that it makes.
    let makes_kuma = if found.version == 0 { makes_kuma } else { !found.kuma_tables.is_empty() };
    if found.version > 0 {
        statements.push(found.record_more(makes_kuma));
    }
    if makes_kuma {
        statements.extend(split(files.more_kuma));
    }
    statements.extend(split(files.operations));
    let node_columns = split(files.more_node_columns);
    statements.extend(node_columns.into_iter().filter(|statement| !found.node_has(added_column(statement))));
    statements
}

fn fourth_migration(dialect: Dialect, found: &Found) -> Vec<String> {
    // Earlier migrations wrote down what this one adds, where they ran together.
    let record = (found.version == 3).then(|| found.record_more(false));
    let is_missing = |statement: &String| !adds_to_node(statement) || !found.node_has(added_column(statement));
    let statements = files(dialect).fourth.iter().flat_map(|file| split(file)).filter(is_missing);
    record.into_iter().chain(statements).collect()
}

/// One row each for the cluster, the leader and the first generation; a repeated migration leaves them alone.
fn first_rows(dialect: Dialect, found: &Found) -> [String; 3] {
    let mode = if found.has_monitors { "observe" } else { "active" };
    let nonce = Nonce(rand::random());
    let now = dialect.now_ms();
    let alone = |table: &str| format!("WHERE NOT EXISTS (SELECT 1 FROM {table})");
    [
        format!(
            "INSERT INTO komainu_cluster (id, mode, frozen, generation, nonce, changed_at) \
             SELECT 1, '{mode}', 0, 0, '{nonce}', {now} FROM (SELECT 1) one {}",
            alone("komainu_cluster")
        ),
        format!(
            "INSERT INTO komainu_generation (generation, nonce, epoch, changed_at, reason, monitors) \
             SELECT generation, nonce, 0, changed_at, 'first', 0 FROM komainu_cluster {}",
            alone("komainu_generation")
        ),
        format!("INSERT INTO komainu_leader (id) SELECT 1 FROM (SELECT 1) one {}", alone("komainu_leader")),
    ]
}

async fn plan_removal_on(session: &mut Session) -> Result<MigrationPlan, StoreError> {
    let found = Found::read(session).await?;
    refuse_newer(found.version)?;
    let mut statements = vec![];
    if let Some(origin) = &found.recorded {
        statements.extend(TABLES.iter().map(|table| format!("DROP TABLE IF EXISTS {table}")));
        match origin {
            NodeOrigin::Ours => statements.push("DROP TABLE IF EXISTS node".to_owned()),
            NodeOrigin::Extended { added } => {
                let still = added.iter().filter(|column| found.catalog.has_column("node", column));
                statements.extend(still.map(|column| format!("ALTER TABLE node DROP COLUMN {column}")));
            }
        }
        let made = found.kuma_tables.iter().rev();
        statements.extend(made.map(|table| format!("DROP TABLE IF EXISTS {table}")));
        statements.push("DROP TABLE IF EXISTS komainu_schema".to_owned());
    }
    // Without a record nothing was migrated, and what a migration would say is of no interest.
    let notes = if found.recorded.is_some() { found.notes() } else { vec![] };
    Ok(MigrationPlan { from: found.version, to: 0, statements, tables: vec![], notes })
}

/// The statements of a file, without its comments.
fn split(file: &str) -> Vec<String> {
    let code: Vec<&str> = file.lines().filter(|line| !line.starts_with("--")).collect();
    code.join("\n").split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn adds_to_node(statement: &str) -> bool {
    statement.starts_with("ALTER TABLE node ADD COLUMN ")
}

/// `c` of `ALTER TABLE node ADD COLUMN c …`.
fn added_column(statement: &str) -> &str {
    statement.split_whitespace().nth(5).unwrap_or_default()
}

/// Table and column of each stored time of ours, by type and name.
#[cfg(test)]
pub(crate) fn time_columns() -> Vec<(String, String)> {
    let files = [
        MARIADB.schema,
        MARIADB.komainu,
        MARIADB.node_columns,
        MARIADB.alerts,
        MARIADB.operations,
        MARIADB.more_node_columns,
    ];
    let is_time = |name: &str| {
        let ends = ["_at", "_until", "_at_ms", "time_us", "_due", "deadline", "last_seen", "last_seen_ms", "clock_ms"];
        name == "at" || ends.iter().any(|end| name.ends_with(end))
    };
    let mut found = vec![];
    for statement in files.iter().chain(&MARIADB.fourth).flat_map(|file| split(file)) {
        let statement = statement.replace("IF NOT EXISTS ", "").replace("ADD COLUMN ", "\n");
        let table = statement.split_whitespace().nth(2).unwrap_or_default().to_owned();
        for line in statement.lines().skip(1) {
            let mut words = line.split_whitespace();
            let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if is_time(name) && kind.starts_with("BIGINT") {
                found.push((table.clone(), name.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_get_the_same_tables_and_columns() {
        for (one, other) in [
            (MARIADB.schema, SQLITE.schema),
            (MARIADB.komainu, SQLITE.komainu),
            (MARIADB.node, SQLITE.node),
            (MARIADB.kuma, SQLITE.kuma),
            (MARIADB.alerts, SQLITE.alerts),
            (MARIADB.more_kuma, SQLITE.more_kuma),
        ] {
            assert_eq!(names(one), names(other));
        }
        let columns = |file| split(file).iter().map(|sql| added_column(sql).to_owned()).collect::<Vec<_>>();
        assert_eq!(columns(MARIADB.node_columns), columns(SQLITE.node_columns));
        assert_eq!(columns(MARIADB.more_node_columns), columns(SQLITE.more_node_columns));
        let (one, other) = (MARIADB.operations.replace("IF NOT EXISTS ", ""), SQLITE.operations);
        assert_eq!(altered(&one), altered(&other.replace("IF NOT EXISTS ", "")));
        for (one, other) in MARIADB.fourth.iter().zip(SQLITE.fourth) {
            let bare = |file: &str| altered(&file.replace("IF NOT EXISTS ", ""));
            assert_eq!(bare(one), bare(other));
        }
    }

    /// `ALTER TABLE t ADD COLUMN c` and `CREATE TABLE t (c`, of each statement.
    fn altered(file: &str) -> Vec<String> {
        let words = |sql: &String| {
            let most = if sql.starts_with("ALTER") { 6 } else { 5 };
            sql.split_whitespace().take(most).collect::<Vec<_>>().join(" ")
        };
        split(file).iter().map(words).collect()
    }

    fn names(file: &str) -> Vec<String> {
        let lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--"));
        let firsts = lines.map(|line| line.split_whitespace().take(6).collect::<Vec<_>>());
        let is_index = |words: &[&str]| words.iter().take(2).any(|word| ["KEY", "INDEX", "PRIMARY"].contains(word));
        let kept = firsts.filter(|words| !is_index(words) && words.get(1) != Some(&"UNIQUE"));
        kept.filter(|words| !words.first().is_some_and(|word| word.starts_with(')')))
            .map(|words| {
                if words.first() == Some(&"CREATE") {
                    words.join(" ")
                } else {
                    words.first().map_or_else(String::new, |w| (*w).to_owned())
                }
            })
            .collect()
    }
}
