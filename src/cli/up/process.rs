//! Starting, recognising and ending the processes of an embedded cluster.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::folder::{Folder, Kind};
use super::pids::{self, Pids};
use crate::clock;

/// Between looks at whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines of a log that are shown when its process fails to start.
const LOG_LINES: usize = 12;

/// Starts one as a process group of its own: Ctrl-C reaches the supervisor, which ends the others in order.
pub(crate) fn spawn(folder: &Folder, name: &str, kind: Kind) -> anyhow::Result<Child> {
    let log = folder.log(name);
    let file = OpenOptions::new().create(true).append(true).open(&log);
    let file = file.with_context(|| format!("cannot open {}", log.display()))?;
    let mut command = Command::new(std::env::current_exe().context("cannot find the own program")?);
    command.arg(kind.subcommand()).arg("--config").arg(folder.config(name));
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
    // What overrides one process' configuration would override all of theirs, ids included.
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KOMAINU__")) {
        command.env_remove(variable);
    }
    command.spawn().with_context(|| format!("cannot start {name}"))
}

/// Whether this pid is the process that runs this configuration, and not one that got its number later.
pub(crate) fn is_member(pid: i32, config: &Path) -> bool {
    let Ok(words) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let config = config.as_os_str().as_encoded_bytes();
    words.split(|byte| *byte == 0).any(|word| word == config) && !is_zombie(pid)
}

/// Ended, and not yet reaped by its parent.
fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the state follows the last one.
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// Asks a process to end. One that is gone has done so.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends all that the folder names: asks, waits, insists. Returns who was there.
pub(crate) async fn end_members(folder: &Folder) -> anyhow::Result<Pids> {
    let ended = pids::alive(folder)?;
    for pid in ended.values() {
        signal(*pid, Signal::TERM);
        // One that somebody froze hears nothing before it goes on.
        signal(*pid, Signal::CONT);
    }
    let deadline = clock::now() + PATIENCE;
    while !pids::alive(folder)?.is_empty() && clock::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    for pid in pids::alive(folder)?.values() {
        signal(*pid, Signal::KILL);
    }
    pids::update(folder, Pids::clear)?;
    Ok(ended)
}

/// Waits for a pid to be gone; `false`: it stayed.
pub(crate) async fn wait_gone(is_there: impl Fn() -> bool, patience: Duration) -> bool {
    let deadline = clock::now() + patience;
    while is_there() {
        if clock::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}

/// The end of a log.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
    shown.iter().fold(String::new(), |text, line| format!("{text}\n  {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_the_configuration_it_runs() {
        let own = i32::try_from(std::process::id()).unwrap();
        let exe = std::env::args_os().next().unwrap();
        assert!(is_member(own, Path::new(&exe)));
        assert!(!is_member(own, Path::new("/somewhere/w1.toml")));
        assert!(!is_member(i32::MAX, Path::new(&exe)));
    }
}
