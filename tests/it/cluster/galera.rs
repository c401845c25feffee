//! A Galera cluster of three real servers on loopback, each with a folder of its own.
//!
//! All three begin with the same data: the first is installed, started once by itself and copied, so that the others need
//! only the little that came since. One that was killed gets everything from another, which is its donor meanwhile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, Row as _};
use tokio::sync::{Mutex, MutexGuard};

use super::database::Database;
use super::ports::free_port;
use super::server::{self, Keeper, LOG_FILE};
use super::wait::wait_until;

/// Where Debian's `galera-4` puts it.
const PROVIDER: &str = "/usr/lib/galera/libgalera_smm.so";

/// Nobody has 15 s for a server that does not come.
const SYNCED_WITHIN: Duration = Duration::from_secs(60);

/// The cluster.
pub(crate) struct Galera {
    folder: PathBuf,
    members: Vec<Member>,
    /// Servers that get no time to speak are taken for dead by each other: nine of them are too many for a small machine.
    _turn: MutexGuard<'static, ()>,
}

/// One cluster at a time.
static TURN: Mutex<()> = Mutex::const_new(());

struct Member {
    folder: PathBuf,
    port: u16,
    keeper: Option<Keeper>,
}

impl Galera {
    /// Three servers that take writes; `None` where there is no Galera to be had, which is said.
    pub(crate) async fn start() -> Option<Self> {
        let missing =
            [PROVIDER, "/usr/bin/rsync", super::haproxy::PROGRAM].into_iter().find(|path| !Path::new(path).exists());
        if let Some(missing) = missing {
            say(&format!("left out: there is no {missing} here"));
            return None;
        }
        let folder = tempfile::Builder::new().prefix("komainu-galera-").tempdir().unwrap().keep();
        let mut cluster = Self { folder, members: Vec::new(), _turn: TURN.lock().await };
        cluster.configure();
        cluster.install().await;
        cluster.start_again(0, &["--wsrep-new-cluster"]).await;
        for at in 1..3 {
            cluster.start_again(at, &[]).await;
        }
        Some(cluster)
    }

    fn configure(&mut self) {
        let groups: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let all: Vec<_> = groups.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        for (at, group) in groups.iter().enumerate() {
            let folder = self.folder.join(format!("g{}", at + 1));
            std::fs::create_dir_all(&folder).unwrap();
            let port = free_port();
            let text = config(&folder, port, (*group, &all.join(",")), at);
            std::fs::write(folder.join("my.cnf"), text).unwrap();
            self.members.push(Member { folder, port, keeper: None });
        }
    }

    /// The first one's data, with a place in the cluster's history, for all.
    async fn install(&mut self) {
        let first = &self.members[0].folder;
        server::install(first);
        own(&self.folder);
        let defaults = format!("--defaults-file={}", first.join("my.cnf").display());
        let keeper = Keeper::start(first, [defaults, "--wsrep-new-cluster".to_owned()]);
        // One that only says that it is ready has been seen to hear no signal.
        let url = self.url(0, "mysql");
        wait_until("g1 can be stopped", SYNCED_WITHIN, async || is_synced(&url).await).await;
        keeper.end("stop");
        for member in &self.members[1..] {
            let done = Command::new("cp").arg("-a").arg(first.join("data")).arg(member.folder.join("data")).status();
            assert!(done.unwrap().success());
        }
    }

    /// Starts this one, and waits until it takes writes.
    pub(crate) async fn start_again(&mut self, at: usize, more: &[&str]) {
        let member = &mut self.members[at];
        assert!(member.keeper.is_none(), "the server runs already");
        let defaults = format!("--defaults-file={}", member.folder.join("my.cnf").display());
        let arguments = std::iter::once(defaults).chain(more.iter().map(|&word| word.to_owned()));
        member.keeper = Some(Keeper::start(&member.folder, arguments));
        let url = self.url(at, "mysql");
        wait_until(&format!("g{} takes writes", at + 1), SYNCED_WITHIN, async || is_synced(&url).await).await;
    }

    /// Of one server, past any proxy.
    pub(crate) fn url(&self, at: usize, database: &str) -> String {
        server::url(self.members[at].port, database)
    }

    /// Of all, in their order.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|member| member.port).collect()
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(&mut self, at: usize) {
        self.members[at].keeper.take().expect("a running server").end("stop");
    }

    /// Kills it with signal 9, and waits.
    pub(crate) fn kill(&mut self, at: usize) {
        self.members[at].keeper.take().expect("a running server").end("kill");
    }

    /// It stands still, and its connections with it.
    pub(crate) fn freeze(&self, at: usize) {
        self.signal(at, Signal::STOP);
    }

    /// It goes on.
    pub(crate) fn wake(&self, at: usize) {
        self.signal(at, Signal::CONT);
    }

