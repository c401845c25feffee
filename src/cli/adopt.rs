//! `komainu adopt`: ends observe mode.

use std::env;

use anyhow::bail;
use komainu_watchdogs::ids::NodeId;

use super::database::DatabaseArgs;
use super::print;
use crate::store::cluster::{self, Homes};
use crate::store::{Store, nodes};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Every monitor that has no home, and that this node can run, gets it: the one that runs them all now.
    #[arg(long, value_name = "NODE", conflicts_with = "from_fork")]
    home: Option<NodeId>,
    /// Homes as uptime-kuma-cluster wrote them into `monitor.node_id` and `monitor.assigned_node`.
    #[arg(long)]
    from_fork: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let store = args.database.connect().await?;
    store.check_schema().await?;
    let homes = match (args.home, args.from_fork) {
        (Some(node), _) => {
            ensure_node(&store, &node).await?;
            Homes::All(node)
        }
        (None, true) => Homes::FromFork,
        (None, false) => Homes::ByLeader,
    };
    let adoption = cluster::adopt(&store, &homes, &who()).await?;
    print::line(format!("automation is active; {} monitors got a home", adoption.homed));
    if adoption.homeless > 0 {
        print::line(format!("{} have none: the leader places them", adoption.homeless));
    }
    // What migrations are done with has no channels, wherever the watchdogs have theirs.
    let watchdogs = args.database.configuration()?.filter(|config| config.watchdog.is_some());
    let has_channels = watchdogs.map(|config| !config.channels.is_empty());
    if let Some(warning) = untold(adoption.told_by_kuma, has_channels) {
        print::line(warning);
    }
    Ok(())
}

/// What people do not hear: Kuma's own notifications need a stock node that sends them. `has_channels`: by the configuration here.
fn untold(told_by_kuma: u32, has_channels: Option<bool>) -> Option<String> {
    let where_it_stands = match (told_by_kuma, has_channels) {
        (0, _) | (_, Some(true)) => return None,
        (_, Some(false)) => "there is no [[channel]] in this configuration",
        (_, None) => "see that the watchdogs' configuration has a [[channel]]",
    };
    Some(format!(
        "warning: {told_by_kuma} monitors are told by Kuma's own notifications, and by komainu while no Uptime Kuma node is up that \
         sends these: {where_it_stands}"
    ))
}

async fn ensure_node(store: &Store, node: &NodeId) -> anyhow::Result<()> {
    if nodes::get(store, node).await?.is_none() {
        let known: Vec<String> = nodes::list(store).await?.into_iter().map(|info| info.node_id.to_string()).collect();
        let known = if known.is_empty() { "none yet; `komainu nodes add`".to_owned() } else { known.join(", ") };
        bail!("there is no node {node}; known are: {known}");
    }
    Ok(())
}

/// As the audit trail names whoever works on the database directly.
pub(super) fn who() -> String {
    format!("cli/{}", env::var("USER").unwrap_or_else(|_| "unknown".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::untold;

    #[test]
    fn adoption_warns_where_nobody_would_be_told_without_a_stock_node() {
        assert!(untold(3, Some(false)).unwrap().ends_with("there is no [[channel]] in this configuration"));
        assert!(untold(3, None).unwrap().contains("3 monitors"), "whether there is one is not known here");
        assert_eq!([untold(3, Some(true)), untold(0, Some(false))], [None, None]);
    }
}
