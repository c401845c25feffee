//! A list of UptimeRobot's monitors, whichever of its two APIs wrote it, in one form.
//!
//! Pure. Version 2 (`getMonitors`) has snake case and numbers for words, version 3 (`GET /v3/monitors`) camel case and words. Several
//! answers may stand one after another in a file: a long list comes in pages.

use serde_json::{Map, Value};

use crate::byte_order_mark;

/// What it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Http,
    Keyword,
    Ping,
    Port,
    Heartbeat,
    /// In UptimeRobot's word.
    Other(String),
}

/// How it signs in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Auth {
    None,
    Basic,
    /// In UptimeRobot's word.
    Other(String),
}

/// One monitor of theirs.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Robot {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) url: String,
    pub(super) port: Option<u64>,
    pub(super) interval_s: Option<u64>,
    pub(super) timeout_s: Option<u64>,
    pub(super) is_paused: bool,
    pub(super) method: Option<String>,
    pub(super) keyword: Keyword,
    pub(super) auth: Auth,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) headers: Map<String, Value>,
    /// As they write them: `2xx`, `404`; none: they did not say.
    pub(super) codes: Vec<String>,
    pub(super) body: Body,
    pub(super) grace_s: Option<u64>,
    pub(super) tags: Vec<String>,
    pub(super) web: Web,
}

/// What an answer must, or must not, hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Keyword {
    pub(super) value: String,
    /// It is down when it is there.
    pub(super) is_bad: bool,
    pub(super) is_any_case: bool,
}

/// What is sent.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Body {
    pub(super) value: Value,
    pub(super) is_form: bool,
}

/// Of web addresses; none: they did not say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Web {
    pub(super) follows: Option<bool>,
    pub(super) checks_tls: Option<bool>,
}

/// Ports of the services that version 2 knows by number.
const SERVICES: [(u64, u64); 6] = [(1, 80), (2, 443), (3, 21), (4, 25), (5, 110), (6, 143)];

const METHODS: [(u64, &str); 7] =
    [(1, "HEAD"), (2, "GET"), (3, "POST"), (4, "PUT"), (5, "PATCH"), (6, "DELETE"), (7, "OPTIONS")];

/// Reads a file: one answer, or several one after another.
pub(super) fn read(text: &str) -> anyhow::Result<Vec<Robot>> {
    let text = byte_order_mark::stripped(text);
    let mut found = vec![];
    for answer in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let answer = answer.map_err(|error| anyhow::anyhow!("it is no JSON: {error}"))?;
        found.extend(answer_of(&answer)?);
    }
    anyhow::ensure!(!found.is_empty(), "it holds no monitor");
    Ok(found)
}

/// The monitors of one answer.
pub(super) fn answer_of(answer: &Value) -> anyhow::Result<Vec<Robot>> {
    if answer.get("stat").and_then(Value::as_str) == Some("fail") {
        let words = answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("it does not say why");
        anyhow::bail!("UptimeRobot refused: {words}");
    }
    let list =
        answer.as_array().or_else(|| answer.get("data")?.as_array()).or_else(|| answer.get("monitors")?.as_array());
    let list = list.ok_or_else(|| {
        anyhow::anyhow!(
            "it is no list of UptimeRobot's monitors: neither `data` (version 3) nor `monitors` (version 2)"
        )
    })?;
    Ok(list.iter().filter_map(Value::as_object).map(robot).collect())
}

