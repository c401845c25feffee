//! What each column of Kuma's takes, beyond what its type in the table says; who may see it; and whether it is always shown.
//! Said once, for the API and its document, the audit trail and the command line.
//!
//! A column that is not listed here (a newer Kuma's) takes what its type says.

use super::secrecy::Secrecy;
use super::table::{Column, Kind};

/// The form of a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Form {
    /// Text of so many characters.
    Text(usize),
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Int(i64, i64),
    /// A number.
    Real(f64, f64),
    /// One of these; an empty text is none.
    Choice(&'static [&'static str]),
    /// An address that can be read as one.
    Url,
    /// A host name or an IP address.
    Host,
    /// HTTP headers.
    Headers,
    /// Accepted status codes.
    Codes,
    /// Kuma's conditions.
    Conditions,
    /// A list of texts.
    Texts,
    /// An object.
    Object,
    /// The key of a row of this table.
    Row(&'static str),
}

/// Kuma's own limit: 24 days, the longest that its timers take.
const MOST_SECONDS: i64 = 2_073_600;
const COLUMN: usize = 255;
/// A TEXT column in characters of at most four bytes.
const LONG: usize = 16_000;
/// A request's body and certificates; in bytes the table's own limit holds.
const LONGER: usize = 60_000;

pub(super) const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const RECORDS: &[&str] = &["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"];
const OPERATORS: &[&str] = &[">", ">=", "<", "<=", "!=", "==", "contains"];

/// What is known of a column.
struct Rule {
    name: &'static str,
    form: Form,
    secrecy: Secrecy,
    /// Shown also where nothing stands in it.
    is_always_shown: bool,
}

impl Rule {
    const fn of(name: &'static str, form: Form) -> Self {
        Self { name, form, secrecy: Secrecy::Open, is_always_shown: false }
    }

    const fn secret(self) -> Self {
        Self { secrecy: Secrecy::Secret, ..self }
    }

    const fn address(self) -> Self {
        Self { secrecy: Secrecy::Address, ..self }
    }

    const fn token(self) -> Self {
        Self { secrecy: Secrecy::Token, ..self }
    }

    const fn always_shown(self) -> Self {
        Self { is_always_shown: true, ..self }
    }
}

