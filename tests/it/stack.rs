//! What lies in compose/: that the files say what they must, and that they do it where it can be tried without containers.

mod compose;
mod migrating;
mod moving;
mod settings;
mod setup;
mod units;
pub(crate) mod yaml;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the repository.
pub(crate) fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs a command to its end; what it said, if that went well.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", words(&output));
    words(&output)
}

/// Runs a command that must fail; its exit code and what it said.
fn refused(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), words(&output))
}

pub(crate) fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The program, without what a developer's own environment says to it.
fn komainu() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_komainu"));
    command.env_clear();
    command
}
