//! Kuma's types of monitor: what each cannot do without, and what it starts with.
//!
//! Drawn from Kuma 2.5.3's own types: what is NULL there and read all the same leaves the monitor down for ever, or
//! breaks the list that Kuma's UI shows.

use std::net::IpAddr;

use serde_json::{Value as Json, json};
use url::Url;

use super::{Columns, FieldFault, text};

/// A type.
struct Rules {
    name: &'static str,
    /// Columns that must say something.
    needs: &'static [&'static str],
    /// What a new monitor has where the client says nothing.
    starts: &'static [(&'static str, Start)],
}

#[derive(Clone, Copy)]
enum Start {
    Number(i64),
    Text(&'static str),
}

const WEB: [&str; 2] = ["http", "https"];
const SOCKET: [&str; 2] = ["ws", "wss"];

const QUERY: &[(&str, Start)] = &[("json_path", Start::Text("$")), ("json_path_operator", Start::Text("=="))];
const DATABASE: &[&str] = &["database_connection_string"];

macro_rules! kinds {
    ($($name:literal needs $needs:expr, starts $starts:expr;)*) => {
        const RULES: &[Rules] = &[$(Rules { name: $name, needs: $needs, starts: $starts }),*];
        /// All of them, as Kuma names them.
        pub const KINDS: &[&str] = &[$($name),*];
    };
}

kinds! {
    "http" needs &["url"], starts &[];
    "keyword" needs &["url", "keyword"], starts &[];
    "json-query" needs &["url", "json_path", "json_path_operator", "expected_value"], starts QUERY;
    "port" needs &["hostname", "port"], starts &[];
    "ping" needs &["hostname"], starts &[];
    "dns" needs &["hostname", "port", "dns_resolve_type", "dns_resolve_server"], starts &[
        ("port", Start::Number(53)),
        ("dns_resolve_type", Start::Text("A")),
        ("dns_resolve_server", Start::Text("1.1.1.1")),
    ];
    "push" needs &["push_token"], starts &[];
    "group" needs &[], starts &[];
    "manual" needs &[], starts &[];
    "docker" needs &["docker_host", "docker_container"], starts &[];
    "real-browser" needs &["url"], starts &[];
    "websocket-upgrade" needs &["url"], starts &[("accepted_statuscodes_json", Start::Text("[\"1000\"]"))];
    "grpc-keyword" needs &["grpc_url", "grpc_protobuf", "grpc_service_name", "grpc_method", "grpc_body", "keyword"],
        starts &[];
    "mqtt" needs &["hostname", "port", "mqtt_topic"], starts &[
        ("port", Start::Number(1_883)),
        ("mqtt_check_type", Start::Text("keyword")),
        // NULL would be looked for as the word "null".
        ("mqtt_success_message", Start::Text("")),
    ];
    "kafka-producer" needs &["kafka_producer_brokers", "kafka_producer_topic", "kafka_producer_message"], starts &[
        ("kafka_producer_sasl_options", Start::Text("{\"mechanism\":\"None\"}")),
    ];
    "rabbitmq" needs &["rabbitmq_nodes", "rabbitmq_username", "rabbitmq_password"], starts &[];
    "radius" needs &["hostname", "port", "radius_username", "radius_password", "radius_secret",
        "radius_called_station_id", "radius_calling_station_id"], starts &[("port", Start::Number(1_812))];
    "smtp" needs &["hostname", "port"], starts &[("port", Start::Number(25))];
    "snmp" needs &["hostname", "port", "snmp_oid", "snmp_version", "json_path", "json_path_operator", "expected_value"],
        starts &[
            ("port", Start::Number(161)),
            ("snmp_version", Start::Text("2c")),
            ("json_path", Start::Text("$")),
            ("json_path_operator", Start::Text("==")),
        ];
    "sip-options" needs &["hostname", "port"], starts &[("port", Start::Number(5_060))];
    "ntp" needs &["hostname", "port"], starts &[("port", Start::Number(123))];
    "steam" needs &["hostname", "port"], starts &[];
    "gamedig" needs &["game", "hostname", "port"], starts &[];
    "tailscale-ping" needs &["hostname"], starts &[];
    "globalping" needs &["subtype", "location"], starts &[
        ("subtype", Start::Text("ping")),
        ("location", Start::Text("world")),
    ];
    "sqlserver" needs DATABASE, starts &[];
    "postgres" needs DATABASE, starts &[];
    "mysql" needs DATABASE, starts &[];
    "mongodb" needs DATABASE, starts &[];
    "redis" needs DATABASE, starts &[];
    "oracledb" needs &["database_connection_string", "basic_auth_user", "basic_auth_pass"], starts &[];
    "system-service" needs &["system_service_name"], starts &[];
    "pm2" needs &["system_service_name"], starts &[];
}

/// Whether this is a type whose children are others.
pub fn needs_group(kind: &str) -> bool {
    kind == "group"
}

fn rules(kind: &str) -> Option<&'static Rules> {
    RULES.iter().find(|rules| rules.name == kind)
}