/// All that is known of the columns of Kuma 2.5.3, by name. Bodies and headers are secrets as a whole: tokens stand anywhere in
/// them.
const RULES: &[Rule] = &[
    Rule::of("accepted_statuscodes_json", Form::Codes).always_shown(),
    Rule::of("active", Form::Flag).always_shown(),
    Rule::of("auth_domain", Form::Text(LONG)),
    Rule::of("auth_method", Form::Choice(&["basic", "bearer", "oauth2-cc", "ntlm", "mtls"])).always_shown(),
    Rule::of("auth_workstation", Form::Text(LONG)),
    Rule::of("basic_auth_pass", Form::Text(LONG)).secret(),
    Rule::of("basic_auth_user", Form::Text(LONG)).always_shown(),
    Rule::of("bearer_token", Form::Text(LONG)).secret(),
    Rule::of("body", Form::Text(LONGER)).secret(),
    Rule::of("cache_bust", Form::Flag).always_shown(),
    Rule::of("conditions", Form::Conditions),
    Rule::of("database_connection_string", Form::Text(2_000)).secret(),
    Rule::of("database_query", Form::Text(LONG)),
    Rule::of("description", Form::Text(LONG)).always_shown(),
    Rule::of("dns_resolve_server", Form::Text(COLUMN)),
    Rule::of("dns_resolve_type", Form::Choice(RECORDS)),
    Rule::of("docker_container", Form::Text(COLUMN)),
    Rule::of("docker_host", Form::Row("docker_host")),
    Rule::of("domain_expiry_notification", Form::Flag),
    Rule::of("expected_tls_alert", Form::Text(50)),
    Rule::of("expected_value", Form::Text(COLUMN)),
    Rule::of("expiry_notification", Form::Flag),
    Rule::of("game", Form::Text(COLUMN)),
    Rule::of("gamedig_given_port_only", Form::Flag),
    Rule::of("gamedig_token", Form::Text(LONG)).secret(),
    Rule::of("grpc_body", Form::Text(LONG)).secret(),
    Rule::of("grpc_enable_tls", Form::Flag),
    Rule::of("grpc_metadata", Form::Text(LONG)).secret(),
    Rule::of("grpc_method", Form::Text(LONG)),
    Rule::of("grpc_protobuf", Form::Text(LONG)),
    Rule::of("grpc_service_name", Form::Text(LONG)),
    Rule::of("grpc_url", Form::Text(COLUMN)).address(),
    Rule::of("headers", Form::Headers).secret(),
    Rule::of("hostname", Form::Host).always_shown(),
    Rule::of("http_body_encoding", Form::Choice(&["json", "xml", "form"])).always_shown(),
    Rule::of("ignore_tls", Form::Flag).always_shown(),
    Rule::of("interval", Form::Int(1, MOST_SECONDS)).always_shown(),
    Rule::of("invert_keyword", Form::Flag).always_shown(),
    Rule::of("ip_family", Form::Choice(&["ipv4", "ipv6"])).always_shown(),
    Rule::of("json_path", Form::Text(LONG)),
    Rule::of("json_path_operator", Form::Choice(OPERATORS)),
    Rule::of("kafka_producer_allow_auto_topic_creation", Form::Flag),
    Rule::of("kafka_producer_brokers", Form::Texts),
    Rule::of("kafka_producer_message", Form::Text(LONG)).secret(),
    Rule::of("kafka_producer_sasl_options", Form::Object).secret(),
    Rule::of("kafka_producer_ssl", Form::Flag),
    Rule::of("kafka_producer_topic", Form::Text(COLUMN)),
    Rule::of("keyword", Form::Text(COLUMN)).always_shown(),
    Rule::of("location", Form::Text(COLUMN)),
    // 0 down, 1 up, 2 pending, 3 maintenance.
    Rule::of("manual_status", Form::Int(0, 3)),
    Rule::of("maxredirects", Form::Int(0, 100)).always_shown(),
    Rule::of("maxretries", Form::Int(0, 10_000)).always_shown(),
    Rule::of("method", Form::Choice(METHODS)).always_shown(),
    Rule::of("mqtt_check_type", Form::Choice(&["keyword", "json-query"])),
    Rule::of("mqtt_password", Form::Text(COLUMN)).secret(),
    Rule::of("mqtt_success_message", Form::Text(COLUMN)),
    Rule::of("mqtt_topic", Form::Text(LONG)),
    Rule::of("mqtt_username", Form::Text(COLUMN)),
    Rule::of("mqtt_websocket_path", Form::Text(COLUMN)),
    Rule::of("name", Form::Text(150)).always_shown(),
    Rule::of("ntp_root_dispersion_threshold", Form::Int(1, 1_000_000)),
    Rule::of("ntp_stratum_threshold", Form::Int(1, 16)),
    Rule::of("ntp_time_offset_threshold", Form::Int(1, 86_400_000)),
    Rule::of("oauth_audience", Form::Text(COLUMN)),
    Rule::of("oauth_auth_method", Form::Choice(&["client_secret_basic", "client_secret_post"])),
    Rule::of("oauth_client_id", Form::Text(LONG)),
    Rule::of("oauth_client_secret", Form::Text(LONG)).secret(),
    Rule::of("oauth_scopes", Form::Text(LONG)),
    Rule::of("oauth_token_url", Form::Url).address(),
    Rule::of("packet_size", Form::Int(1, 65_500)).always_shown(),
    Rule::of("parent", Form::Row("monitor")),
    Rule::of("ping_count", Form::Int(1, 100)).always_shown(),
    Rule::of("ping_numeric", Form::Flag),
    Rule::of("ping_per_request_timeout", Form::Int(1, 60)).always_shown(),
    Rule::of("port", Form::Int(1, 65_535)).always_shown(),
    Rule::of("protocol", Form::Text(20)),
    Rule::of("proxy_id", Form::Row("proxy")),
    Rule::of("push_token", Form::Text(32)).token(),
    Rule::of("rabbitmq_nodes", Form::Texts).secret(),
    Rule::of("rabbitmq_password", Form::Text(COLUMN)).secret(),
    Rule::of("rabbitmq_username", Form::Text(COLUMN)),
    Rule::of("radius_called_station_id", Form::Text(50)),
    Rule::of("radius_calling_station_id", Form::Text(50)),
    Rule::of("radius_password", Form::Text(COLUMN)).secret(),
    Rule::of("radius_secret", Form::Text(COLUMN)).secret(),
    Rule::of("radius_username", Form::Text(COLUMN)),
    Rule::of("remote_browser", Form::Row("remote_browser")),
    Rule::of("resend_interval", Form::Int(0, MOST_SECONDS)).always_shown(),
    // Kuma's own limit.
    Rule::of("response_max_length", Form::Int(0, 1_048_576)),
    Rule::of("retry_interval", Form::Int(1, MOST_SECONDS)).always_shown(),
    Rule::of("retry_only_on_status_code_failure", Form::Flag),
    Rule::of("save_error_response", Form::Flag),
    Rule::of("save_response", Form::Flag),
    Rule::of("screenshot_delay", Form::Int(0, 86_400_000)),
    Rule::of("smtp_security", Form::Choice(&["secure", "nostarttls", "starttls"])),
    Rule::of("snmp_oid", Form::Text(COLUMN)),
    Rule::of("snmp_v3_username", Form::Text(COLUMN)),
    Rule::of("snmp_version", Form::Choice(&["1", "2c", "3"])),
    Rule::of("subtype", Form::Choice(&["ping", "http", "dns"])),
    Rule::of("system_service_name", Form::Text(COLUMN)),
    // Never 0: Kuma reads that as a timeout of 800 intervals.
    Rule::of("timeout", Form::Real(0.1, 86_400.0)).always_shown(),
    Rule::of("tls_ca", Form::Text(LONGER)),
    Rule::of("tls_cert", Form::Text(LONGER)),
    Rule::of("tls_key", Form::Text(LONGER)).secret(),
    Rule::of("type", Form::Text(20)).always_shown(),
    Rule::of("upside_down", Form::Flag).always_shown(),
    Rule::of("url", Form::Url).address().always_shown(),
    Rule::of("weight", Form::Int(0, 1_000_000)),
    Rule::of("ws_ignore_sec_websocket_accept_header", Form::Flag),
    Rule::of("ws_subprotocol", Form::Text(COLUMN)),
];

