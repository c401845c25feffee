//! The wrapped command: started, sent the signals that arrive, waited for.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};

use super::output::Output;
use super::signals::{Signals, comes_from_the_terminal};

/// The command does not exist, as shells say it.
const NOT_FOUND: u8 = 127;

/// The command is there and cannot be run.
const NOT_EXECUTABLE: u8 = 126;

/// A shell's exit code of a command that signal n killed is this + n.
const KILLED: i32 = 128;

/// What a shell returns for a command whose reader went away.
const BROKEN_PIPE: u8 = 141;

/// A command that runs.
pub(super) struct Job {
    child: Child,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    /// What this program returns.
    pub(super) code: u8,
    /// What the exit code alone does not tell.
    pub(super) remark: Option<String>,
}

impl Job {
    /// Starts it, or says how that failed.
    pub(super) fn start(command: &[OsString], output: &Output) -> Result<Self, Ended> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Ended { code: NOT_FOUND, remark: Some("no command was given".to_owned()) });
        };
        let [out, err] = output.streams();
        let spawned = Command::new(program).args(arguments).stdout(out).stderr(err).spawn();
        spawned.map(|child| Self { child }).map_err(|error| Ended::unstarted(program, &error))
    }

    /// Passes on what arrives, until it ends.
    pub(super) async fn wait(mut self, signals: &mut Signals) -> Ended {
        loop {
            tokio::select! {
                status = self.child.wait() => return match status {
                    Ok(status) => Ended::of(status),
                    Err(error) => Ended { code: 1, remark: Some(format!("its end could not be seen: {error}")) },
                },
                signal = signals.next() => {
                    let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
                    if let Some(id) = id && !comes_from_the_terminal(signal) {
                        // It fails when the command has just ended, which the next turn notices.
                        let _ = kill_process(id, signal);
                    }
                }
            }
        }
    }
}

impl Ended {
    fn of(status: ExitStatus) -> Self {
        if let Some(signal) = status.signal() {
            return Self {
                code: u8::try_from(KILLED + signal).unwrap_or(u8::MAX),
                remark: Some(format!("killed by signal {signal}")),
            };
        }
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        Self { code, remark: None }
    }

    fn unstarted(program: &OsString, error: &io::Error) -> Self {
        let program = program.to_string_lossy();
        if error.kind() == ErrorKind::NotFound {
            return Self { code: NOT_FOUND, remark: Some(format!("{program}: command not found")) };
        }
        Self { code: NOT_EXECUTABLE, remark: Some(format!("{program}: cannot be run: {error}")) }
    }

    /// Not all of its output arrived. The command may not have noticed: it wrote to a pipe, and ended before this program
    /// met the error that it would have met itself.
    pub(super) fn with_unwritten(self, error: &io::Error) -> Self {
        let unnoticed = if error.kind() == ErrorKind::BrokenPipe { BROKEN_PIPE } else { 1 };
        let code = if self.code == 0 { unnoticed } else { self.code };
        let remark = self.remark.map_or_else(String::new, |remark| format!("; {remark}"));
        Self { code, remark: Some(format!("its output could not be written: {error}{remark}")) }
    }

    /// For people: the remark, then the output's tail.
    pub(super) fn message(&self, tail: &str) -> Option<String> {
        let parts = self.remark.as_deref().into_iter().chain(Some(tail)).filter(|part| !part.is_empty());
        let text = parts.collect::<Vec<_>>().join("\n");
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(Ended::of(ExitStatus::from_raw(0)), Ended { code: 0, remark: None });
        assert_eq!(Ended::of(ExitStatus::from_raw(3 << 8)), Ended { code: 3, remark: None });
        assert_eq!(Ended::of(ExitStatus::from_raw(9)).code, 137);
        let program = OsString::from("backup");
        assert_eq!(Ended::unstarted(&program, &ErrorKind::NotFound.into()).code, 127);
        assert_eq!(Ended::unstarted(&program, &ErrorKind::PermissionDenied.into()).code, 126);
    }

    #[test]
    fn the_message_says_what_killed_it_and_what_it_wrote_last() {
        let killed = Ended::of(ExitStatus::from_raw(9));
        assert_eq!(killed.message("half done").unwrap(), "killed by signal 9\nhalf done");
        assert_eq!(Ended::of(ExitStatus::from_raw(0)).message(""), None);
    }
}
