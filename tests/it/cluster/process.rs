//! One real process of komainu: started, killed with -9, frozen and woken.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const KOMAINU: &str = env!("CARGO_BIN_EXE_komainu");

/// What a process says in its log, unless a test wants more or less.
pub(crate) const LEVEL: &str = "info";

/// The process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `komainu <command> --config <config>`, its log beside its configuration.
    pub(crate) fn start(command: &str, config: &Path) -> Self {
        Self::start_with_log(command, config, LEVEL)
    }

    /// The same, telling more or less.
    pub(crate) fn start_with_log(command: &str, config: &Path, level: &str) -> Self {
        Self::spawn(Command::new(KOMAINU), (command, level), config)
    }

    /// The same, started by another program, which becomes it.
    pub(crate) fn start_by(starter: &[String], command: &str, config: &Path) -> Self {
        let (program, words) = starter.split_first().unwrap();
        let mut wrapped = Command::new(program);
        wrapped.args(words).arg(KOMAINU);
        Self::spawn(wrapped, (command, LEVEL), config)
    }

    /// Makes certificates in this folder: `NAME.crt`, `NAME.key`, `ca.crt`.
    pub(crate) fn certify(folder: &Path, names: &[String]) -> bool {
        let subjects = names.iter().flat_map(|name| ["--tls", name]);
        let mut init = Command::new(KOMAINU);
        init.args(["init", "--dir"]).arg(folder).args(subjects).stdout(Stdio::null());
        init.status().unwrap().success()
    }

    fn spawn(mut program: Command, (command, level): (&str, &str), config: &Path) -> Self {
        let log = config.with_extension("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = program
            .args([command, "--config"])
            .arg(config)
            .env("KOMAINU_LOG", level)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log, ended: None }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills with -9 and reaps.
    pub(crate) fn kill(&mut self) {
        if self.exit_status().is_none() {
            self.signal(Signal::KILL);
            self.ended = Some(self.child.wait().unwrap());
        }
    }

    /// Freezes: SIGSTOP.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Wakes: SIGCONT.
    pub(crate) fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// How it ended, if it did.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
