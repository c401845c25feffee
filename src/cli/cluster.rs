//! `komainu cluster freeze|thaw|rebalance`.

use reqwest::Method;
use serde_json::Value;

use super::output::OutputArgs;
use super::print::{self, cell};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Stop all automatic moves; alerts go on, and so does what is moved by hand.
    Freeze(OutputArgs),
    /// Let automation move monitors again.
    Thaw(OutputArgs),
    /// Even out the load with the fewest moves.
    Rebalance {
        /// Only show what would move.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Freeze(output) => {
            let done = "frozen: nothing moves by itself until `komainu cluster thaw`";
            set(&output, "freeze", done).await
        }
        Command::Thaw(output) => set(&output, "thaw", "thawed: automation moves monitors again").await,
        Command::Rebalance { dry_run, output } => rebalance(&output, dry_run).await,
    }
}

async fn set(output: &OutputArgs, act: &str, done: &str) -> anyhow::Result<()> {
    let answer = output.client()?.call(Method::POST, &format!("/api/v1/cluster/{act}"), None).await?;
    let changed = answer.get("changed").and_then(Value::as_bool).unwrap_or(true);
    output.say(&answer, || if changed { done.to_owned() } else { format!("{done} (it was so before)") });
    Ok(())
}

async fn rebalance(output: &OutputArgs, dry_run: bool) -> anyhow::Result<()> {
    let path = format!("/api/v1/cluster/rebalance?dry_run={dry_run}");
    let answer = output.client()?.call(Method::POST, &path, None).await?;
    if output.json {
        print::line(answer.to_string());
        return Ok(());
    }
    let moves = answer.get("moves").and_then(Value::as_array).cloned().unwrap_or_default();
    if moves.is_empty() {
        print::line("nothing to move: the load is even");
        return Ok(());
    }
    let rows = moves.iter().map(|one| ["monitor_id", "name", "from", "to", "reason"].map(|name| cell(one.get(name))));
    print::table(["MONITOR", "NAME", "FROM", "TO", "REASON"], rows);
    print::line("");
    print::table(["NODE", "MONITORS", "RUNS/S", "MONITORS AFTER", "RUNS/S AFTER"], loads(&answer));
    print::line(if dry_run { "\nnothing was changed (--dry-run)" } else { "\nasked: the leader moves them" });
    Ok(())
}

fn loads(answer: &Value) -> Vec<[String; 5]> {
    let side = |name: &str| answer.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (side("before"), side("after"));
    let row = |(node, load): (String, Value)| {
        let then = after.get(&node);
        let now = ["monitors", "rate"].map(|name| cell(load.get(name)));
        let then = ["monitors", "rate"].map(|name| cell(then.and_then(|load| load.get(name))));
        let ([monitors, rate], [monitors_after, rate_after]) = (now, then);
        [node, monitors, rate, monitors_after, rate_after]
    };
    before.into_iter().map(row).collect()
}
