//! One value that a client sent, read into one column.

use serde_json::{Map, Value as Json, json};
use url::Url;

use super::conditions;
use super::draft::MOST_NAMES;
use super::rules::{self, Form};
use super::secrecy::is_veiled;
use super::table::{Column, Kind};

/// Characters of an address.
pub const URL_CHARS: usize = 16_000;
/// Characters of a host name: a name of the DNS has fewer.
pub const HOST_CHARS: usize = 255;

/// The column's value, or what is wrong.
pub(super) fn read(name: &str, column: &Column, sent: &Json) -> Result<Json, String> {
    let value = match rules::form(name) {
        Some(form) => read_form(form, sent)?,
        None => read_kind(&column.kind, sent)?,
    };
    ensure_fits(&column.kind, &value)?;
    Ok(value)
}

fn read_form(form: Form, sent: &Json) -> Result<Json, String> {
    match form {
        Form::Text(most) => text(sent, most).map(|text| json!(text)),
        Form::Flag => flag(sent).map(|flag| json!(flag)),
        Form::Int(least, most) => whole(sent, least, most),
        Form::Real(least, most) => real(sent, least, most),
        Form::Choice(choices) => one_of(sent, choices),
        Form::Url => text(sent, URL_CHARS).and_then(|text| address(&text)),
        Form::Host => text(sent, HOST_CHARS).and_then(host),
        Form::Headers => headers(sent),
        Form::Codes => codes(sent),
        Form::Conditions => conditions::read(sent),
        Form::Texts => texts(sent),
        Form::Object => object(sent),
        Form::Row(_) => whole(sent, 1, i64::from(u32::MAX)),
    }
}

/// A column that only the table knows.
fn read_kind(kind: &Kind, sent: &Json) -> Result<Json, String> {
    match kind {
        Kind::Int(least, most) => whole(sent, *least, *most),
        Kind::Flag => flag(sent).map(|flag| json!(flag)),
        Kind::Real => real(sent, f64::MIN, f64::MAX),
        Kind::Chars(_) | Kind::Bytes(_) => text(sent, usize::MAX).map(|text| json!(text)),
        Kind::Choice(choices) => one_of(sent, choices),
    }
}

/// What the table itself could not hold.
fn ensure_fits(kind: &Kind, value: &Json) -> Result<(), String> {
    let fits = match (kind, value) {
        (Kind::Chars(most), Json::String(text)) => {
            (text.chars().count() <= *most).then_some(()).ok_or_else(|| format!("must have at most {most} characters"))
        }
        (Kind::Bytes(most), Json::String(text)) => {
            (text.len() <= *most).then_some(()).ok_or_else(|| format!("must have at most {most} bytes"))
        }
        (Kind::Int(least, most), Json::Number(number)) => {
            let is_within = number.as_i64().is_some_and(|number| (*least..=*most).contains(&number));
            is_within.then_some(()).ok_or_else(|| format!("must be a whole number from {least} to {most}"))
        }
        (Kind::Choice(choices), Json::String(text)) => {
            choices.contains(text).then_some(()).ok_or_else(|| format!("must be one of {}", choices.join(", ")))
        }
        (Kind::Int(..) | Kind::Flag | Kind::Real | Kind::Chars(_) | Kind::Bytes(_) | Kind::Choice(_), _) => Ok(()),
    };
    fits.map_err(|fault| format!("{fault}: this database's column holds no more"))
}

fn text(sent: &Json, most: usize) -> Result<String, String> {
    match sent.as_str() {
        // Neither Kuma nor people can do anything with it, and it ends the text for half of all programs.
        Some(text) if text.contains('\0') => Err("must not hold the character NUL".to_owned()),
        Some(text) if text.chars().count() <= most => Ok(text.to_owned()),
        Some(_) => Err(format!("must have at most {most} characters")),
        None => Err(format!("must be text, not {}", kind(sent))),
    }
}

