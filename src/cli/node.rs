//! `komainu node`: one native node.

use std::path::PathBuf;

use anyhow::{Context, bail};
use komainu_watchdogs::ids::NodeId;

use crate::config::{Config, NodeConfig, without_slash};
use crate::lifecycle;
use crate::node::waiting::until_reached;
use crate::node::{self, ExitReason, NodeSettings};
use crate::run::queries::Program;
use crate::store::Store;
use crate::store::nodes::{self, NodeInfo};
use crate::surface::Entrance;
use crate::tls::Credentials;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration, with a section `[node]`.
    #[arg(long, default_value = "komainu.toml")]
    config: PathBuf,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    let Some(node) = config.node.clone() else {
        bail!("{}: there is no section [node]; `komainu nodes add ID --address URL` prints one", args.config.display());
    };
    let shutdown = lifecycle::shutdown_on_signals().context("cannot listen for signals")?;
    let store = Store::unconnected(&config.database.url);
    let reached = async || {
        store.check_schema().await?;
        nodes::get(&store, &node.id).await
    };
    let credentials = Credentials::open(config.tls.clone()).context("[tls]")?;
    let entrance = node::entrance(credentials, config.proxies.clone());
    let place = (&node.id, node.listen, &entrance);
    let row = if config.database.url.is_server() {
        let Some(row) = until_reached(place, &shutdown, reached).await? else { return Ok(()) };
        row
    } else {
        reached().await?
    };
    let Some(row) = row else { bail!(unknown(&node.id)) };
    let id = node.id.clone();
    match Box::pin(node::run(settings(config, node, (row, store, entrance)), shutdown)).await? {
        ExitReason::Stopped => Ok(()),
        ExitReason::IdInUse { hostname } => {
            bail!("node id {id} is in use by host {hostname}; give each node an id of its own")
        }
        ExitReason::Unknown => bail!(unknown(&id)),
    }
}

fn settings(config: Config, node: NodeConfig, (row, store, entrance): (NodeInfo, Store, Entrance)) -> NodeSettings {
    NodeSettings {
        address: node.advertise.as_ref().map_or(row.address, without_slash),
        node: node.id,
        listen: node.listen,
        key: node.key,
        store,
        policy: config.policy,
        canaries: config.cluster.canaries,
        trace_file: node.trace_file,
        user_agent: node.user_agent,
        start_spread: node.start_spread,
        entrance,
        evaluator: Program::default(),
    }
}

fn unknown(id: &NodeId) -> String {
    format!("there is no node {id} in the database; `komainu nodes add {id} --address URL` enters it")
}
