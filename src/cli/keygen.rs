//! `komainu keygen`: a new cluster key, or the key of the cluster's gateways, on standard output.

use std::path::PathBuf;

use anyhow::Context;

use super::print;
use crate::keys::ClusterKey;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the key of the gateways, which follows from the cluster's.
    #[arg(long, requires = "key_file")]
    gateway: bool,
    /// The file of the cluster key.
    #[arg(long, requires = "gateway")]
    key_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(file) = &args.key_file else {
        print::line(ClusterKey::generate().reveal());
        return Ok(());
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let key = ClusterKey::parse(&text).with_context(|| file.display().to_string())?;
    print::line(key.gateway_key().reveal());
    Ok(())
}
