//! What becomes of each of UptimeRobot's monitors: a check, a heartbeat, or nothing, and what of it has no counterpart. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use url::Url;

use super::robot::{Auth, Kind, Robot};
use crate::check::WORDS_OF_PATHS;
use crate::cli::monitors::bulk::Fields;
use crate::heartbeat::NAME_CHARS;

/// What becomes of one.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    /// As people know it there.
    pub(super) theirs: String,
    /// Its name here.
    pub(super) name: String,
    pub(super) what: Became,
    /// What of it is left behind.
    pub(super) without: Vec<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Became {
    Check(Fields),
    Heartbeat(Fields),
    /// Why.
    Nothing(String),
}

/// Room for what tells two of one name apart.
const STEM_CHARS: usize = NAME_CHARS - 20;

/// Their default: what answers so is up.
const CODES: [&str; 2] = ["200-299", "300-399"];

/// What all of them become, each under a name of its own.
pub(super) fn all(robots: &[Robot]) -> Vec<Line> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for robot in robots {
        *count.entry(stem(&robot.name)).or_default() += 1;
    }
    let name = |robot: &Robot| {
        let stem = stem(&robot.name);
        // Of several of one name each bears its number there, the same in every run.
        let is_alone = count.get(&stem).is_none_or(|count| *count == 1);
        if stem.is_empty() {
            format!("uptimerobot-{}", robot.id)
        } else if is_alone && !WORDS_OF_PATHS.contains(&stem.as_str()) {
            stem
        } else {
            format!("{stem}-{}", robot.id)
        }
    };
    robots.iter().map(|robot| line(robot, name(robot))).collect()
}

/// Letters, digits, dots, dashes and underscores; everything else is a dash.
fn stem(name: &str) -> String {
    let kept =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() || "._".contains(letter) { letter } else { '-' });
    let mut stem = String::new();
    for letter in kept {
        if letter != '-' || !stem.ends_with('-') {
            stem.push(letter.to_ascii_lowercase());
        }
    }
    let stem = stem.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    stem.chars().take(STEM_CHARS).collect::<String>().trim_end_matches('-').to_owned()
}

fn line(robot: &Robot, name: String) -> Line {
    let mut without = vec![];
    let what = match &robot.kind {
        Kind::Http | Kind::Keyword => web(robot, &mut without),
        Kind::Ping => host(&robot.url).map(|host| fields([("type", json!("ping")), ("hostname", json!(host))])),
        Kind::Port => port(robot),
        Kind::Heartbeat => {
            let what = Became::Heartbeat(heartbeat(robot, &name, &mut without));
            return Line { theirs: robot.name.clone(), name, what, without };
        }
        Kind::Other(kind) => Err(format!("of type {kind}, which is not taken over")),
    };
    let what = what.map_or_else(Became::Nothing, |own| Became::Check(timed(robot, &name, own, &mut without)));
    Line { theirs: robot.name.clone(), name, what, without }
}

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    pairs.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

/// What every check has.
fn timed(robot: &Robot, name: &str, own: Fields, without: &mut Vec<String>) -> Fields {
    let mut check = own;
    let interval_s = robot.interval_s.unwrap_or(300).clamp(5, 86_400);
    check.extend(fields([("name", json!(name)), ("interval", json!(interval_s)), ("paused", json!(robot.is_paused))]));
    match robot.timeout_s {
        Some(timeout_s) if timeout_s < interval_s => {
            check.insert("timeout".to_owned(), json!(timeout_s));
        }
        Some(timeout_s) => without.push(format!("a timeout of {timeout_s} s: it must be below the interval")),
        None => {}
    }
    if !robot.tags.is_empty() {
        check.insert("tags".to_owned(), json!(robot.tags));
    }
    check
}

