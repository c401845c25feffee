//! Podman in namespaces of its own: its network, processes, images and volumes are nobody else's, and go with the test.
//!
//! A shell between the test and the namespaces waits for the pipe to close: they end with the test process, also when that is
//! killed, and their folder with them.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::stack::{repository, words};

/// Only a failing test waits so long for one command; the first one builds the image.
const LIMIT_S: &str = "150";

/// The first process within: it makes what Podman writes to private, and takes in orphans until it is killed.
const INNER: &str = r#"
read -r pid _ </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mkdir -p /var/lib/containers
mount --bind "$1/containers" /var/lib/containers
ip link set lo up
echo "$pid"
sleep infinity &
wait
"#;

/// Podman makes cgroups outside of all namespaces, and does not find each of them again.
const KEEPER: &str = r#"
dir=$1
cgroups() { find /sys/fs/cgroup -depth -type d -path '*/libpod_parent*' 2>/dev/null; }
before=$(cgroups)
unshare --net --mount --pid --fork --kill-child sh -ec "$2" inner "$dir" & pid=$!
read -r word
kill -KILL "$pid"
wait "$pid" 2>/dev/null
rm -rf "$dir"
cgroups | grep -vxF "$before" | xargs -r rmdir 2>/dev/null
"#;

/// runc, because crun starts nothing on hosts that have both versions of cgroups mounted.
const CONFIGURATION: &str = "[engine]\nruntime = \"runc\"\n[network]\nnetwork_config_dir = \"PLACE/networks\"\n";

/// The namespaces, and a folder for all that is made.
pub(super) struct Engine {
    keeper: Child,
    pid: String,
    folder: PathBuf,
}

impl Engine {
    /// None where something is missing, which is said.
    pub(super) fn start() -> Option<Self> {
        if let Some(missing) = missing() {
            leave_out(&missing);
            return None;
        }
        let engine = Self::begin();
        if engine.pid.is_empty() {
            leave_out("no namespaces can be made here");
            return None;
        }
        Some(engine)
    }

    fn begin() -> Self {
        let folder = tempfile::Builder::new().prefix("komainu-containers-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let folder = folder.unwrap().keep();
        for part in ["containers", "networks", "tmp"] {
            std::fs::create_dir(folder.join(part)).unwrap();
        }
        let place = folder.to_str().unwrap();
        std::fs::write(folder.join("containers.conf"), CONFIGURATION.replace("PLACE", place)).unwrap();
        let mut keeper = Command::new("sh");
        // A signal to the test's whole group must not take the keeper before it has cleaned up.
        keeper.process_group(0).args(["-c", KEEPER, "keeper", place, INNER]);
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        Self { keeper, pid: pid.trim().to_owned(), folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command in the namespaces, begun in this folder.
    pub(super) fn command(&self, place: &Path, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", LIMIT_S, "nsenter", "--net", "--mount", "--pid", "--target", &self.pid]);
        command.args(["sh", "-c", r#"cd "$0" && exec "$@""#]).arg(place).arg(program);
        let path = format!("{}:{}", compose().parent().unwrap().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("TMPDIR", self.folder.join("tmp"));
        command.env("CONTAINERS_CONF", self.folder.join("containers.conf"));
        command.env_remove("KOMAINU").env_remove("COMPOSE_FILE").stdin(Stdio::null());
        command
    }

    /// `podman` with these arguments, separated by spaces; what came of it.
    pub(super) fn try_podman(&self, line: &str) -> Output {
        self.command(&self.folder, "podman").args(line.split(' ')).output().unwrap()
    }

    /// The same where it must go well; what it said, without complaints.
    pub(super) fn podman(&self, line: &str) -> String {
        answered(line, &self.try_podman(line))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The standard output of what must have gone well.
pub(super) fn answered(line: &str, output: &Output) -> String {
    assert!(output.status.success(), "{line}: {}: {}", output.status, words(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Where tests/run installs it.
fn compose() -> PathBuf {
    repository("target/podman-compose/bin/podman-compose")
}

/// Why nothing can be tried here.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it is tried as root only".to_owned());
    }
    if !compose().exists() {
        return Some("there is no podman-compose here".to_owned());
    }
    let found = |program: &&str| {
        // The last one is where Podman has what makes its networks.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/lib/podman:/usr/libexec/podman";
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    };
    let needed =
        ["podman", "netavark", "aardvark-dns", "runc", "iptables", "debootstrap", "ip", "unshare", "nsenter", "strip"];
    needed.iter().find(|program| !found(program)).map(|program| format!("there is no {program} here"))
}

/// Why nothing is tried.
pub(super) fn leave_out(why: &str) {
    say(&format!("left out: containers, because {why}"));
}

#[expect(
    clippy::print_stderr,
    reason = "what was left out, and how long things took, is said where the tests are read"
)]
pub(super) fn say(word: &str) {
    eprintln!("{word}");
}
