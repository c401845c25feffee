//! The watchdog whose dashboard is looked at, and somebody who has signed in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;

use crate::it::cluster::database::Kind;
use crate::it::cluster::ports::free_port;
use crate::it::cluster::process::Process;
use crate::it::cluster::wait::wait_until;
use crate::simulated::{NODES, Simulated, Size};

/// Beats stored of each monitor.
const PAST: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything of this bench; ended when dropped.
pub(crate) struct Desk {
    /// Of the one who looks.
    pub(crate) key: String,
    cookie: String,
    http: reqwest::Client,
    base: String,
    watchdog: Process,
    cluster: Simulated,
}

impl Desk {
    /// Waits until the list of monitors is there.
    pub(crate) async fn open(monitors: usize) -> Self {
        let share = monitors / NODES;
        let cluster = Simulated::start(Kind::MariaDb, Size { first: share, others: share, beats: PAST }).await;
        let port = free_port();
        let config = cluster.folder.path().join("w1.toml");
        let text = format!(
            "[cluster]\nname = \"bench\"\nkey = \"{}\"\n[database]\nurl = \"{}\"\n[watchdog]\nid = \"w1\"\n\
             listen = \"127.0.0.1:{port}\"\nstate_dir = \"{}\"\n",
            String::from_utf8_lossy(cluster.key.as_bytes()),
            cluster.url,
            cluster.folder.path().join("w1.state").display(),
        );
        std::fs::write(&config, text).unwrap();
        let watchdog = Process::start_with_log("watchdog", &config, "info");
        cluster.wait_until_online().await;
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build().unwrap();
        let (key, base) = (new_key(&config), format!("http://127.0.0.1:{port}"));
        let mut desk = Self { key, cookie: String::new(), http, base, watchdog, cluster };
        desk.sign_in().await;
        let is_there = async || desk.says("/watch/monitors", "The list was read").await;
        wait_until("the list of monitors is there", PATIENCE, is_there).await;
        desk
    }

    async fn sign_in(&mut self) {
        let request = self.http.post(self.url("/watch/sign-in")).header(ORIGIN, &self.base);
        let form = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(format!("key={}", self.key));
        let answer = form.send().await.unwrap();
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn says(&self, path: &str, words: &str) -> bool {
        let answer = self.http.get(self.url(path)).header(COOKIE, &self.cookie).send().await.unwrap();
        answer.text().await.unwrap().contains(words)
    }

    /// Packed. Its head is there, its body comes.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let request = self.http.get(self.url(path)).header(COOKIE, &self.cookie).header(ACCEPT_ENCODING, "gzip, br");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer
    }

    /// Of the watchdog, in RAM.
    pub(crate) fn memory_kib(&self) -> u64 {
        crate::usage::resident_kib(self.watchdog.id())
    }

    pub(crate) async fn renewals(&self) -> u64 {
        self.cluster.database.rows("SELECT renewals FROM komainu_leader").await[0][0].parse().unwrap()
    }
}

fn new_key(config: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_komainu"));
    command.args(["apikeys", "create", "bench", "--scope", "admin", "--config"]).arg(config);
    let made = command.output().unwrap();
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