/// Columns that are not a client's to set: keys, owners, what nodes remember there, and the fork's owners.
const KEPT: &[&str] = &["id", "user_id", "created_date", "dns_last_result", "node_id", "assigned_node"];

fn rule(column: &str) -> Option<&'static Rule> {
    RULES.binary_search_by_key(&column, |rule| rule.name).ok().and_then(|at| RULES.get(at))
}

/// What it takes, if Kuma 2.5.3 has it.
pub fn form(column: &str) -> Option<Form> {
    rule(column).map(|rule| rule.form)
}

/// Who may see this column, or the field that clients know it by.
pub fn secrecy(column: &str) -> Secrecy {
    rule(column).map_or(Secrecy::Open, |rule| rule.secrecy)
}

/// Whether it is shown also where nothing stands in it.
pub fn is_always_shown(column: &str) -> bool {
    rule(column).is_some_and(|rule| rule.is_always_shown)
}

/// As what it is kept: SQLite has no type for flags.
pub fn stored_kind(name: &str, column: &Column) -> Kind {
    if form(name) == Some(Form::Flag) { Kind::Flag } else { column.kind.clone() }
}

/// Whether clients may set it at all.
pub fn is_settable(column: &str) -> bool {
    !KEPT.contains(&column)
}

/// Holds JSON as text.
pub fn is_json(column: &str) -> bool {
    matches!(form(column), Some(Form::Headers | Form::Codes | Form::Conditions | Form::Texts | Form::Object))
}

/// As clients name it: without the suffix of JSON columns.
pub fn field_of(column: &str) -> &str {
    column.strip_suffix("_json").unwrap_or(column)
}

/// The columns of Kuma 2.5.3 that clients may set.
pub fn known_columns() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_by_name() {
        assert!(RULES.is_sorted_by_key(|rule| rule.name));
    }

    #[test]
    fn every_column_of_kuma_has_a_rule_or_is_kept() {
        let schema = include_str!("../../tests/it/fixtures/kuma/schema-2.5.3.tsv");
        let columns = schema.lines().filter_map(|line| line.strip_prefix("monitor\t")?.split('\t').next());
        let unknown: Vec<_> = columns.filter(|column| form(column).is_none() && is_settable(column)).collect();
        assert_eq!(unknown, [""; 0]);
    }
}
