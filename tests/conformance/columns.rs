//! A case's columns as a native node reads them.

use komainu::run::Runs;
use komainu::run::http::Caller;
use komainu::run::queries::{Program, SUBCOMMAND};
use komainu::store::monitors::MonitorSpec;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde_json::Value;

use crate::case::Case;
use crate::row::row;
use crate::target::Target;

/// As this suite names the node.
pub(crate) fn runs() -> Runs {
    Runs::new(Caller::new(&NodeId::from("node1"), None), Program::at(env!("CARGO_BIN_EXE_komainu"), &[SUBCOMMAND]))
}

pub(crate) fn spec(case: &Case, target: &Target) -> MonitorSpec {
    let row = row(case, target);
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| row.get(name).and_then(Value::as_i64);
    let count = |name: &str| u32::try_from(number(name).unwrap_or_default()).unwrap();
    let flag = |name: &str| row.get(name).is_some_and(|value| value == true);
    MonitorSpec {
        id: MonitorId(1),
        kind: text("type").unwrap(),
        interval: count("interval"),
        retry_interval: count("retry_interval"),
        maxretries: count("maxretries"),
        timeout: row["timeout"].as_f64().unwrap(),
        upside_down: flag("upside_down"),
        url: text("url"),
        method: text("method").unwrap_or_default(),
        body: text("body"),
        headers: text("headers"),
        http_body_encoding: text("http_body_encoding"),
        auth_method: text("auth_method"),
        basic_auth_user: text("basic_auth_user"),
        basic_auth_pass: text("basic_auth_pass"),
        bearer_token: text("bearer_token"),
        tls_ca: text("tls_ca"),
        tls_cert: text("tls_cert"),
        tls_key: text("tls_key"),
        ignore_tls: flag("ignore_tls"),
        maxredirects: count("maxredirects"),
        accepted_statuscodes_json: text("accepted_statuscodes_json").unwrap(),
        cache_bust: flag("cache_bust"),
        keyword: text("keyword"),
        invert_keyword: flag("invert_keyword"),
        hostname: text("hostname"),
        port: number("port").map(|port| u16::try_from(port).unwrap()),
        packet_size: count("packet_size"),
        ping_count: count("ping_count"),
        ping_per_request_timeout: count("ping_per_request_timeout"),
        ip_family: text("ip_family"),
        save_response: flag("save_response"),
        save_error_response: flag("save_error_response"),
        response_max_length: count("response_max_length"),
        proxy_id: number("proxy_id"),
        expected_tls_alert: text("expected_tls_alert"),
        json_path: text("json_path"),
        json_path_operator: text("json_path_operator"),
        expected_value: text("expected_value"),
        retry_only_on_status_code_failure: flag("retry_only_on_status_code_failure"),
        dns_resolve_type: text("dns_resolve_type"),
        dns_resolve_server: text("dns_resolve_server"),
        conditions: text("conditions").unwrap(),
        manual_status: number("manual_status"),
        ..MonitorSpec::default()
    }
}
