//! `komainu migrate`: the only command that changes the schema (besides `up`, in its own folder).

use std::time::Duration;

use anyhow::{Context as _, ensure};
use komainu_watchdogs::ids::NodeId;

use super::adopt::who;
use super::database::DatabaseArgs;
use super::{duration, print};
use crate::clock;
use crate::config;
use crate::store::migrate::grants::{self, Account, Accounts, Role};
use crate::store::migrate::{self, MigrateOptions, MigrationPlan};
use crate::store::nodes::{self, NewNode};
use crate::store::{Store, StoreError};

/// Between two looks for Kuma's tables.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print the SQL and the grants, change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Take everything of komainu out again; Kuma's tables stay.
    #[arg(long, conflicts_with = "without_kuma")]
    remove: bool,
    /// Make the tables of Kuma that native nodes need. No Kuma can be started on such a database later.
    #[arg(long)]
    without_kuma: bool,
    /// Wait so long until the database can be reached and an Uptime Kuma that is starting has made its tables.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with_all = ["without_kuma", "remove"])]
    wait_for_kuma: Option<Duration>,
    #[command(flatten)]
    grants: GrantArgs,
    /// Enter this node afterwards, unless it is entered already; may be repeated. `komainu nodes` needs a watchdog.
    #[arg(long = "node", value_name = "ID=ADDRESS", value_parser = node, conflicts_with_all = ["dry_run", "remove"])]
    nodes: Vec<NewNode>,
}

#[derive(Debug, clap::Args)]
struct GrantArgs {
    /// Afterwards give the users of watchdogs and native nodes what they need, and no more (MariaDB). They must be there,
    /// and the user of this command needs what --dry-run says.
    #[arg(long, conflicts_with_all = ["dry_run", "remove"])]
    grant: bool,
    /// The database user of watchdogs: NAME or NAME@HOST.
    #[arg(long, value_name = "USER", default_value = "komainu_watchdog")]
    watchdog_user: Account,
    /// The database user of native nodes: NAME or NAME@HOST.
    #[arg(long, value_name = "USER", default_value = "komainu_node")]
    node_user: Account,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let store = match args.wait_for_kuma {
        Some(limit) => wait_for_kuma(&args.database, limit).await?,
        None => args.database.connect().await?,
    };
    ensure!(
        !args.grants.grant || store.url().is_server(),
        "--grant is for MariaDB: a SQLite file belongs to its owner"
    );
    let options = MigrateOptions { without_kuma: args.without_kuma };
    let plan = match (args.remove, args.dry_run) {
        (false, true) => migrate::plan(&store, options).await?,
        (false, false) => migrate::apply(&store, options).await?,
        (true, true) => migrate::plan_removal(&store).await?,
        (true, false) => migrate::remove(&store).await?,
    };
    let accounts = Accounts { watchdog: args.grants.watchdog_user, node: args.grants.node_user };
    if args.dry_run {
        show(&plan);
        show_grants(&store, &plan, &accounts);
    } else {
        report(&plan, &store.url().to_string());
    }
    ensure!(plan.from <= plan.to || args.remove, "the database has schema {}, newer than {}", plan.from, plan.to);
    if args.grants.grant {
        give(&store, &plan, &accounts).await?;
    }
    enter(&store, &args.nodes).await
}

async fn give(store: &Store, plan: &MigrationPlan, accounts: &Accounts) -> anyhow::Result<()> {
    let Accounts { watchdog, node } = accounts;
    grants::give(store, plan, accounts).await.with_context(|| {
        format!(
            "the tables are there, but {watchdog} and {node} could not be given their grants: make both users (CREATE USER), \
             and give this one what `komainu migrate --dry-run` prints for it"
        )
    })?;
    print::line(format!("{watchdog} may do what watchdogs do, and {node} what native nodes do"));
    Ok(())
}

/// `node1=http://10.0.0.5:3001`
fn node(text: &str) -> Result<NewNode, String> {
    let (id, address) = text.split_once('=').ok_or("write ID=ADDRESS: node1=http://10.0.0.5:3001")?;
    config::ensure_id(id)?;
    let address = config::without_slash(&config::parse_address(address)?);
    Ok(NewNode { node_id: NodeId::from(id), name: id.to_owned(), address, ..NewNode::default() })
}

/// Once Kuma's tables are there. In containers this starts together with the database.
async fn wait_for_kuma(database: &DatabaseArgs, limit: Duration) -> anyhow::Result<Store> {
    let begin = clock::now();
    let is_over = || clock::now().since(begin) >= limit;
    let url = database.url()?;
    let store = loop {
        match Store::connect(&url).await {
            Err(StoreError::Unreachable { .. }) if !is_over() => tokio::time::sleep(LOOK).await,
            reached => break reached?,
        }
    };
    while !migrate::has_kuma(&store).await? {
        ensure!(
            !is_over(),
            "no Uptime Kuma has made its tables on {url} within {} s; look at its log",
            limit.as_secs()
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(store)
}

async fn enter(store: &Store, all: &[NewNode]) -> anyhow::Result<()> {
    for new in all {
        let is_new = nodes::add(store, new, &who()).await?;
        let what = if is_new { "is entered" } else { "was entered before" };
        print::line(format!("node {} {what}", new.node_id));
    }
    Ok(())
}

fn show(plan: &MigrationPlan) {
    print::line(format!("-- schema {} to {}: {} statements", plan.from, plan.to, plan.statements.len()));
    for statement in &plan.statements {
        print::line(format!("{};", statement.trim_end_matches(';')));
    }
    for note in &plan.notes {
        print::line(format!("-- note: {note}"));
    }
}

fn show_grants(store: &Store, plan: &MigrationPlan, accounts: &Accounts) {
    for (role, statements) in grants::statements(store.url(), plan, accounts) {
        if statements.is_empty() {
            continue;
        }
        print::line(match role {
            Role::Migrate => "-- grants of the user of `komainu migrate`, before it runs:",
            Role::Watchdog => "-- grants of the user of watchdogs, afterwards (`--grant` gives them):",
            Role::Node => "-- grants of the user of native nodes, afterwards (`--grant` gives them):",
        });
        for statement in statements {
            print::line(format!("-- {statement};"));
        }
    }
}

fn report(plan: &MigrationPlan, url: &str) {
    if plan.statements.is_empty() {
        print::line(format!("{url}: schema {}, nothing to do", plan.to));
    } else {
        print::line(format!("{url}: schema {} to {}, {} statements", plan.from, plan.to, plan.statements.len()));
    }
    for note in &plan.notes {
        print::line(format!("note: {note}"));
    }
}
