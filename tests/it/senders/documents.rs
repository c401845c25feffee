//! Runs what docs/heartbeats.md shows, and what `--print` prints, as it stands there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::receiver::{Receiver, SECRET};
use crate::cluster::wait::wait_until;

const DOCUMENT: &str = include_str!("../../../docs/heartbeats.md");

/// Only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

/// The home of a user that runs jobs.
pub(super) struct Home {
    folder: TempDir,
    url: String,
}

impl Home {
    /// An empty one, whose programs report to `url`.
    pub(super) fn new(url: String) -> Self {
        Self { folder: tempfile::Builder::new().prefix("komainu-home-").tempdir().unwrap(), url }
    }

    /// With the document's secret stored as the document says.
    async fn with_secret(url: String) -> Self {
        let home = Self::new(url);
        home.store(SECRET).await;
        home
    }

    /// Stores this secret as the document says.
    pub(super) async fn store(&self, secret: &str) {
        assert_went_well(&self.paste(&block("sh", SECRET).replace(SECRET, secret)).await);
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_komainu")).parent().unwrap().to_owned();
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(own).chain(std::env::split_paths(&inherited));
        let path: OsString = std::env::join_paths(path).unwrap();
        let mut command = Command::new(program);
        command.env("HOME", self.path()).env("PATH", path).env("KOMAINU_URL", &self.url).current_dir(self.path());
        command.env_remove("KOMAINU_HEARTBEAT_SECRET").env_remove("KOMAINU_HEARTBEAT_SECRET_FILE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Into a shell.
    pub(super) async fn paste(&self, text: &str) -> Output {
        let mut shell = self.command("bash").arg("-s").stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).await.unwrap();
        drop(stdin);
        tokio::time::timeout(LIMIT, shell.wait_with_output()).await.unwrap().unwrap()
    }

    pub(super) async fn run(&self, program: &str, arguments: &[&str]) -> Output {
        tokio::time::timeout(LIMIT, self.command(program).args(arguments).output()).await.unwrap().unwrap()
    }
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fenced = DOCUMENT.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// The first block of a language that holds these words.
pub(super) fn block(language: &str, words: &str) -> &'static str {
    blocks(language).into_iter().find(|block| block.contains(words)).unwrap()
}

pub(super) fn assert_went_well(output: &Output) {
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {said}", output.status);
}

/// A program in a file: ok, the start of a run, a failure with a message, in this order.
async fn tells_all_three(file: &str, program: &str, text: &str) {
    let receiver = Receiver::start().await;
    let home = Home::with_secret(receiver.url()).await;
    let file = home.write(file, text);
    let file = file.to_str().unwrap();
    for arguments in [&[file][..], &[file, "start"], &[file, "fail", "disk full, \"really\" ä"]] {
        assert_went_well(&home.run(program, arguments).await);
    }
    let pushes = receiver.pushes();
    assert_eq!(receiver.statuses(), ["ok", "start", "fail"]);
    assert!(pushes.iter().all(|taken| taken.name == "backup" && taken.signed_by == "sha256"), "{pushes:?}");
    assert!(pushes[2].body["message"].as_str().unwrap().starts_with("disk full, "), "{pushes:?}");
}

/// A program that a watchdog refuses says so and fails, at once.
async fn tells_of_a_refusal(file: &str, program: &str, text: &str) {
    let receiver = Receiver::start().await;
    let home = Home::with_secret(receiver.url()).await;
    let file = home.write(file, text);
    home.write("wrong", "another");
    let mut command = home.command(program);
    command.arg(file).env("KOMAINU_HEARTBEAT_SECRET_FILE", home.path().join("wrong"));
    let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no heartbeat of that name takes this signature"), "{said}");
}

/// A program that knows two watchdogs, the first of which is gone.
async fn asks_the_next(file: &str, program: &str, text: &str) {
    let receiver = Receiver::start().await;
    let gone = format!("http://127.0.0.1:{}", crate::cluster::ports::free_port());
    let home = Home::with_secret(format!("{gone},{}/", receiver.url())).await;
    let file = home.write(file, text);
    assert_went_well(&home.run(program, &[file.to_str().unwrap()]).await);
    assert_eq!(receiver.statuses(), ["ok"]);
}

#[tokio::test]
async fn the_lines_for_komainu_itself_do_as_the_document_says() {
    let receiver = Receiver::start().await;
    let home = Home::with_secret(receiver.url()).await;
    assert_went_well(&home.paste(block("sh", "komainu wrap")).await);
    let end: Vec<_> = receiver.statuses().into_iter().filter(|status| status != "start").collect();
    assert_eq!(end, ["ok", "ok"]);
}

#[tokio::test]
#[ignore = "needs curl and openssl"]
async fn the_lines_of_curl_and_openssl_do_as_the_document_says() {
    let receiver = Receiver::start().await;
    let home = Home::with_secret(receiver.url()).await;
    assert_went_well(&home.paste(block("sh", "-sha256")).await);
    assert_went_well(&home.paste(block("sh", "-sha1")).await);
    let signed_by: Vec<_> = receiver.pushes().iter().map(|taken| taken.signed_by).collect();
    assert_eq!(signed_by, ["sha256", "sha1"]);
}

#[tokio::test]
#[ignore = "needs curl and openssl"]
async fn the_bash_program_does_as_the_document_says() {
    let text = block("bash", "curl");
    tells_all_three("heartbeat.sh", "bash", text).await;
    tells_of_a_refusal("heartbeat.sh", "bash", text).await;
    asks_the_next("heartbeat.sh", "bash", text).await;
}

#[tokio::test]
#[ignore = "needs python3"]
async fn the_python_program_does_as_the_document_says() {
    let text = block("python", "hmac");
    tells_all_three("heartbeat.py", "python3", text).await;
    tells_of_a_refusal("heartbeat.py", "python3", text).await;
    asks_the_next("heartbeat.py", "python3", text).await;
}

#[tokio::test]
#[ignore = "needs Node.js"]
async fn the_node_program_does_as_the_document_says() {
    let text = block("js", "#!/usr/bin/env node");
    tells_all_three("heartbeat.mjs", "node", text).await;
    tells_of_a_refusal("heartbeat.mjs", "node", text).await;
    asks_the_next("heartbeat.mjs", "node", text).await;
}

#[tokio::test]
#[ignore = "needs Node.js"]
async fn the_hubot_script_does_as_the_document_says() {
    let receiver = Receiver::start().await;
    let home = Home::new(receiver.url());
    home.write("komainu.mjs", block("js", "robot"));
    // As much of a robot as the script touches.
    let robot = "import script from './komainu.mjs';\n\
        await script({ name: 'hal', logger: { warning: (text) => console.error(text) } });\n";
    let robot = home.write("robot.mjs", robot);
    let mut command = home.command("node");
    command.arg(robot).env("KOMAINU_HEARTBEAT", "bot").env("KOMAINU_HEARTBEAT_SECRET", SECRET);
    let mut node = command.spawn().unwrap();
    wait_until("the bot reports", LIMIT, async || !receiver.pushes().is_empty()).await;
    let taken = receiver.pushes().remove(0);
    assert_eq!((taken.name.as_str(), taken.body["message"].as_str()), ("bot", Some("hal")));
    assert!(node.try_wait().unwrap().is_none(), "it goes on reporting");
}

/// The value of each line `key=…` of a unit.
fn settings<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// Units refer to files of the whole system; here these are in a folder.
fn moved(home: &Home, text: &str) -> String {
    let folder = home.path().to_str().unwrap();
    text.replace("/usr/local/bin/komainu", env!("CARGO_BIN_EXE_komainu")).replace("/etc/komainu", folder)
}

/// Runs a unit's commands as systemd would: its environment, its lines in order, no shell.
async fn run_unit(home: &Home, unit: &str, url: &str) {
    let unit = moved(home, unit).replace("https://komainu.example.com", url);
    for key in ["ExecStartPre", "ExecStart", "ExecStopPost"] {
        for line in settings(&unit, key) {
            let line = line.trim_start_matches('-').replace("${SERVICE_RESULT}", "success");
            let mut words = line.split(' ');
            let mut command = home.command(words.next().unwrap());
            let environment = settings(&unit, "Environment").into_iter().map(|value| value.split_once('=').unwrap());
            // A service has no home.
            command.args(words).envs(environment).env_remove("HOME");
            let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
            assert_went_well(&output);
        }
    }
}

#[tokio::test]
#[ignore = "needs curl and openssl"]
async fn the_systemd_units_do_as_the_document_says() {
    let receiver = Receiver::start().await;
    let home = Home::new(receiver.url());
    home.write("backup.secret", SECRET);
    let script = home.write("backup.sh", block("bash", "curl"));
    std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    run_unit(&home, block("ini", "komainu wrap"), &receiver.url()).await;
    assert_eq!(receiver.pushes().last().unwrap().body["status"], "ok");
    let before = receiver.pushes().len();
    run_unit(&home, block("ini", "ExecStopPost"), &receiver.url()).await;
    assert_eq!(receiver.statuses()[before..], ["start", "ok"]);
}

#[tokio::test]
#[ignore = "needs systemd-analyze"]
async fn systemd_finds_nothing_wrong_with_the_units() {
    let home = Home::new(String::new());
    let units = [
        ("komainu-backup.service", block("ini", "komainu wrap")),
        ("komainu-backup.timer", block("ini", "[Timer]")),
        ("with-curl.service", block("ini", "ExecStopPost")),
    ];
    let files = units.map(|(name, text)| home.write(name, moved(&home, text).trim_start()));
    let files: Vec<_> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let output = home.run("systemd-analyze", &[&["verify", "--man=no"], files.as_slice()].concat()).await;
    assert_went_well(&output);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "needs curl, openssl, python3 and Node.js"]
async fn what_is_printed_works_when_pasted() {
    for (number, kind) in ["curl", "python", "node"].into_iter().enumerate() {
        let receiver = Receiver::start().await;
        let home = Home::new(receiver.url());
        let line = ["heartbeats", "add", "db-1.nightly", "--period", "24h", "--print", kind];
        let output = home.run(env!("CARGO_BIN_EXE_komainu"), &line).await;
        assert_went_well(&output);
        let pasted = home.paste(&String::from_utf8(output.stdout).unwrap()).await;
        assert_went_well(&pasted);
        assert!(String::from_utf8_lossy(&pasted.stdout).contains("heartbeat db-1.nightly sent"), "{number} {pasted:?}");
        assert_eq!(receiver.pushes()[0].name, "db-1.nightly");
        let secret = home.path().join(".config/komainu/db-1.nightly.secret");
        let mode = std::os::unix::fs::PermissionsExt::mode(&secret.metadata().unwrap().permissions());
        assert_eq!((std::fs::read_to_string(&secret).unwrap().trim(), mode & 0o077), (SECRET, 0));
    }
}