/// `true` or `false`; Kuma's own 1 and 0 too.
pub(crate) fn flag(sent: &Json) -> Result<bool, String> {
    match (sent.as_bool(), sent.as_i64()) {
        (Some(flag), _) => Ok(flag),
        (_, Some(0)) => Ok(false),
        (_, Some(1)) => Ok(true),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(crate) fn whole(sent: &Json, least: i64, most: i64) -> Result<Json, String> {
    // 30.0 is what some programs make of 30.
    let number = sent.as_i64().or_else(|| sent.as_f64().and_then(exact));
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(json!(number)),
        _ => Err(format!("must be a whole number from {least} to {most}")),
    }
}

fn exact(real: f64) -> Option<i64> {
    (real.fract() == 0.0 && real.abs() < 9e15).then(|| format!("{real:.0}").parse().ok()).flatten()
}

pub(crate) fn real(sent: &Json, least: f64, most: f64) -> Result<Json, String> {
    match sent.as_f64() {
        Some(number) if (least..=most).contains(&number) => Ok(json!(number)),
        _ => Err(format!("must be a number from {least} to {most}")),
    }
}

fn one_of(sent: &Json, choices: &[impl AsRef<str>]) -> Result<Json, String> {
    let text = text(sent, 255)?;
    if text.is_empty() {
        return Ok(Json::Null);
    }
    if choices.iter().any(|choice| choice.as_ref() == text) {
        return Ok(json!(text));
    }
    let choices: Vec<&str> = choices.iter().map(AsRef::as_ref).collect();
    Err(format!("must be one of {}", choices.join(", ")))
}

fn address(text: &str) -> Result<Json, String> {
    match Url::parse(text) {
        Ok(url) if is_veiled(&url) => {
            let rule = "stands for an address whose user and password were not shown; send the whole or leave it out";
            Err(rule.to_owned())
        }
        Ok(_) => Ok(json!(text)),
        Err(error) => Err(format!("{error}; write https://host/path")),
    }
}

/// What a type of monitor takes for a host is judged with the row.
fn host(text: String) -> Result<Json, String> {
    if text.trim().is_empty() || text.contains(char::is_whitespace) {
        return Err("must be a host name or an IP address".to_owned());
    }
    Ok(Json::String(text))
}

/// An object of texts, or the JSON text of one, as Kuma's column holds it; numbers and the like are sent as written.
fn headers(sent: &Json) -> Result<Json, String> {
    let object: Option<Map<String, Json>> = match sent {
        Json::Object(object) => Some(object.clone()),
        Json::String(text) if text.trim().is_empty() => return Ok(Json::Null),
        Json::String(text) => serde_json::from_str(text).ok(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) => None,
    };
    let is_plain = |value: &Json| !value.is_object() && !value.is_array();
    let object = object.filter(|object| object.values().all(is_plain));
    let object = object.ok_or("must be an object of texts: {\"Accept\": \"text/html\"}")?;
    for (name, value) in &object {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(format!("\"{name}\" is no name of an HTTP header"));
        }
        if http::HeaderValue::from_str(value.as_str().unwrap_or_default()).is_err() {
            return Err(format!("the value of {name} cannot be sent in an HTTP header"));
        }
    }
    Ok(json!(Json::Object(object).to_string()))
}

/// Of HTTP answers, or of a web socket's close frame, which has four digits.
fn codes(sent: &Json) -> Result<Json, String> {
    let codes = list(sent)?;
    if let Some(code) = codes.iter().find(|code| !is_code_range(code)) {
        return Err(format!("\"{code}\" is neither a code (\"404\") nor a range (\"200-299\")"));
    }
    if codes.is_empty() {
        // An empty list leaves the monitor without any beat.
        return Err("must name at least one code".to_owned());
    }
    Ok(json!(json!(codes).to_string()))
}

fn is_code_range(text: &str) -> bool {
    let code = |part: &str| {
        let fits = matches!(part.len(), 3 | 4) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u16>().ok().filter(|code| fits && (100..5_000).contains(code))
    };
    match text.split_once('-') {
        Some((first, last)) => code(first).zip(code(last)).is_some_and(|(first, last)| first <= last),
        None => code(text).is_some(),
    }
}

fn texts(sent: &Json) -> Result<Json, String> {
    let texts = list(sent)?;
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err("must be a list of texts, none of them empty".to_owned());
    }
    Ok(json!(json!(texts).to_string()))
}

fn list(sent: &Json) -> Result<Vec<&str>, String> {
    let items = sent.as_array().filter(|items| items.len() <= MOST_NAMES);
    let texts = items.and_then(|items| items.iter().map(Json::as_str).collect::<Option<Vec<_>>>());
    texts.ok_or_else(|| format!("must be a list of at most {MOST_NAMES} texts"))
}

fn object(sent: &Json) -> Result<Json, String> {
    match sent {
        Json::Object(_) => Ok(json!(sent.to_string())),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            Err(format!("must be an object, not {}", kind(sent)))
        }
    }
}

pub(crate) fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
