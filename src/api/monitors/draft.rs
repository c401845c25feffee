//! A monitor as a client sends it: which fields there are, what they must be, what is assumed where they are not.
//!
//! The rules are Kuma's own ("Inserting into monitor by SQL"): a row that Kuma or a node could not run is never made.

use komainu_watchdogs::ids::NodeId;
use serde_json::{Map, Value};
use url::Url;

use crate::api::fields::Fields;
use crate::api::problem::ApiError;
use crate::config;
use crate::store::MonitorSpec;
use crate::store::monitors::NewMonitor;

/// Types that a native node runs, and that need no column which cannot be sent yet.
const KINDS: [&str; 4] = ["http", "keyword", "port", "ping"];

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const ENCODINGS: [&str; 3] = ["json", "xml", "form"];
const IP_FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

/// Kuma's own limit: 24 days, the longest that its timers take.
const MOST_SECONDS: i64 = 2_073_600;

/// Kuma probes for at most so large a part of the interval, so that runs do not overlap.
const TIMEOUT_PART: f64 = 0.8;

pub(super) const REF_CHARS: usize = 150;
const NAME_CHARS: usize = 150;
const COLUMN_CHARS: usize = 255;
const TEXT_CHARS: usize = 16_000;
/// A request body is kept in Kuma's TEXT column.
const BODY_CHARS: usize = 60_000;

/// Reads all fields; says everything that is wrong with them at once.
pub(super) fn read(mut fields: Fields) -> Result<NewMonitor, ApiError> {
    let defaults = MonitorSpec::default();
    let kind = read_kind(&mut fields);
    let mut spec = MonitorSpec {
        name: fields.required_text("name", NAME_CHARS).unwrap_or_default(),
        active: fields.flag("active").unwrap_or(defaults.active),
        upside_down: fields.flag("upside_down").unwrap_or(defaults.upside_down),
        description: fields.text("description", TEXT_CHARS),
        ..defaults
    };
    read_timing(&mut fields, &mut spec);
    read_http(&mut fields, &mut spec);
    read_authentication(&mut fields, &mut spec);
    read_target(&mut fields, &mut spec);
    read_ping(&mut fields, &mut spec);
    if let Some(kind) = kind {
        spec.kind = kind;
        ensure_complete(&mut fields, &spec);
    }
    let new = NewMonitor {
        reference: fields.text("ref", REF_CHARS).filter(|reference| !reference.is_empty()),
        channels: fields.texts("channels", 100).unwrap_or_default(),
        tags: fields.texts("tags", 100).unwrap_or_default(),
        node_id: read_node(&mut fields),
        pinned: fields.flag("pinned").unwrap_or_default(),
        spec,
    };
    if new.pinned && new.node_id.is_none() {
        fields.fault("pinned", "needs node_id: a monitor is pinned to a node");
    }
    fields.finish().map(|()| new)
}

fn read_kind(fields: &mut Fields) -> Option<String> {
    let kind = fields.required_text("type", 20)?;
    if KINDS.contains(&kind.as_str()) {
        return Some(kind);
    }
    fields.fault("type", format!("\"{kind}\" cannot be made here; accepted are {}", KINDS.join(", ")));
    None
}

fn read_timing(fields: &mut Fields, spec: &mut MonitorSpec) {
    spec.interval = small(fields.integer("interval", 1..=MOST_SECONDS)).unwrap_or(spec.interval);
    spec.retry_interval = small(fields.integer("retry_interval", 1..=MOST_SECONDS)).unwrap_or(spec.interval);
    spec.maxretries = small(fields.integer("maxretries", 0..=10_000)).unwrap_or(spec.maxretries);
    spec.resend_interval = small(fields.integer("resend_interval", 0..=MOST_SECONDS)).unwrap_or(spec.resend_interval);
    let usual = f64::from(spec.interval) * TIMEOUT_PART;
    // Never 0: Kuma reads that as a timeout of 800 intervals.
    spec.timeout = fields.number("timeout", 0.1..=86_400.0).unwrap_or(usual);
}

fn read_http(fields: &mut Fields, spec: &mut MonitorSpec) {
    spec.url = read_url(fields);
    spec.method = one_of(fields, "method", &METHODS).unwrap_or_else(|| spec.method.clone());
    spec.body = fields.text("body", BODY_CHARS);
    spec.headers = read_headers(fields);
    spec.http_body_encoding = one_of(fields, "http_body_encoding", &ENCODINGS);
    spec.ignore_tls = fields.flag("ignore_tls").unwrap_or(spec.ignore_tls);
    spec.cache_bust = fields.flag("cache_bust").unwrap_or(spec.cache_bust);
    spec.maxredirects = small(fields.integer("maxredirects", 0..=100)).unwrap_or(spec.maxredirects);
    if let Some(codes) = read_status_codes(fields) {
        spec.accepted_statuscodes_json = codes;
    }
    spec.keyword = fields.text("keyword", COLUMN_CHARS);
    spec.invert_keyword = fields.flag("invert_keyword").unwrap_or(spec.invert_keyword);
}

