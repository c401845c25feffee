//! A MariaDB server of a test's own, on a loopback port and a temporary folder: stopped, started and killed at will.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::ports::free_port;
use super::wait::wait_until;

/// The server; killed when dropped.
pub(crate) struct MariaDb {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl MariaDb {
    /// Installs the system tables and starts.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("komainu-mariadb-").tempdir().unwrap();
        let installed = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", folder.path().join("data").display()))
            .args(["--innodb-log-file-size=16M", "--user", &user()])
            // Two installations at once would meet in the common temporary folder.
            .env("TMPDIR", folder.path())
            .output()
            .expect("mariadb-install-db is installed: tests/run sees to it");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let mut server = Self { folder, port: free_port(), child: None };
        server.start_again().await;
        server
    }

    /// Starts on the same folder and port, and waits until it answers.
    pub(crate) async fn start_again(&mut self) {
        let folder = self.folder.path();
        let child = Command::new(mariadbd())
            .arg("--no-defaults")
            .arg(format!("--datadir={}", folder.join("data").display()))
            .arg(format!("--socket={}", folder.join("s.sock").display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--log-error={}", folder.join("error.log").display()))
            .arg(format!("--port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--innodb-log-file-size=16M", "--skip-name-resolve"])
            .args(["--max-connections=300", "--user", &user()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd is installed: tests/run sees to it");
        self.child = Some(child);
        wait_until("MariaDB answers", Duration::from_secs(60), async || self.answers().await).await;
    }

    async fn answers(&self) -> bool {
        use sqlx::Connection;
        sqlx::MySqlConnection::connect(&self.url("mysql")).await.is_ok()
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Its port, for a proxy in front of it.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Shuts down cleanly.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Kills with -9.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), signal).unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Root without a password, on loopback.
pub(crate) fn url(port: u16, database: &str) -> String {
    format!("mysql://root@127.0.0.1:{port}/{database}")
}

fn mariadbd() -> PathBuf {
    let sbin = Path::new("/usr/sbin/mariadbd");
    if sbin.exists() { sbin.to_owned() } else { PathBuf::from("mariadbd") }
}

/// MariaDB does not run as root unless told so.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