fn robot(of: &Map<String, Value>) -> Robot {
    // Whichever of the two names it has.
    let at = |three: &str, two: &str| of.get(three).or_else(|| of.get(two)).filter(|value| !value.is_null());
    let words = |three: &str, two: &str| at(three, two).map(plain).unwrap_or_default();
    let number = |three: &str, two: &str| at(three, two).and_then(whole);
    let method = match at("httpMethodType", "http_method") {
        Some(Value::String(word)) if word.parse::<u64>().is_err() => Some(word.to_uppercase()),
        sent => sent.and_then(whole).and_then(|number| word_of(&METHODS, number)).map(str::to_owned),
    };
    Robot {
        id: words("id", "id"),
        name: words("friendlyName", "friendly_name").trim().to_owned(),
        kind: kind(at("type", "type")),
        url: words("url", "url").trim().to_owned(),
        port: number("port", "port").or_else(|| service(number("subType", "sub_type"))),
        interval_s: number("interval", "interval"),
        timeout_s: number("timeout", "timeout").filter(|seconds| *seconds > 0),
        is_paused: matches!(words("status", "status").as_str(), "0" | "PAUSED"),
        method,
        keyword: keyword(of),
        auth: auth(&words("authType", "http_auth_type"), &words("httpUsername", "http_username")),
        user: words("httpUsername", "http_username"),
        password: words("httpPassword", "http_password"),
        headers: at("customHttpHeaders", "custom_http_headers").and_then(Value::as_object).cloned().unwrap_or_default(),
        codes: codes(of),
        body: body(of),
        grace_s: number("gracePeriod", "grace_period"),
        tags: tags(at("tags", "tags")),
        web: Web {
            follows: of.get("followRedirections").and_then(Value::as_bool),
            checks_tls: of.get("checkSSLErrors").and_then(Value::as_bool),
        },
    }
}

fn kind(sent: Option<&Value>) -> Kind {
    let word = sent.map(plain).unwrap_or_default();
    match word.to_uppercase().as_str() {
        "1" | "HTTP" => Kind::Http,
        "2" | "KEYWORD" => Kind::Keyword,
        "3" | "PING" => Kind::Ping,
        "4" | "PORT" => Kind::Port,
        "5" | "HEARTBEAT" => Kind::Heartbeat,
        _ => Kind::Other(word),
    }
}

fn auth(word: &str, user: &str) -> Auth {
    match word {
        "HTTP_BASIC" | "BASIC" => Auth::Basic,
        // Version 2 says 1 of every monitor, also of those that sign in nowhere.
        "1" | "" if !user.is_empty() => Auth::Basic,
        "" | "0" | "1" | "NONE" => Auth::None,
        "2" => Auth::Other("DIGEST".to_owned()),
        other => Auth::Other(other.to_owned()),
    }
}

fn keyword(of: &Map<String, Value>) -> Keyword {
    let words = |three: &str, two: &str| of.get(three).or_else(|| of.get(two)).map(plain).unwrap_or_default();
    let case = of.get("keyword_case_type").map(plain).unwrap_or_default() == "1";
    Keyword {
        value: words("keywordValue", "keyword_value"),
        is_bad: matches!(words("keywordType", "keyword_type").as_str(), "1" | "ALERT_EXISTS"),
        is_any_case: case || of.get("keywordCaseType").map(plain).as_deref() == Some("CaseInsensitive"),
    }
}

/// Those that count as up; version 2 writes `404:0_200:1`, and what counts as down there is said to be lost.
fn codes(of: &Map<String, Value>) -> Vec<String> {
    if let Some(list) = of.get("successHttpResponseCodes").and_then(Value::as_array) {
        return list.iter().map(plain).collect();
    }
    let text = of.get("custom_http_statuses").map(plain).unwrap_or_default();
    let said = |one: &str| match one.strip_suffix(":0") {
        Some(down) => format!("{down} as down"),
        None => one.trim_end_matches(":1").to_owned(),
    };
    text.split('_').filter(|one| !one.is_empty()).map(said).collect()
}

fn body(of: &Map<String, Value>) -> Body {
    let value = of.get("postValueData").or_else(|| of.get("post_value")).cloned().unwrap_or_default();
    let kind = of.get("postValueType").or_else(|| of.get("post_type")).map(plain).unwrap_or_default();
    Body { value, is_form: matches!(kind.as_str(), "1" | "KEY_VALUE") }
}

fn tags(sent: Option<&Value>) -> Vec<String> {
    let items = sent.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |tag: &Value| tag.as_str().or_else(|| tag.get("name")?.as_str()).map(|name| name.trim().to_owned());
    items.iter().filter_map(name).filter(|name| !name.is_empty()).collect()
}

fn service(sub_type: Option<u64>) -> Option<u64> {
    SERVICES.iter().find(|(number, _)| Some(*number) == sub_type).map(|(_, port)| *port)
}

fn word_of(words: &[(u64, &'static str)], number: u64) -> Option<&'static str> {
    words.iter().find(|(known, _)| *known == number).map(|(_, word)| *word)
}

/// Numbers come as numbers, and as texts.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
