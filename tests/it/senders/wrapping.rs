//! `komainu wrap` and `komainu send` as processes: what they tell, and what the job and its surroundings notice of them.

use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::Duration;

use komainu::clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::receiver::{Receiver, SECRET};
use crate::cluster::ports::free_port;
use crate::cluster::wait::wait_until;

/// Only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(30);

fn komainu(receiver: &Receiver, line: &[&str]) -> Command {
    // Tests in a shell's background, or under nohup, ignore some signals, and what they start does so too.
    let mut command = Command::new("env");
    command
        .args(["--default-signal", env!("CARGO_BIN_EXE_komainu")])
        .args(line)
        .env("KOMAINU_URL", receiver.url())
        .env("KOMAINU_HEARTBEAT_SECRET", SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn wrap(receiver: &Receiver, script: &str) -> Command {
    komainu(receiver, &["wrap", "backup", "--", "sh", "-c", script])
}

async fn ended(mut command: Command) -> Output {
    tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The last push, which must not be a start.
fn end_told(receiver: &Receiver) -> Value {
    let last = receiver.pushes().last().expect("something was told").body.clone();
    assert_ne!(last["status"], "start");
    last
}

fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn send_tells_what_it_was_told_to_tell() {
    let receiver = Receiver::start().await;
    let line = ["send", "backup", "--message", "3 files", "--duration", "90s", "--exit-code", "2", "--run-id", "r7"];
    let output = ended(komainu(&receiver, &line)).await;
    assert!(output.status.success(), "{output:?}");
    let pushes = receiver.pushes();
    let body = &pushes[0].body;
    assert_eq!(pushes[0].signed_by, "sha256");
    assert_eq!(
        (pushes[0].name.as_str(), &body["status"], &body["message"]),
        ("backup", &"fail".into(), &"3 files".into())
    );
    assert_eq!((&body["duration_ms"], &body["exit_code"], &body["run_id"]), (&90_000.into(), &2.into(), &"r7".into()));
    assert!(text(&output.stdout).starts_with("backup: fail taken by http://127.0.0.1:"));
}

#[tokio::test]
async fn send_fails_in_the_watchdogs_own_words() {
    let receiver = Receiver::start().await;
    let mut command = komainu(&receiver, &["send", "backup"]);
    command.env("KOMAINU_HEARTBEAT_SECRET", "another");
    let output = ended(command).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("no heartbeat of that name takes this signature (HTTP 403)"), "{said}");
    assert!(!said.contains("another"));
}

#[tokio::test]
async fn send_asks_the_next_watchdog_where_one_is_gone() {
    let receiver = Receiver::start().await;
    let mut command = komainu(&receiver, &["send", "backup", "--quiet"]);
    command.env("KOMAINU_URL", format!("http://127.0.0.1:{}, {}", free_port(), receiver.url()));
    let output = ended(command).await;
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(receiver.statuses(), ["ok"]);
}

#[tokio::test]
async fn a_wrapped_command_passes_through_unchanged_and_is_told() {
    let receiver = Receiver::start().await;
    let mut command = wrap(&receiver, "printf 'out\\377\\000'; printf 'err\\n' >&2; cat; read -r never || exit 3");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // The start is told while the command runs.
    let is_told = async || receiver.statuses() == ["start"];
    wait_until("the start is told", LIMIT, is_told).await;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"in").await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice(), text(&output.stderr)),
        (Some(3), &b"out\xff\0in"[..], "err\n".into())
    );
    let pushes = receiver.pushes();
    let end = end_told(&receiver);
    assert_eq!((&end["status"], &end["exit_code"]), (&"fail".into(), &3.into()));
    assert_eq!(end["run_id"], pushes[0].body["run_id"]);
    assert!(end["duration_ms"].is_u64());
    let message = end["message"].as_str().unwrap();
    assert!(message.contains("out\u{fffd}") && message.contains("err"), "{message}");
}

#[tokio::test]
async fn output_is_passed_on_as_it_comes() {
    let receiver = Receiver::start().await;
    let mut child = wrap(&receiver, "printf first; read -r never").stdin(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 5];
    let read = child.stdout.as_mut().unwrap().read_exact(&mut first);
    tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
    assert_eq!(&first, b"first");
    drop(child.stdin.take());
    child.wait().await.unwrap();
}

