//! Bytes of strangers, and of files that somebody else wrote: nothing falls over them, and what was understood of them is
//! what they say.
//!
//! One target for each place where such bytes are read. `fuzz/` lets a fuzzer loose on them, with the seeds of
//! `fuzz/seeds`; the tests here try each seed and some hundred mutations of it, the same each time, in seconds. What is
//! right of each format is the business of the tests beside its reader.

use komainu_watchdogs::facts::Report;
use komainu_watchdogs::heartbeat::PushStatus;
use komainu_watchdogs::time::Wall;

use crate::heartbeat::schedule::Schedule;
use crate::heartbeat::secret::{Proof, Secrets, sign};
use crate::heartbeat::{body, is_name};
use crate::node::windows::calendar::Window;
use crate::run;
use crate::run::spec::accepts_status;
use crate::sender::answer::{WatchdogAnswer, judge};
use crate::sender::push::{Push, Status};
use crate::signature::{self, SignatureError};
use crate::store::MonitorSpec;
use crate::store::windows::WindowRow;
use crate::{api, cli, probe, sender};

/// What is done with some bytes; it panics where a promise is broken.
pub type Target = fn(&[u8]);

/// By name: a binary of `fuzz/` each, and a folder of seeds.
pub const TARGETS: [(&str, Target); 14] = [
    ("push_body", push_body),
    ("push_path", push_path),
    ("push_signature", push_signature),
    ("signed_call", signed_call),
    ("peer_report", peer_report),
    ("node_answer", probe::node::hostile),
    ("push_answer", push_answer),
    ("bulk", api::monitors::bulk::items::hostile),
    ("backup", cli::import::backup::hostile),
    ("uptimerobot", cli::import::uptimerobot::hostile),
    ("apply", cli::apply::document::hostile),
    ("kuma_columns", kuma_columns),
    ("cron", cron),
    ("windows", windows),
];

/// 22 November 2025.
const NOW: Wall = Wall(1_763_800_000_250);

/// Beyond it (the year 2242) a double no longer tells two microseconds apart.
const EXACT_US: i64 = (1 << 33) * 1_000_000;

/// What the parser of a push understood, the sender says in the same words.
fn push_body(bytes: &[u8]) {
    let Ok(read) = body::parse(bytes) else { return };
    if read.push.time_us >= EXACT_US {
        return;
    }
    let status = match read.push.status {
        PushStatus::Ok => Status::Ok,
        PushStatus::Start => Status::Start,
        PushStatus::Fail => Status::Fail,
    };
    let said = Push {
        time_us: read.push.time_us,
        status,
        message: read.message.clone(),
        duration_ms: read.duration_ms.and_then(|ms| u64::try_from(ms).ok()),
        exit_code: read.exit_code,
        run_id: read.push.run_id.clone(),
    };
    assert_eq!(body::parse(&said.body()), Ok(read));
}

/// What counts as a name needs no escaping anywhere, so that an address, a shell and a file name hold it as it is.
fn push_path(bytes: &[u8]) {
    let Ok(name) = std::str::from_utf8(bytes) else { return };
    let watchdog = "https://w1.example.com:8900/komainu/".parse().expect("that is an address");
    let address = sender::address(&watchdog, name).expect("https addresses have paths");
    if is_name(name) {
        assert_eq!(address.path(), format!("/komainu/heartbeats/{name}"));
    }
    // Whatever the name, nobody is led to another watchdog, or out of its folder.
    assert_eq!(address.origin(), watchdog.origin());
    assert!(address.path().starts_with("/komainu/heartbeats"), "{address}");
    assert_eq!((address.query(), address.fragment()), (None, None));
}

/// Whatever a stranger writes into the headers, a push is taken only when it was signed over exactly its bytes.
fn push_signature(bytes: &[u8]) {
    const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";
    let (header, rest) = line(bytes);
    let (legacy, body) = line(rest);
    let secrets = Secrets::new(vec![SECRET.to_owned()], true);
    let signed = sign(SECRET, body);
    // Hex digits of either case, blanks around it.
    let digits = |text: &str| text.trim().strip_prefix("sha256=").map(str::to_ascii_lowercase);
    let is_right = digits(&header).is_some() && digits(&header) == digits(&signed);
    assert_eq!(secrets.have_signed(body, Proof { sha256: Some(&header), sha1: Some(&legacy) }), is_right);
    assert!(secrets.have_signed(body, Proof { sha256: Some(&signed), sha1: Some(&legacy) }));
    let other = [body, b"x"].concat();
    assert!(!secrets.have_signed(&other, Proof { sha256: Some(&signed), sha1: None }));
    let _ = secrets.have_signed(body, Proof { sha256: None, sha1: Some(&header) });
}

