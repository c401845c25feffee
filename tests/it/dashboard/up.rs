//! `komainu up` with one watchdog, for the link that it prints.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cluster::ports::free_port;
use crate::cluster::wait::wait_until;

/// It says itself after a minute what it waits for.
const PATIENCE: Duration = Duration::from_secs(90);

/// The supervisor; it ends its watchdog when it is ended.
pub(super) struct Up {
    child: Child,
    folder: TempDir,
}

impl Up {
    pub(super) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("komainu-up-").tempdir().unwrap();
        let said = File::create(folder.path().join("said")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_komainu"));
        command.args(["up", "--watchdogs", "1", "--nodes", "0", "--port", &free_port().to_string(), "--dir"]);
        let child = command.arg(folder.path().join("data")).stdin(Stdio::null()).stdout(said).spawn().unwrap();
        Self { child, folder }
    }

    /// The link that signs in.
    pub(super) async fn link(&self) -> String {
        let said = || std::fs::read_to_string(self.folder.path().join("said")).unwrap();
        let link = || {
            let said = said();
            let line = said.lines().find(|line| line.contains("/watch/sign-in?ticket="))?;
            line.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned)
        };
        wait_until("a link is printed", PATIENCE, async || link().is_some()).await;
        link().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).unwrap();
        let _ended = kill_process(Pid::from_raw(id).unwrap(), Signal::TERM);
        let _ended = self.child.wait();
    }
}