fn web(robot: &Robot, without: &mut Vec<String>) -> Result<Fields, String> {
    let is_keyword = robot.kind == Kind::Keyword;
    let method = robot.method.clone().unwrap_or_else(|| if is_keyword { "GET" } else { "HEAD" }.to_owned());
    let mut own = fields([
        ("type", json!(if is_keyword { "keyword" } else { "http" })),
        ("url", json!(robot.url)),
        ("method", json!(method)),
        ("accepted_statuscodes", json!(codes(&robot.codes, without))),
    ]);
    if is_keyword {
        own.extend(fields([("keyword", json!(robot.keyword.value)), ("invert_keyword", json!(robot.keyword.is_bad))]));
        if robot.keyword.is_any_case {
            without.push("that the keyword may be written in any case: a check's is taken letter by letter".to_owned());
        }
    }
    match &robot.auth {
        Auth::None => {}
        Auth::Basic => {
            own.extend(fields([("auth_method", json!("basic")), ("basic_auth_user", json!(robot.user))]));
            if robot.password.is_empty() {
                without.push("its password, which the list does not hold: set basic_auth_pass".to_owned());
            } else {
                own.insert("basic_auth_pass".to_owned(), json!(robot.password));
            }
        }
        Auth::Other(word) => return Err(format!("it signs in by {word}, which no check does by itself")),
    }
    if !robot.headers.is_empty() {
        own.insert("headers".to_owned(), Value::Object(robot.headers.clone()));
    }
    if robot.web.follows == Some(false) {
        own.insert("maxredirects".to_owned(), json!(0));
    }
    if robot.web.checks_tls == Some(false) {
        own.insert("ignore_tls".to_owned(), json!(true));
    }
    body(robot, &method, &mut own, without);
    Ok(own)
}

fn codes(theirs: &[String], without: &mut Vec<String>) -> Vec<String> {
    let mut codes = vec![];
    for one in theirs {
        match one.to_lowercase().strip_suffix("xx") {
            Some(hundred) => codes.push(format!("{hundred}00-{hundred}99")),
            None if one.len() == 3 && one.bytes().all(|byte| byte.is_ascii_digit()) => codes.push(one.clone()),
            None => without.push(format!("the status code {one}")),
        }
    }
    if codes.is_empty() { CODES.map(str::to_owned).into() } else { codes }
}

/// Of requests that send one. A list keeps what was written there once, also where nothing is sent any more.
fn body(robot: &Robot, method: &str, own: &mut Fields, without: &mut Vec<String>) {
    let theirs = &robot.body.value;
    let value = theirs.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| theirs.clone());
    if !["POST", "PUT", "PATCH", "DELETE"].contains(&method) || value.is_null() || value == json!("") {
        return;
    }
    let (encoding, text) = match (&value, robot.body.is_form) {
        (Value::Object(pairs), true) => ("form", form(pairs)),
        (Value::String(_), _) => {
            without.push("its body, which is no JSON: set body and http_body_encoding".to_owned());
            return;
        }
        (value, _) => ("json", value.to_string()),
    };
    own.extend(fields([("http_body_encoding", json!(encoding)), ("body", json!(text))]));
}

fn form(pairs: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = pairs.iter().map(|(name, value)| (name, text(value)));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn port(robot: &Robot) -> Result<Fields, String> {
    let port = robot.port.ok_or("the list does not say which port")?;
    Ok(fields([("type", json!("port")), ("hostname", json!(host(&robot.url)?)), ("port", json!(port))]))
}

/// They take an address where a host is meant.
fn host(url: &str) -> Result<String, String> {
    let is_address = url.contains("://");
    let parsed = Url::parse(url).ok().filter(|_| is_address);
    let bare = parsed.as_ref().and_then(Url::host_str).unwrap_or(url).trim_matches(['[', ']']);
    if bare.is_empty() { Err("the list does not say which host".to_owned()) } else { Ok(bare.to_owned()) }
}

fn heartbeat(robot: &Robot, name: &str, without: &mut Vec<String>) -> Fields {
    let mut own = fields([("name", json!(name)), ("period_s", json!(robot.interval_s.unwrap_or(300).max(1)))]);
    if let Some(grace_s) = robot.grace_s {
        own.insert("grace_s".to_owned(), json!(grace_s));
    }
    if !robot.tags.is_empty() {
        own.insert("tags".to_owned(), json!(robot.tags));
    }
    without.push("its address: the job must report to komainu, signed (docs/heartbeats.md)".to_owned());
    if robot.is_paused {
        own.insert("paused".to_owned(), json!(true));
    }
    own
}
