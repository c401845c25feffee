//! Private `MariaDB` servers on a temporary folder and a free loopback port.
//!
//! [`MariaDb::shared`] is one for the whole test run. A shell between the test and the server waits for the pipe to
//! close: the server ends with the test process, also when that is killed, and its folder goes with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};

use super::ports::free_port;

/// `stop` and `kill` keep the folder for a restart; the end of the pipe does not.
const KEEPER: &str = r#"
dir=$1; shift
"$@" & pid=$!
echo "$pid"
read -r word
case $word in
  stop) kill -TERM "$pid"; wait "$pid" ;;
  kill) kill -KILL "$pid"; wait "$pid" 2>/dev/null ;;
  *) kill -KILL "$pid"; wait "$pid" 2>/dev/null; rm -rf "$dir" ;;
esac
"#;

/// A small one: it is written when a server is installed, and many tests install one.
pub(super) const LOG_FILE: &str = "--innodb-log-file-size=16M";

/// A server, running or stopped.
pub(crate) struct MariaDb {
    dir: PathBuf,
    port: u16,
    /// Beside those of all.
    arguments: Vec<String>,
    keeper: Option<Keeper>,
}

/// The shell between the test and a server.
pub(super) struct Keeper {
    shell: Child,
    words: ChildStdin,
    /// Of the server.
    pub(super) pid: u32,
}

impl Keeper {
    /// Starts `mariadbd` with these arguments, on this folder, which goes with the test.
    pub(super) fn start(dir: &Path, arguments: impl IntoIterator<Item = String>) -> Self {
        let mut shell = Command::new("sh")
            // A signal to the test's whole group must not take the keeper before it has cleaned up.
            .process_group(0)
            .args(["-c", KEEPER, "keeper"])
            .arg(dir)
            .arg(mariadbd())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until_ready(&mut shell);
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        let words = shell.stdin.take().unwrap();
        Self { shell, words, pid: pid.trim().parse().unwrap() }
    }

    /// `stop` or `kill`; returns once it has ended.
    pub(super) fn end(mut self, word: &str) {
        writeln!(self.words, "{word}").unwrap();
        self.shell.wait().unwrap();
    }

    /// The server and its folder go.
    pub(super) fn sweep(self) {
        let Self { mut shell, words, .. } = self;
        drop(words);
        let _ = shell.wait();
    }
}

impl MariaDb {
    /// The one of this test run, started when first asked for.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of its own, for tests that stop or kill it.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("komainu-mariadb-").tempdir().unwrap().keep();
        install(&dir);
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { dir, port: free_port(), arguments, keeper: None };
        server.start_again();
        server
    }

    /// Starts it on the same folder and port.
    pub(crate) fn start_again(&mut self) {
        assert!(self.keeper.is_none(), "the server runs already");
        let dir = self.dir.display();
        let arguments = [
            "--no-defaults".to_owned(),
            LOG_FILE.to_owned(),
            format!("--datadir={dir}/data"),
            format!("--socket={dir}/s"),
            format!("--pid-file={dir}/pid"),
            // Whoever starts removes the temporary tables that are in this folder, also those of others.
            format!("--tmpdir={dir}"),
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            user_flag(),
            "--skip-name-resolve".to_owned(),
            "--max-connections=500".to_owned(),
            "--innodb-buffer-pool-size=256M".to_owned(),
            // A commit is in the system's cache when it is answered: it outlives a kill of the server, which is all that
            // is tried here, and a slow disk is not taken for a database that fails.
            "--innodb-flush-log-at-trx-commit=2".to_owned(),
        ];
        let arguments = arguments.into_iter().chain(self.arguments.clone());
        self.keeper = Some(Keeper::start(&self.dir, arguments));
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(&mut self) {
        self.end("stop");
    }

    /// Kills it with signal 9, and waits.
    pub(crate) fn kill(&mut self) {
        self.end("kill");
    }

    /// Of the server, for SIGSTOP and SIGCONT.
    pub(crate) fn pid(&self) -> u32 {
        self.keeper.as_ref().expect("a running server").pid
    }

    /// The URL of a database of this name.
    pub(crate) fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// The same for another user than root, without a password too.
    pub(crate) fn url_as(&self, user: &str, database: &str) -> String {
        self.url(database).replacen("root@", &format!("{user}@"), 1)
    }

    /// Its port, for a proxy in front of it.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes a fresh database; returns its name.
    pub(crate) async fn fresh_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut wire = MySqlConnection::connect(&self.url("mysql")).await.unwrap();
        let sql = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
        wire.execute(AssertSqlSafe(sql)).await.unwrap();
        name
    }

    fn end(&mut self, word: &str) {
        self.keeper.take().expect("a running server").end(word);
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        match self.keeper.take() {
            Some(keeper) => keeper.sweep(),
            None => drop(std::fs::remove_dir_all(&self.dir)),
        }
    }
}

/// Root without a password, on loopback.
pub(crate) fn url(port: u16, database: &str) -> String {
    format!("mysql://root@127.0.0.1:{port}/{database}")
}

/// Not on the path of everybody.
fn mariadbd() -> &'static str {
    let sbin = "/usr/sbin/mariadbd";
    if Path::new(sbin).exists() { sbin } else { "mariadbd" }
}

pub(super) fn install(dir: &Path) {
    let done = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .args([format!("--datadir={}/data", dir.display()), user_flag()])
        .arg(LOG_FILE)
        // Two installations at once would meet in the common temporary folder.
        .env("TMPDIR", dir)
        .output()
        .expect("mariadb-install-db, from the package mariadb-server");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The server refuses to run as root unless told so by name.
fn user_flag() -> String {
    let is_root = rustix::process::getuid().is_root();
    if is_root { "--user=root".to_owned() } else { format!("--user={}", std::env::var("USER").unwrap_or_default()) }
}

/// Reads the server's log until it says so, and goes on reading so that it never blocks on a full pipe.
fn wait_until_ready(shell: &mut Child) {
    let log = shell.stderr.take().unwrap();
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let mut seen = vec![];
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains("ready for connections") {
                let _ = ready.send(Ok(()));
            }
            seen.push(line);
        }
        let _ = ready.send(Err(seen.join("\n")));
    });
    is_ready.recv_timeout(Duration::from_secs(60)).expect("mariadbd starts within a minute").unwrap();
}