    /// It and the two others hear nothing of each other any more. Whoever connects to it still can.
    pub(crate) async fn cut_off(&self, at: usize) {
        self.isolate(at, true).await;
    }

    /// They hear each other again: what it missed it gets from one of the others.
    pub(crate) async fn join_again(&self, at: usize) {
        self.isolate(at, false).await;
    }

    async fn isolate(&self, at: usize, is: bool) {
        let sql = format!("SET GLOBAL wsrep_provider_options = 'gmcast.isolate={}'", i32::from(is));
        Database::MariaDb(self.url(at, "mysql")).execute(&sql).await;
    }

    /// Until all three take writes, as one.
    pub(crate) async fn wait_until_whole(&self) {
        for at in 0..self.members.len() {
            let url = self.url(at, "mysql");
            let is_whole = async || says(&url, "wsrep_cluster_size", "3").await && is_synced(&url).await;
            wait_until(&format!("g{} is one of three", at + 1), SYNCED_WITHIN, is_whole).await;
        }
    }

    fn signal(&self, at: usize, signal: Signal) {
        let pid = self.members[at].keeper.as_ref().expect("a running server").pid;
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
    }

    /// What the binary log of the last server says, in the order in which all servers committed: only that one keeps one.
    pub(crate) fn committed(&self) -> String {
        let folder = &self.members[2].folder;
        let logs = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut logs: Vec<_> = logs.filter(|path| path.to_string_lossy().contains("/binlog.0")).collect();
        logs.sort();
        let done = Command::new("mariadb-binlog").args(["--base64-output=decode-rows", "-v"]).args(logs).output();
        String::from_utf8_lossy(&done.unwrap().stdout).into_owned()
    }
}

impl Drop for Galera {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(keeper) = member.keeper.take() {
                keeper.sweep();
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn config(folder: &Path, port: u16, (group, all): (u16, &str), at: usize) -> String {
    let (dir, name) = (folder.display(), format!("g{}", at + 1));
    let (ist, sst) = (free_port(), free_port());
    let log_file = LOG_FILE.trim_start_matches("--");
    let binlog =
        if at == 2 { format!("log-bin={dir}/binlog\nlog-slave-updates=ON\nserver-id=3\n") } else { String::new() };
    format!(
        "[mysqld]\nuser={user}\ndatadir={dir}/data\nsocket={dir}/s\npid-file={dir}/pid\ntmpdir={dir}\nport={port}\n\
         bind-address=127.0.0.1\nskip-name-resolve\nmax-connections=300\ninnodb-buffer-pool-size=64M\n{log_file}\n\
         innodb-flush-log-at-trx-commit=2\nbinlog-format=ROW\ninnodb-autoinc-lock-mode=2\n{binlog}\
         wsrep-on=ON\nwsrep-provider={PROVIDER}\nwsrep-cluster-name=komainu\nwsrep-node-name={name}\n\
         wsrep-cluster-address=gcomm://{all}\nwsrep-node-address=127.0.0.1\nwsrep-sst-method=rsync\n\
         wsrep-sst-receive-address=127.0.0.1:{sst}\nwsrep-sst-donor=g3,g2,\n\
         # The tests' target tells monitors apart by numbers without gaps.\nwsrep-auto-increment-control=OFF\n\
         # Nothing may rest on the server's own attempts.\nwsrep-retry-autocommit=0\n\
         wsrep-provider-options=\"base_host=127.0.0.1;base_port={group};gmcast.listen_addr=tcp://127.0.0.1:{group};\
         ist.recv_addr=127.0.0.1:{ist};gcache.size=16M;\
         evs.keepalive_period=PT0.5S;evs.inactive_check_period=PT0.25S;evs.suspect_timeout=PT2S\"\n",
        user = account(),
    )
}

/// Who runs the servers: the transfer of a whole state must not be root's.
fn account() -> String {
    if rustix::process::getuid().is_root() { "mysql".to_owned() } else { std::env::var("USER").unwrap_or_default() }
}

fn own(folder: &Path) {
    if rustix::process::getuid().is_root() {
        let done = Command::new("chown").args(["-R", "mysql:"]).arg(folder).status();
        assert!(done.unwrap().success());
    }
}

async fn is_synced(url: &str) -> bool {
    says(url, "wsrep_local_state_comment", "Synced").await
}

async fn says(url: &str, name: &str, value: &str) -> bool {
    let Ok(mut wire) = MySqlConnection::connect(url).await else { return false };
    let sql = format!("SHOW STATUS LIKE '{name}'");
    let asked = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut wire).await;
    asked.is_ok_and(|rows| rows.iter().any(|row| row.get_unchecked::<String, _>(1) == value))
}

#[expect(clippy::print_stderr, reason = "what was left out is said where the tests are read")]
fn say(word: &str) {
    eprintln!("{word}");
}
