//! A case's columns as Kuma's table holds them.

use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::target::Target;

/// The row of Kuma's table.
pub(crate) fn row(case: &Case, target: &Target) -> Map<String, Value> {
    let usual = json!({
        "type": "http", "url": "http://{target}/", "method": "GET", "interval": 20, "retry_interval": 20, "maxretries": 0,
        "timeout": 16.0, "maxredirects": 10, "accepted_statuscodes_json": "[\"200-299\"]", "upside_down": false,
        "ignore_tls": false, "save_response": false, "save_error_response": true, "response_max_length": 1_024,
        "conditions": "[]", "packet_size": 56, "ping_count": 1, "ping_per_request_timeout": 2, "ping_numeric": true,
        "dns_resolve_server": "{host}", "resend_interval": 0, "active": true,
        "tls_ca": null, "tls_cert": null, "tls_key": null, "manual_status": null, "json_path": null, "body": null,
        "headers": null,
    });
    let Value::Object(mut row) = usual else { panic!("it is an object") };
    match case.kind() {
        "port" | "dns" => {
            row.insert("port".to_owned(), json!(target.address.port()));
        }
        _ => {}
    }
    if case.tls.is_some() && case.tls.as_deref() != Some("closed") {
        row.insert("url".to_owned(), json!("https://localhost:{port}/"));
    }
    if case.kind() == "port" {
        row.insert("hostname".to_owned(), json!("{host}"));
    }
    for (name, value) in &case.monitor {
        row.insert(name.clone(), serde_json::to_value(value).unwrap());
    }
    for value in row.values_mut() {
        if let Value::String(text) = value {
            *text = target.fill(text);
        }
    }
    row
}
