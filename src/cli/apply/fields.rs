//! Names of the fields that a file may hold.

use serde_json::Value;

use crate::check;
use crate::monitor::{Secrecy, holds_credentials, secrecy};

/// A monitor's own, beside Kuma's columns. Its ref is its key, who manages it is the file's `set`.
const OURS: [&str; 6] = ["channels", "node_id", "pinned", "run_on", "second_opinion", "tags"];

/// A heartbeat's.
pub(super) const HEARTBEAT: [&str; 12] = [
    "description",
    "period_s",
    "cron",
    "time_zone",
    "grace_s",
    "max_runtime_s",
    "first_due",
    "severity",
    "channels",
    "tags",
    "allow_sha1",
    "paused",
];

/// A node's settings. That it exists, and where it is, is not this file's to say.
pub(super) const NODE: [&str; 4] = ["name", "weight", "capacity", "labels"];

/// Lists whose order says nothing.
const SETS: [&str; 10] = [
    "channels",
    "depends_on",
    "embed_from",
    "labels",
    "run_on",
    "subjects",
    "subscribe",
    "tags",
    "zones",
    "accepted_statuscodes",
];

/// Columns of Kuma's monitors that clients may set, JSON columns without their suffix.
const COLUMNS: &str = "accepted_statuscodes active auth_domain auth_method auth_workstation basic_auth_pass basic_auth_user \
    bearer_token body cache_bust conditions database_connection_string database_query description \
    dns_resolve_server dns_resolve_type docker_container docker_host domain_expiry_notification \
    expected_tls_alert expected_value expiry_notification game gamedig_given_port_only gamedig_token grpc_body \
    grpc_enable_tls grpc_metadata grpc_method grpc_protobuf grpc_service_name grpc_url headers hostname \
    http_body_encoding ignore_tls interval invert_keyword ip_family json_path json_path_operator \
    kafka_producer_allow_auto_topic_creation kafka_producer_brokers kafka_producer_message \
    kafka_producer_sasl_options kafka_producer_ssl kafka_producer_topic keyword location manual_status \
    maxredirects maxretries method mqtt_check_type mqtt_password mqtt_success_message mqtt_topic mqtt_username \
    mqtt_websocket_path name ntp_root_dispersion_threshold ntp_stratum_threshold ntp_time_offset_threshold \
    oauth_audience oauth_auth_method oauth_client_id oauth_client_secret oauth_scopes oauth_token_url \
    packet_size parent ping_count ping_numeric ping_per_request_timeout port protocol proxy_id push_token \
    rabbitmq_nodes rabbitmq_password rabbitmq_username radius_called_station_id radius_calling_station_id \
    radius_password radius_secret radius_username remote_browser resend_interval response_max_length \
    retry_interval retry_only_on_status_code_failure save_error_response save_response screenshot_delay \
    smtp_security snmp_oid snmp_v3_username snmp_version subtype system_service_name timeout tls_ca tls_cert \
    tls_key type upside_down url weight ws_ignore_sec_websocket_accept_header ws_subprotocol";

/// What a file may say of a check: its name is its key, who manages it is the file's `set`.
pub(super) fn is_check_field(name: &str) -> bool {
    let is_own = check::FIELDS.contains(&name) && !["name", "managed_by"].contains(&name);
    is_own || check::KINDS.into_iter().any(|kind| check::uses(kind, name))
}

pub(super) fn is_monitor_field(name: &str) -> bool {
    OURS.contains(&name) || COLUMNS.split(' ').any(|column| column == name)
}

/// What the API does not show, so that only the watchdog can compare it.
pub(super) fn is_secret(name: &str, wanted: &Value, there: &Value) -> bool {
    match secrecy(name) {
        // Of a page.
        Secrecy::Open if name == "password" => true,
        Secrecy::Open | Secrecy::Token => false,
        Secrecy::Address => {
            let is_hidden = |hidden: &Value| hidden.as_array().is_some_and(|names| names.iter().any(|one| one == name));
            holds_credentials(wanted) && there.get("hidden").is_none_or(is_hidden)
        }
        Secrecy::Secret => true,
    }
}

pub(super) fn is_set(name: &str) -> bool {
    SETS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_kuma() {
        let schema = include_str!("../../../tests/it/fixtures/kuma/schema-2.5.3.tsv");
        let kept = ["id", "user_id", "created_date", "dns_last_result"];
        let columns = schema.lines().filter_map(|line| line.strip_prefix("monitor\t")?.split('\t').next());
        let theirs: Vec<_> = columns.filter(|column| !kept.contains(column)).collect();
        for column in &theirs {
            let field = column.strip_suffix("_json").unwrap_or(column);
            assert!(is_monitor_field(field), "{column}");
        }
        assert_eq!(COLUMNS.split(' ').count(), theirs.len());
    }
}
