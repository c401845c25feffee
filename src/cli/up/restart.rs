//! `komainu up --restart NAME`: starts one process of an embedded cluster anew, from any terminal.
//!
//! The supervisor, if one lives, finds it in `pids.json` and looks after it from then on.

use std::time::Duration;

use anyhow::{Context, bail};

use super::folder::{Folder, Kind};
use super::{pids, process};
use crate::cli::{client, print};
use crate::clock;
use crate::config::Config;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A process that has not answered by then may still come; it is said, not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(folder: &Folder, name: &str) -> anyhow::Result<()> {
    let (kind, health) = member(folder, name)?;
    if let Some(pid) = pids::alive(folder)?.get(name) {
        bail!("{name} runs already (pid {pid}); end it first: kill {pid}");
    }
    let mut child = process::spawn(folder, name, kind)?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("a child without a pid")?;
    pids::update(folder, |pids| {
        pids.insert(name.to_owned(), pid);
    })?;
    let http = client::http(Duration::from_millis(500), None)?;
    let deadline = clock::now() + PATIENCE;
    while clock::now() < deadline {
        if child.try_wait()?.is_some() {
            pids::update(folder, |pids| {
                pids.remove(name);
            })?;
            bail!(
                "{name} did not start. The end of {}:{}",
                folder.log(name).display(),
                process::last_lines(&folder.log(name))
            );
        }
        // Any answer will do: a watchdog that has no verdict yet says 503.
        if http.get(&health).send().await.is_ok() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    print::line(format!("{name} runs, pid {pid}; log {}", folder.log(name).display()));
    Ok(())
}

/// What it is and where it answers, by the configuration that `up` wrote for it.
fn member(folder: &Folder, name: &str) -> anyhow::Result<(Kind, String)> {
    let file = folder.config(name);
    if !file.exists() || name == "komainu" {
        bail!("there is no {name} in {}; it has {}", folder.path().display(), names(folder).join(", "));
    }
    let config = Config::load(&file)?;
    match (&config.watchdog, &config.node) {
        (Some(watchdog), _) => Ok((Kind::Watchdog, format!("http://{}/health", watchdog.listen))),
        (None, Some(node)) => Ok((Kind::Node, format!("http://{}/api/v1/health", node.listen))),
        (None, None) => bail!("{} describes no process", file.display()),
    }
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = files.filter_map(|file| file.strip_suffix(".toml").map(str::to_owned)).collect();
    names.retain(|name| name != "komainu");
    names.sort();
    names
}
