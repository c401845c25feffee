//! `komainu health`: whether one process is well, as an exit code, for containers that have nothing else to ask with.

use anyhow::bail;
use reqwest::Method;

use super::output::OutputArgs;
use super::print::cell;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask a node instead of a watchdog: `--url http://127.0.0.1:8910`.
    #[arg(long)]
    node: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let path = if args.node { "/api/v1/health" } else { "/health" };
    let (code, health) = args.output.client()?.ask(Method::GET, path, None).await?;
    if !code.is_success() {
        bail!("it answers {}: {}", code.as_u16(), cell(health.get("status")));
    }
    args.output.say(&health, || cell(health.get("status")));
    Ok(())
}