fn read_url(fields: &mut Fields) -> Option<String> {
    let text = fields.text("url", TEXT_CHARS)?;
    let fault = match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => return Some(text),
        Ok(url) => format!("must begin with http:// or https://, not {}:", url.scheme()),
        Err(error) => format!("{error}; write https://host/path"),
    };
    fields.fault("url", fault);
    None
}

/// An object of texts, or the JSON text of one, as Kuma's column holds it.
fn read_headers(fields: &mut Fields) -> Option<String> {
    let object: Option<Map<String, Value>> = match fields.take("headers")? {
        Value::Object(object) => Some(object),
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => serde_json::from_str(&text).ok(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    let object = object.filter(|object| object.values().all(Value::is_string));
    if object.is_none() {
        fields.fault("headers", "must be an object of texts: {\"Accept\": \"text/html\"}");
    }
    object.map(|object| Value::Object(object).to_string())
}

fn read_status_codes(fields: &mut Fields) -> Option<String> {
    let codes = fields.texts("accepted_statuscodes", 100)?;
    let bad = codes.iter().find(|code| !is_status_range(code));
    match bad {
        Some(code) => fields
            .fault("accepted_statuscodes", format!("\"{code}\" is neither a code (\"404\") nor a range (\"200-299\")")),
        // An empty list leaves the monitor without any beat.
        None if codes.is_empty() => fields.fault("accepted_statuscodes", "must name at least one code"),
        None => return Some(Value::from(codes).to_string()),
    }
    None
}

fn is_status_range(text: &str) -> bool {
    let code = |part: &str| part.parse::<u16>().ok().filter(|code| part.len() == 3 && (100..1_000).contains(code));
    match text.split_once('-') {
        Some((first, last)) => code(first).zip(code(last)).is_some_and(|(first, last)| first <= last),
        None => code(text).is_some(),
    }
}

fn read_authentication(fields: &mut Fields, spec: &mut MonitorSpec) {
    spec.basic_auth_user = fields.text("basic_auth_user", COLUMN_CHARS);
    spec.basic_auth_pass = fields.text("basic_auth_pass", TEXT_CHARS);
    let names_user = spec.basic_auth_user.is_some();
    spec.auth_method = one_of(fields, "auth_method", &["basic"]).or_else(|| names_user.then(|| "basic".to_owned()));
    if spec.auth_method.is_some() && !names_user {
        fields.fault("basic_auth_user", "is missing: auth_method basic needs it");
    }
}

fn read_target(fields: &mut Fields, spec: &mut MonitorSpec) {
    spec.hostname = fields.text("hostname", COLUMN_CHARS);
    if spec.hostname.as_deref().is_some_and(|host| host.contains(['/', ' ']) || host.trim().is_empty()) {
        fields.fault("hostname", "must be a host name or an IP address");
    }
    spec.port = fields.integer("port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    spec.ip_family = one_of(fields, "ip_family", &IP_FAMILIES);
}

fn read_ping(fields: &mut Fields, spec: &mut MonitorSpec) {
    spec.packet_size = small(fields.integer("packet_size", 1..=65_500)).unwrap_or(spec.packet_size);
    spec.ping_count = small(fields.integer("ping_count", 1..=100)).unwrap_or(spec.ping_count);
    let per_request = fields.integer("ping_per_request_timeout", 1..=60);
    spec.ping_per_request_timeout = small(per_request).unwrap_or(spec.ping_per_request_timeout);
}

fn read_node(fields: &mut Fields) -> Option<NodeId> {
    let id = fields.text("node_id", 50)?;
    if let Err(rule) = config::ensure_id(&id) {
        fields.fault("node_id", rule);
        return None;
    }
    Some(NodeId::from(id))
}

/// What a type cannot run without.
fn ensure_complete(fields: &mut Fields, spec: &MonitorSpec) {
    let needs: &[(&str, bool)] = match spec.kind.as_str() {
        "http" => &[("url", spec.url.is_some())],
        "keyword" => {
            &[("url", spec.url.is_some()), ("keyword", spec.keyword.as_deref().is_some_and(|text| !text.is_empty()))]
        }
        "port" => &[("hostname", spec.hostname.is_some()), ("port", spec.port.is_some())],
        _ => &[("hostname", spec.hostname.is_some())],
    };
    for (field, is_there) in needs {
        if !is_there && !fields.has_fault(field) {
            fields.fault(field, format!("is missing: a monitor of type {} needs it", spec.kind));
        }
    }
}

fn one_of(fields: &mut Fields, field: &'static str, choices: &[&str]) -> Option<String> {
    let text = fields.text(field, COLUMN_CHARS).filter(|text| !text.is_empty())?;
    if choices.contains(&text.as_str()) {
        return Some(text);
    }
    fields.fault(field, format!("must be one of {}", choices.join(", ")));
    None
}

fn small(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}
