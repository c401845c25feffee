//! One real gateway: `compose/openresty/start` with a folder and a loopback port of its own, ended by its process id.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::redirect::Policy;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::ports::free_port;
use crate::cluster::wait::wait_until;

/// The gateway's key of every story.
pub(crate) const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// nginx with its processes; ended when dropped.
pub(crate) struct Nginx {
    folder: TempDir,
    port: u16,
    command: Command,
    child: Child,
    http: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

impl Nginx {
    /// Starts before these watchdogs, and waits until it answers.
    pub(crate) async fn start(watchdogs: &[String], key: &str, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("komainu-gateway-").tempdir().unwrap();
        // Its processes give up the rights of root, if they had any.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let key_file = folder.path().join("gateway.key");
        std::fs::write(&key_file, format!("{key}\n")).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let port = free_port();
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/openresty/start"));
        command
            .env("KOMAINU_GATEWAY_DIR", folder.path().join("place"))
            .env("KOMAINU_GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            .env("KOMAINU_GATEWAY_WORKERS", "2")
            .env("KOMAINU_GATEWAY_KEY_FILE", &key_file)
            .env("KOMAINU_WATCHDOGS", watchdogs.join(","))
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let limit = Duration::from_secs(20);
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(limit).build().unwrap();
        let mut gateway = Self { folder, port, command, child, http };
        gateway.wait_until_it_listens().await;
        gateway
    }

    async fn wait_until_it_listens(&mut self) {
        let answers = async || {
            assert!(self.child.try_wait().unwrap().is_none(), "the gateway ended: {}", self.log());
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        };
        wait_until("the gateway listens", Duration::from_secs(30), answers).await;
    }

    /// Ends it, and starts it as it was started, in the same folder.
    pub(crate) async fn restart(&mut self) {
        self.signal(Signal::TERM);
        self.child.wait().unwrap();
        self.child = self.command.spawn().unwrap();
        self.wait_until_it_listens().await;
    }

    /// Where it writes.
    pub(crate) fn place(&self) -> std::path::PathBuf {
        self.folder.path().join("place")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Heard {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, self.url(path)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Heard { status, headers, body: answer.text().await.unwrap() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Asks the master for something.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The processes that serve.
    pub(crate) fn workers(&self) -> Vec<Pid> {
        let master = self.child.id();
        let list = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        list.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
    }

    /// Held by all processes that serve.
    pub(crate) fn descriptors(&self) -> usize {
        let of = |pid: Pid| std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).map_or(0, Iterator::count);
        self.workers().into_iter().map(of).sum()
    }

    /// What it wrote, requests included.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Nginx {
    /// By SIGTERM: its master ends its workers, which SIGKILL would leave behind.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(25).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            #[expect(clippy::print_stderr, reason = "this is where a failed test explains itself")]
            {
                eprintln!("--- gateway\n{}", tail.join("\n"));
            }
        }
    }
}