/// The same of calls between komainu's parts.
fn signed_call(bytes: &[u8]) {
    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
    const PATH: &str = "/peer/v1/report";
    let (header, body) = line(bytes);
    let right = signature::sign(KEY, NOW, "GET", PATH, body);
    assert_eq!(signature::verify(KEY, &right, NOW, "GET", PATH, body), Ok(()));
    let other = [body, b"x"].concat();
    assert_eq!(signature::verify(KEY, &right, NOW, "GET", PATH, &other), Err(SignatureError::Mismatch));
    if signature::verify(KEY, &header, NOW, "GET", PATH, body).is_ok() {
        let code = right.rsplit('=').next().expect("a text has a last part").to_owned();
        let is_now = header.contains(&NOW.0.to_string());
        assert!(!is_now || header.to_ascii_lowercase().contains(&code), "{header} is no signature of ours");
    }
}

/// What one watchdog says, another one says in the same words.
fn peer_report(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<Report>(bytes) else { return };
    let said = serde_json::to_vec(&read).expect("a report can be written down");
    assert_eq!(serde_json::from_slice::<Report>(&said).expect("what was written down is a report"), read);
}

/// Whoever answers where a watchdog is looked for.
fn push_answer(bytes: &[u8]) {
    let (code, rest) = line(bytes);
    let (retry_after, body) = line(rest);
    let status = code.trim().parse().ok().and_then(|code| http::StatusCode::from_u16(code).ok()).unwrap_or_default();
    let answer = WatchdogAnswer { status, retry_after: Some(retry_after), location: None, body: body.to_vec() };
    let _ = judge(&answer, 1_763_800_000_250_001, NOW);
}

/// Columns in which Kuma keeps JSON, and others write what they like.
fn kuma_columns(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    if let Ok(accepted) = serde_json::from_str::<Vec<String>>(&text) {
        let _ = accepts_status(&accepted, 200);
    }
    let of = |headers: &str, body: &str| MonitorSpec {
        url: Some("http://target/".to_owned()),
        headers: Some(headers.to_owned()),
        body: Some(body.to_owned()),
        conditions: text.clone(),
        accepted_statuscodes_json: text.clone(),
        ..MonitorSpec::default()
    };
    run::read_columns(&of(&text, ""));
    run::read_columns(&of("", &text));
}

/// An expression is refused, or has a next time that is later.
fn cron(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(schedule) = Schedule::cron(text, "Europe/Berlin", NOW) else { return };
    let mut last = NOW;
    for _ in 0..3 {
        let Some(next) = schedule.next_due(last) else { return };
        assert!(next > last, "{text}: {next:?} after {last:?}");
        last = next;
    }
}

/// A row of Kuma's table of maintenance, a column a line.
fn windows(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n').map(str::to_owned);
    let mut next = || lines.next().filter(|line| !line.is_empty());
    let row = WindowRow {
        id: 1,
        strategy: next().unwrap_or_default(),
        cron: next(),
        duration: next().and_then(|text| text.parse().ok()),
        start_date: next(),
        end_date: next(),
        start_time: next(),
        end_time: next(),
        weekdays: next(),
        days_of_month: next(),
        interval_day: next().and_then(|text| text.parse().ok()),
        timezone: next(),
    };
    let Ok(window) = Window::read(&row, &jiff::tz::TimeZone::UTC) else { return };
    if let Some(span) = window.span(NOW, Wall(NOW.0 + 86_400_000)) {
        assert!(span.from < span.until, "{row:?}: {span:?}");
    }
}

/// The first line as text, and what follows it.
fn line(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    (String::from_utf8_lossy(line).into_owned(), rest.strip_prefix(b"\n").unwrap_or(rest))
}

#[cfg(test)]
mod tests;