#[tokio::test]
async fn streams_that_are_one_file_keep_their_order() {
    let receiver = Receiver::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = wrap(&receiver, "for i in $(seq 500); do echo o$i; echo e$i >&2; done");
    let out = file.reopen().unwrap();
    command.stdout(out.try_clone().unwrap()).stderr(out);
    assert!(command.status().await.unwrap().success());
    let expected: Vec<_> = (1..=500).flat_map(|i| [format!("o{i}"), format!("e{i}")]).collect();
    let written = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(written.lines().collect::<Vec<_>>(), expected);
    assert!(end_told(&receiver)["message"].as_str().unwrap().ends_with("o500\ne500"));
}

#[tokio::test]
async fn much_output_through_a_slow_reader_arrives_whole() {
    let receiver = Receiver::start().await;
    let mut child = wrap(&receiver, "head -c 3000000 /dev/zero; echo end >&2").spawn().unwrap();
    let told = async || {
        let mut line = [0; 4];
        child.stderr.as_mut().unwrap().read_exact(&mut line).await.is_ok()
    };
    let mut all = Vec::new();
    // Nothing is read until the command waits for room in the pipe.
    let mut part = [0; 1000];
    let count = child.stdout.as_mut().unwrap().read(&mut part).await.unwrap();
    all.extend_from_slice(&part[..count]);
    tokio::time::timeout(LIMIT, child.stdout.as_mut().unwrap().read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all.len(), 3_000_000);
    wait_until("the end is said", LIMIT, told).await;
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_long_output_is_told_by_its_end() {
    let receiver = Receiver::start().await;
    let output = ended(wrap(&receiver, "seq 100000; exit 1")).await;
    assert_eq!(output.stdout.len(), 588_895);
    let end = end_told(&receiver);
    let message = end["message"].as_str().unwrap();
    assert!(message.starts_with('…') && message.ends_with("99999\n100000") && message.len() <= 10 * 1024 + 4);
}

#[tokio::test]
async fn without_output_nothing_of_it_is_told() {
    let receiver = Receiver::start().await;
    let output = ended(komainu(&receiver, &["wrap", "backup", "--no-output", "--", "echo", "private"])).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "private\n".into()));
    let end = end_told(&receiver);
    assert_eq!((&end["status"], &end["message"]), (&"ok".into(), &Value::Null));
}

#[tokio::test]
async fn a_signal_is_passed_on_and_the_end_is_told() {
    let receiver = Receiver::start().await;
    for (sent, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP"), (Signal::USR1, "USR1")] {
        let script = format!("trap 'echo got {name}; exit 7' {name}; echo ready; while :; do read -r never; done");
        let mut child = wrap(&receiver, &script).stdin(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6];
        tokio::time::timeout(LIMIT, child.stdout.as_mut().unwrap().read_exact(&mut ready)).await.unwrap().unwrap();
        signal(&child, sent);
        // Some shells look at their traps when the read ends.
        drop(child.stdin.take());
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(7), format!("got {name}\n")));
        assert_eq!(end_told(&receiver)["exit_code"], 7);
    }
}

#[tokio::test]
async fn a_command_that_a_signal_kills_returns_128_and_its_number() {
    let receiver = Receiver::start().await;
    let output = ended(wrap(&receiver, "kill -KILL $$")).await;
    assert_eq!(output.status.code(), Some(137));
    let end = end_told(&receiver);
    assert_eq!((&end["exit_code"], &end["message"]), (&137.into(), &"killed by signal 9".into()));
}

#[tokio::test]
async fn what_is_ignored_stays_ignored() {
    let receiver = Receiver::start().await;
    // `trap '' HUP` is what nohup does.
    let script = r#"trap '' HUP; "$KOMAINU" wrap backup -- sh -c 'kill -HUP $$; echo alive'"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("KOMAINU", env!("CARGO_BIN_EXE_komainu"));
    command.env("KOMAINU_URL", receiver.url()).env("KOMAINU_HEARTBEAT_SECRET", SECRET);
    let output = ended(command).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "alive\n".into()));
}

#[tokio::test]
async fn a_reader_that_goes_away_stops_the_command_as_it_would_without() {
    let receiver = Receiver::start().await;
    let mut child = wrap(&receiver, "while :; do echo y; done").spawn().unwrap();
    let mut some = [0; 2];
    child.stdout.as_mut().unwrap().read_exact(&mut some).await.unwrap();
    drop(child.stdout.take());
    let status = tokio::time::timeout(LIMIT, child.wait()).await.unwrap().unwrap();
    assert!(matches!(status.code(), Some(code) if code != 0), "{status}");
    assert_eq!(end_told(&receiver)["status"], "fail");
}

