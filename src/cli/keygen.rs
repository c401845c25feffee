//! `komainu keygen`: a new cluster key, or one that follows from it, on standard output.

use std::path::PathBuf;

use anyhow::{Context, bail};
use komainu_watchdogs::ids::NodeId;

use super::print;
use crate::config;
use crate::keys::ClusterKey;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the key of the gateways, which follows from the cluster's.
    #[arg(long, requires = "key_file")]
    gateway: bool,
    /// Print the key of this node, as `komainu nodes add` does.
    #[arg(long, value_name = "ID", value_parser = node, requires = "key_file", conflicts_with = "gateway")]
    node: Option<NodeId>,
    /// The file of the cluster key.
    #[arg(long)]
    key_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(file) = &args.key_file else {
        print::line(ClusterKey::generate().reveal());
        return Ok(());
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let key = ClusterKey::parse(&text).with_context(|| file.display().to_string())?;
    match &args.node {
        Some(node) => print::line(key.node_key(node).reveal()),
        None if args.gateway => print::line(key.gateway_key().reveal()),
        None => bail!("whose key? Say --gateway or --node ID; without --key-file it is a new cluster key"),
    }
    Ok(())
}

fn node(text: &str) -> Result<NodeId, String> {
    config::ensure_id(text).map(|()| NodeId::from(text))
}
