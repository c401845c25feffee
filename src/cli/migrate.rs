//! `komainu migrate`: the only command that changes the schema (besides `up`, in its own folder).

use anyhow::ensure;

use super::database::DatabaseArgs;
use super::print;
use crate::store::migrate::{self, MigrateOptions, MigrationPlan};

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
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let store = args.database.connect().await?;
    let options = MigrateOptions { without_kuma: args.without_kuma };
    let plan = match (args.remove, args.dry_run) {
        (false, true) => migrate::plan(&store, options).await?,
        (false, false) => migrate::apply(&store, options).await?,
        (true, true) => migrate::plan_removal(&store).await?,
        (true, false) => migrate::remove(&store).await?,
    };
    if args.dry_run {
        show(&plan);
    } else {
        report(&plan, &store.url().to_string());
    }
    ensure!(plan.from <= plan.to || args.remove, "the database has schema {}, newer than {}", plan.from, plan.to);
    Ok(())
}

fn show(plan: &MigrationPlan) {
    print::line(format!("-- schema {} to {}: {} statements", plan.from, plan.to, plan.statements.len()));
    for statement in &plan.statements {
        print::line(format!("{};", statement.trim_end_matches(';')));
    }
    if !plan.grants.is_empty() {
        print::line("-- grants that the user of the URL needs:");
    }
    for grant in &plan.grants {
        print::line(format!("-- {}", grant.trim_start_matches("-- ")));
    }
    for note in &plan.notes {
        print::line(format!("-- note: {note}"));
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