#[tokio::test]
async fn output_that_finds_no_room_is_a_failure_as_it_is_without() {
    let receiver = Receiver::start().await;
    // One that ends before its output is written, one that goes on for ever, one that ends with a code of its own.
    for (script, code) in [("echo y", 1), ("while :; do echo y; done", 141), ("echo y; exit 3", 3)] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = wrap(&receiver, script);
        let child = command.stdout(full).spawn().unwrap();
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(said.contains("its output could not be written: No space left on device"), "{said}");
        let end = end_told(&receiver);
        assert_eq!((&end["status"], &end["exit_code"]), (&"fail".into(), &code.into()), "{script}");
        assert!(end["message"].as_str().unwrap().contains("No space left on device"), "{end}");
    }
}

#[tokio::test]
async fn a_process_left_behind_holds_nothing_up() {
    let receiver = Receiver::start().await;
    let begin = clock::now();
    let output = ended(wrap(&receiver, "sleep 20 & echo done")).await;
    assert!(clock::now().since(begin) < Duration::from_secs(15));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "done\n".into()));
    assert!(text(&output.stderr).contains("--no-output"));
    assert_eq!(end_told(&receiver)["message"], "done");
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_told_as_failed() {
    let receiver = Receiver::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    for (command, code, words) in [
        ("komainu-has-no-such-command", 127, "command not found"),
        (file.path().to_str().unwrap(), 126, "cannot be run"),
    ] {
        let output = ended(komainu(&receiver, &["wrap", "backup", "--", command])).await;
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stderr).contains(words));
        let end = end_told(&receiver);
        assert_eq!((&end["status"], &end["exit_code"]), (&"fail".into(), &code.into()));
        assert!(end["message"].as_str().unwrap().contains(words));
    }
}

#[tokio::test]
async fn the_job_is_never_broken_by_what_is_wrong_with_the_heartbeat() {
    let receiver = Receiver::start().await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for (variable, value, words) in [
        ("KOMAINU_URL", nobody.as_str(), "no watchdog took the push within 1 s"),
        ("KOMAINU_URL", "not an address", "no address of a watchdog"),
        ("KOMAINU_HEARTBEAT_SECRET", "", "no secret"),
        ("KOMAINU_HEARTBEAT_SECRET", "another", "HTTP 403"),
    ] {
        let line = ["wrap", "backup", "--retry-for", "1s", "--", "sh", "-c", "echo out; echo err >&2; exit 5"];
        let mut command = komainu(&receiver, &line);
        command.env(variable, value).env_remove("KOMAINU_HEARTBEAT_SECRET_FILE");
        let output = ended(command).await;
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(5), "out\n".into()));
        assert!(said.starts_with("err\nkomainu: could not tell how backup ended: ") && said.contains(words), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
    assert!(receiver.pushes().is_empty());
}

#[tokio::test]
async fn a_signal_after_the_job_ends_the_waiting_for_a_watchdog() {
    let receiver = Receiver::start().await;
    let mut command = wrap(&receiver, "echo over; exit 4");
    command.env("KOMAINU_URL", format!("http://127.0.0.1:{}", free_port()));
    let mut child = command.spawn().unwrap();
    let mut all = String::new();
    // The pipe closes with the job's end; what follows is waiting.
    let begin = clock::now();
    let read = child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).await;
    read.unwrap();
    wait_until("the job has ended", LIMIT, async || !has_children(&child)).await;
    signal(&child, Signal::TERM);
    child.stderr.as_mut().unwrap().read_to_string(&mut all).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(4));
    assert!(clock::now().since(begin) < Duration::from_secs(20) && all.contains("ended by signal 15"), "{all}");
}

#[tokio::test]
async fn a_signal_while_the_output_is_held_open_ends_the_wait_and_the_end_is_told() {
    let receiver = Receiver::start().await;
    let mut child = wrap(&receiver, "sleep 60 & echo $!; exit 4").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
    wait_until("the job has ended", LIMIT, async || !has_children(&child)).await;
    signal(&child, Signal::TERM);
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    kill_process(Pid::from_raw(line.trim().parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(4), String::new()));
    assert_eq!(end_told(&receiver)["exit_code"], 4, "a watchdog that answers is told nevertheless");
}

fn has_children(child: &Child) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id().unwrap()));
    children.is_ok_and(|children| !children.trim().is_empty())
}