pub(super) fn is_known(kind: &str) -> bool {
    rules(kind).is_some()
}

/// The columns that a new monitor of this type starts with.
pub(super) fn starts(kind: &str) -> impl Iterator<Item = (&'static str, Json)> {
    rules(kind).into_iter().flat_map(|rules| rules.starts).map(|(name, start)| match start {
        Start::Number(number) => (*name, json!(number)),
        Start::Text(text) => (*name, json!(text)),
    })
}

/// The columns that a monitor of this type cannot do without.
pub(super) fn needs(kind: &str) -> &'static [&'static str] {
    rules(kind).map_or(&[], |rules| rules.needs)
}

/// What does not fit together in a whole row.
pub(super) fn judge(row: &Columns) -> Vec<FieldFault> {
    let kind = text(row, "type").unwrap_or_default();
    let mut faults = missing(row, kind);
    faults.extend(address(row, kind));
    faults.extend(host(row, kind));
    faults.extend(authentication(row));
    faults.extend(body(row, kind));
    faults.extend(peculiar(row, kind));
    faults
}

fn missing(row: &Columns, kind: &str) -> Vec<FieldFault> {
    let mut needs = needs(kind).to_vec();
    match (kind, text(row, "subtype"), text(row, "mqtt_check_type"), text(row, "snmp_version")) {
        ("globalping", Some("http"), _, _) => needs.push("url"),
        ("globalping", Some("dns"), _, _) => needs.extend(["hostname", "dns_resolve_type"]),
        ("globalping", _, _, _) => needs.push("hostname"),
        ("mqtt", _, Some("json-query"), _) => needs.extend(["json_path", "expected_value"]),
        ("snmp", _, _, Some("3")) => needs.push("snmp_v3_username"),
        ("snmp", _, _, _) => needs.push("radius_password"),
        _ => {}
    }
    let is_there = |column: &str| match row.get(column) {
        Some(Json::String(text)) => !text.trim().is_empty() && text != "[]",
        Some(Json::Number(_) | Json::Bool(_)) => true,
        Some(Json::Null | Json::Array(_) | Json::Object(_)) | None => false,
    };
    let absent = needs.into_iter().filter(|column| !is_there(column));
    absent.map(|column| FieldFault::new(column, format!("is missing: type {kind} needs it"))).collect()
}

fn address(row: &Columns, kind: &str) -> Option<FieldFault> {
    let schemes = match kind {
        "http" | "keyword" | "json-query" | "real-browser" => WEB,
        "globalping" if text(row, "subtype") == Some("http") => WEB,
        "websocket-upgrade" => SOCKET,
        _ => return None,
    };
    let url = Url::parse(text(row, "url")?).ok()?;
    let [plain, secure] = schemes;
    (!schemes.contains(&url.scheme()))
        .then(|| FieldFault::new("url", format!("must begin with {plain}:// or {secure}://, not {}:", url.scheme())))
}

