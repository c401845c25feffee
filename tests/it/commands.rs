//! The command line as the API's client, at real watchdogs.

mod applying;
mod importing;
mod maintenances;
mod monitors;
mod pages;
mod robot;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::cluster::database::Kind;
use crate::cluster::{Cluster, Shape};

/// A cluster, and somebody who sits at a terminal.
struct CommandLine {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl CommandLine {
    async fn start() -> Self {
        let shape = Shape { watchdogs: 1, nodes: 2, monitors: 1, ..Shape::default() };
        let cluster = Cluster::start(Kind::Sqlite, shape).await;
        let cli = Self { cluster, folder: tempfile::tempdir().unwrap() };
        cli.write("api.key", cli.cluster.api_key());
        cli
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    async fn run(&self, line: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_komainu"));
        command.args(line).current_dir(self.folder.path());
        command.env("KOMAINU_URL", self.cluster.url_of("w1", "")).env("KOMAINU_KEY_FILE", "api.key");
        command.output().await.unwrap()
    }

    /// What it says, which must go well.
    async fn said(&self, line: &[&str]) -> String {
        let output = self.run(line).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// How it ends, and what it complains of.
    async fn refused(&self, line: &[&str]) -> (i32, String) {
        let output = self.run(line).await;
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    async fn json(&self, line: &[&str]) -> Value {
        let said = self.said(&[line, &["--json"]].concat()).await;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{line:?}: {error}: {said}"))
    }
}
