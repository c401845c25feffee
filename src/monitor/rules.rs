//! What each column of Kuma's takes, beyond what its type in the table says.
//!
//! A column that is not listed here (a newer Kuma's) takes what its type says.

use super::table::{Column, Kind};

/// The form of a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Form {
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

/// By name.
const RULES: &[(&str, Form)] = &[
    ("accepted_statuscodes_json", Form::Codes),
    ("active", Form::Flag),
    ("auth_domain", Form::Text(LONG)),
    ("auth_method", Form::Choice(&["basic", "bearer", "oauth2-cc", "ntlm", "mtls"])),
    ("auth_workstation", Form::Text(LONG)),
    ("basic_auth_pass", Form::Text(LONG)),
    ("basic_auth_user", Form::Text(LONG)),
    ("bearer_token", Form::Text(LONG)),
    ("body", Form::Text(LONGER)),
    ("cache_bust", Form::Flag),
    ("conditions", Form::Conditions),
    ("database_connection_string", Form::Text(2_000)),
    ("database_query", Form::Text(LONG)),
    ("description", Form::Text(LONG)),
    ("dns_resolve_server", Form::Text(COLUMN)),
    ("dns_resolve_type", Form::Choice(RECORDS)),
    ("docker_container", Form::Text(COLUMN)),
    ("docker_host", Form::Row("docker_host")),
    ("domain_expiry_notification", Form::Flag),
    ("expected_tls_alert", Form::Text(50)),
    ("expected_value", Form::Text(COLUMN)),
    ("expiry_notification", Form::Flag),
    ("game", Form::Text(COLUMN)),
    ("gamedig_given_port_only", Form::Flag),
    ("gamedig_token", Form::Text(LONG)),
    ("grpc_body", Form::Text(LONG)),
    ("grpc_enable_tls", Form::Flag),
    ("grpc_metadata", Form::Text(LONG)),
    ("grpc_method", Form::Text(LONG)),
    ("grpc_protobuf", Form::Text(LONG)),
    ("grpc_service_name", Form::Text(LONG)),
    ("grpc_url", Form::Text(COLUMN)),
    ("headers", Form::Headers),
    ("hostname", Form::Host),
    ("http_body_encoding", Form::Choice(&["json", "xml", "form"])),
    ("ignore_tls", Form::Flag),
    ("interval", Form::Int(1, MOST_SECONDS)),
    ("invert_keyword", Form::Flag),
    ("ip_family", Form::Choice(&["ipv4", "ipv6"])),
    ("json_path", Form::Text(LONG)),
    ("json_path_operator", Form::Choice(OPERATORS)),
    ("kafka_producer_allow_auto_topic_creation", Form::Flag),
    ("kafka_producer_brokers", Form::Texts),
    ("kafka_producer_message", Form::Text(LONG)),
    ("kafka_producer_sasl_options", Form::Object),
    ("kafka_producer_ssl", Form::Flag),
    ("kafka_producer_topic", Form::Text(COLUMN)),
    ("keyword", Form::Text(COLUMN)),
    ("location", Form::Text(COLUMN)),
    // 0 down, 1 up, 2 pending, 3 maintenance.
    ("manual_status", Form::Int(0, 3)),
    ("maxredirects", Form::Int(0, 100)),
    ("maxretries", Form::Int(0, 10_000)),
    ("method", Form::Choice(METHODS)),
    ("mqtt_check_type", Form::Choice(&["keyword", "json-query"])),
    ("mqtt_password", Form::Text(COLUMN)),
    ("mqtt_success_message", Form::Text(COLUMN)),
    ("mqtt_topic", Form::Text(LONG)),
    ("mqtt_username", Form::Text(COLUMN)),
    ("mqtt_websocket_path", Form::Text(COLUMN)),
    ("name", Form::Text(150)),
    ("ntp_root_dispersion_threshold", Form::Int(1, 1_000_000)),
    ("ntp_stratum_threshold", Form::Int(1, 16)),
    ("ntp_time_offset_threshold", Form::Int(1, 86_400_000)),
    ("oauth_audience", Form::Text(COLUMN)),
    ("oauth_auth_method", Form::Choice(&["client_secret_basic", "client_secret_post"])),
    ("oauth_client_id", Form::Text(LONG)),
    ("oauth_client_secret", Form::Text(LONG)),
    ("oauth_scopes", Form::Text(LONG)),
    ("oauth_token_url", Form::Url),
    ("packet_size", Form::Int(1, 65_500)),
    ("parent", Form::Row("monitor")),
    ("ping_count", Form::Int(1, 100)),
    ("ping_numeric", Form::Flag),
    ("ping_per_request_timeout", Form::Int(1, 60)),
    ("port", Form::Int(1, 65_535)),
    ("protocol", Form::Text(20)),
    ("proxy_id", Form::Row("proxy")),
    ("push_token", Form::Text(32)),
    ("rabbitmq_nodes", Form::Texts),
    ("rabbitmq_password", Form::Text(COLUMN)),
    ("rabbitmq_username", Form::Text(COLUMN)),
    ("radius_called_station_id", Form::Text(50)),
    ("radius_calling_station_id", Form::Text(50)),
    ("radius_password", Form::Text(COLUMN)),
    ("radius_secret", Form::Text(COLUMN)),
    ("radius_username", Form::Text(COLUMN)),
    ("remote_browser", Form::Row("remote_browser")),
    ("resend_interval", Form::Int(0, MOST_SECONDS)),
    // Kuma's own limit.
    ("response_max_length", Form::Int(0, 1_048_576)),
    ("retry_interval", Form::Int(1, MOST_SECONDS)),
    ("retry_only_on_status_code_failure", Form::Flag),
    ("save_error_response", Form::Flag),
    ("save_response", Form::Flag),
    ("screenshot_delay", Form::Int(0, 86_400_000)),
    ("smtp_security", Form::Choice(&["secure", "nostarttls", "starttls"])),
    ("snmp_oid", Form::Text(COLUMN)),
    ("snmp_v3_username", Form::Text(COLUMN)),
    ("snmp_version", Form::Choice(&["1", "2c", "3"])),
    ("subtype", Form::Choice(&["ping", "http", "dns"])),
    ("system_service_name", Form::Text(COLUMN)),
    // Never 0: Kuma reads that as a timeout of 800 intervals.
    ("timeout", Form::Real(0.1, 86_400.0)),
    ("tls_ca", Form::Text(LONGER)),
    ("tls_cert", Form::Text(LONGER)),
    ("tls_key", Form::Text(LONGER)),
    ("type", Form::Text(20)),
    ("upside_down", Form::Flag),
    ("url", Form::Url),
    ("weight", Form::Int(0, 1_000_000)),
    ("ws_ignore_sec_websocket_accept_header", Form::Flag),
    ("ws_subprotocol", Form::Text(COLUMN)),
];

/// Columns that are not a client's to set: keys, owners, what nodes remember there, and the fork's owners.
const KEPT: &[&str] = &["id", "user_id", "created_date", "dns_last_result", "node_id", "assigned_node"];

/// What it takes, if Kuma 2.5.3 has it.
pub(super) fn form(column: &str) -> Option<Form> {
    RULES.binary_search_by_key(&column, |(name, _)| name).ok().and_then(|at| RULES.get(at)).map(|(_, form)| *form)
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
    RULES.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_by_name() {
        assert!(RULES.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn every_column_of_kuma_has_a_rule_or_is_kept() {
        let schema = include_str!("../../tests/it/fixtures/kuma/schema-2.5.3.tsv");
        let columns = schema.lines().filter_map(|line| line.strip_prefix("monitor\t")?.split('\t').next());
        let unknown: Vec<_> = columns.filter(|column| form(column).is_none() && is_settable(column)).collect();
        assert_eq!(unknown, [""; 0]);
    }
}