/// Whatever stands around a host, nobody takes off: such a monitor would be down for ever.
fn host(row: &Columns, kind: &str) -> Option<FieldFault> {
    let host = text(row, "hostname").filter(|_| needs(kind).contains(&"hostname") || kind == "globalping")?;
    let has_scheme = host.contains("://");
    let is_bad = match kind {
        // Kuma's mqtt takes a whole address there; a path without a scheme is a mistake.
        "mqtt" => !has_scheme && (host.contains('/') || has_port(host)),
        // Names of a zone may hold anything (RFC 2317).
        "dns" => has_scheme,
        "globalping" if text(row, "subtype") == Some("dns") => has_scheme,
        _ => has_scheme || host.contains(['/', '@']) || has_port(host),
    };
    let url = if has_scheme { Url::parse(host) } else { Url::parse(&format!("tcp://{host}")) };
    let meant = url.ok().and_then(|url| url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
    let hint = meant.map(|meant| format!(": write {meant}")).unwrap_or_default();
    is_bad.then(|| FieldFault::new("hostname", format!("must be a host name or an IP address and nothing else{hint}")))
}

fn has_port(host: &str) -> bool {
    host.contains(':') && host.parse::<IpAddr>().is_err()
}

fn authentication(row: &Columns) -> Vec<FieldFault> {
    let Some(method) = text(row, "auth_method") else { return vec![] };
    let needs: &[&str] = match method {
        // An empty user is one: tokens are often sent as the password alone.
        "basic" if text(row, "basic_auth_pass").is_some() => &[],
        "basic" | "ntlm" => &["basic_auth_user"],
        "bearer" => &["bearer_token"],
        "oauth2-cc" => &["oauth_token_url", "oauth_client_id", "oauth_client_secret"],
        "mtls" => &["tls_cert", "tls_key"],
        _ => &[],
    };
    let absent = needs.iter().filter(|column| text(row, column).is_none());
    absent.map(|column| FieldFault::new(*column, format!("is missing: auth_method {method} needs it"))).collect()
}

/// Kuma parses a body that is not said to be something else as JSON, and is down when it is none.
fn body(row: &Columns, kind: &str) -> Option<FieldFault> {
    let is_sent = matches!(kind, "http" | "keyword" | "json-query");
    let is_json = matches!(text(row, "http_body_encoding"), None | Some("json"));
    let body = text(row, "body").filter(|_| is_sent && is_json)?;
    let error = serde_json::from_str::<serde::de::IgnoredAny>(body).err()?;
    Some(FieldFault::new(
        "body",
        format!("is no JSON ({error}); set http_body_encoding to xml or form for another kind"),
    ))
}

fn peculiar(row: &Columns, kind: &str) -> Vec<FieldFault> {
    match kind {
        "ping" => ping(row).into_iter().collect(),
        "real-browser" => screenshot(row).into_iter().collect(),
        "mongodb" => {
            let query = text(row, "database_query");
            let bad = query.and_then(|query| serde_json::from_str::<serde::de::IgnoredAny>(query).err());
            bad.map(|error| FieldFault::new("database_query", format!("must be a command in JSON ({error})")))
                .into_iter()
                .collect()
        }
        "system-service" => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
            let name = text(row, "system_service_name").filter(|name| !name.bytes().all(fits));
            let fault = "takes only letters, digits and . _ - @: the service's internal name";
            name.map(|_| FieldFault::new("system_service_name", fault)).into_iter().collect()
        }
        "pm2" => {
            let name = text(row, "system_service_name").filter(|name| name.contains(char::is_control));
            name.map(|_| FieldFault::new("system_service_name", "must not hold control characters"))
                .into_iter()
                .collect()
        }
        _ => vec![],
    }
}

/// Kuma's UI refuses any edit of a ping whose timeout lies outside of these.
fn ping(row: &Columns) -> Option<FieldFault> {
    const MOST_S: f64 = 300.0;
    let timeout = row.get("timeout")?.as_f64()?;
    let each = row.get("ping_per_request_timeout").and_then(Json::as_f64).unwrap_or(2.0);
    let fits = timeout.round() >= each.max(1.0) && timeout.round() <= MOST_S;
    (!fits).then(|| {
        FieldFault::new(
            "timeout",
            format!("of a ping must be from ping_per_request_timeout ({each}) to {MOST_S} seconds"),
        )
    })
}

fn screenshot(row: &Columns) -> Option<FieldFault> {
    let delay_ms = row.get("screenshot_delay")?.as_i64()?;
    let most_ms = row.get("interval")?.as_i64()?.saturating_mul(500);
    (delay_ms >= most_ms && delay_ms > 0)
        .then(|| FieldFault::new("screenshot_delay", format!("must be less than half the interval ({most_ms} ms)")))
}
