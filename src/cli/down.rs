//! `komainu down`: ends an embedded cluster, supervisor first.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use rustix::process::Signal;

use super::print;
use super::up::folder::Folder;
use super::up::process;

/// The supervisor gives its children 10 s.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(15);

const KILL_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As given to `komainu up`.
    #[arg(long, default_value = "./komainu-data")]
    dir: PathBuf,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let folder = Folder::existing(&args.dir)?;
    let was_supervised = end_supervisor(&folder).await?;
    // Whom a supervisor left behind, or never knew.
    let ended = process::end_members(&folder).await?;
    match (was_supervised, ended.is_empty()) {
        (true, true) => print::line("ended"),
        (false, true) => print::line(format!("nothing of {} runs", folder.path().display())),
        (_, false) => print::line(format!("ended {}", ended.keys().cloned().collect::<Vec<_>>().join(", "))),
    }
    Ok(())
}

/// `false`: there was none.
async fn end_supervisor(folder: &Folder) -> anyhow::Result<bool> {
    let Some(pid) = folder.living_supervisor()? else { return Ok(false) };
    let is_there = || folder.living_supervisor().is_ok_and(|pid| pid.is_some());
    process::signal(pid, Signal::TERM);
    process::signal(pid, Signal::CONT);
    if process::wait_gone(is_there, SUPERVISOR_PATIENCE).await {
        return Ok(true);
    }
    process::signal(pid, Signal::KILL);
    if !process::wait_gone(is_there, KILL_PATIENCE).await {
        bail!("the supervisor (pid {pid}) does not end; is it another user's?");
    }
    Ok(true)
}
