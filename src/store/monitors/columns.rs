//! The columns of Kuma's `monitor` table that nodes and the API know, and their way into and out of [`MonitorSpec`].
//!
//! A column that this Kuma does not have is neither read nor written.

use komainu_watchdogs::ids::MonitorId;

use super::MonitorSpec;
use crate::store::catalog::Catalog;
use crate::store::error::StoreError;
use crate::store::value::{Row, Value, values};

/// All but the key, in the order of [`written`].
const COLUMNS: [&str; 50] = [
    "name",
    "type",
    "active",
    "interval",
    "retry_interval",
    "maxretries",
    "timeout",
    "resend_interval",
    "upside_down",
    "url",
    "method",
    "body",
    "headers",
    "http_body_encoding",
    "auth_method",
    "basic_auth_user",
    "basic_auth_pass",
    "bearer_token",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "ignore_tls",
    "maxredirects",
    "accepted_statuscodes_json",
    "cache_bust",
    "keyword",
    "invert_keyword",
    "hostname",
    "port",
    "packet_size",
    "ping_count",
    "ping_per_request_timeout",
    "ip_family",
    "save_response",
    "save_error_response",
    "response_max_length",
    "push_token",
    "description",
    "parent",
    "expiry_notification",
    "json_path",
    "json_path_operator",
    "expected_value",
    "retry_only_on_status_code_failure",
    "dns_resolve_type",
    "dns_resolve_server",
    "manual_status",
    "conditions",
    "weight",
    "user_id",
];

/// Written once, never read: Kuma needs them to show and run a monitor.
const WRITE_ONLY: [&str; 2] = ["weight", "user_id"];

/// Read where this Kuma has them, never written.
const PROXY: &str = "(SELECT p.id FROM proxy p WHERE p.id = m.proxy_id AND p.active = 1)";
const TLS_ALERT: &str = "m.expected_tls_alert";

/// Those of one database.
pub(crate) struct SpecColumns {
    present: Vec<bool>,
    has_proxies: bool,
    has_tls_alert: bool,
}

impl SpecColumns {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        Self {
            present: COLUMNS.iter().map(|column| catalog.has_column("monitor", column)).collect(),
            has_proxies: catalog.has_column("proxy", "active") && catalog.has_column("monitor", "proxy_id"),
            has_tls_alert: catalog.has_column("monitor", "expected_tls_alert"),
        }
    }

    /// For a SELECT on `monitor m`.
    pub(crate) fn selected(&self) -> String {
        let read = COLUMNS.iter().zip(&self.present).filter(|(column, _)| !WRITE_ONLY.contains(column));
        let columns = read.map(
            |(column, present)| {
                if *present { format!("m.`{column}`") } else { format!("NULL AS `{column}`") }
            },
        );
        format!(
            "m.id, {}, {} AS proxy_id, {} AS expected_tls_alert",
            columns.collect::<Vec<_>>().join(", "),
            if self.has_proxies { PROXY } else { "NULL" },
            if self.has_tls_alert { TLS_ALERT } else { "NULL" },
        )
    }

    /// The column list of an INSERT, and the values to bind.
    pub(crate) fn inserted(&self, spec: &MonitorSpec, user: Option<i64>) -> (String, Vec<Value>) {
        let pairs = COLUMNS.iter().zip(&self.present).zip(written(spec, user));
        let (columns, values): (Vec<String>, Vec<Value>) = pairs
            .filter(|((_, present), _)| **present)
            .map(|((column, _), value)| (format!("`{column}`"), value))
            .unzip();
        (columns.join(", "), values)
    }

    pub(crate) fn read(row: &Row) -> Result<MonitorSpec, StoreError> {
        let ours = MonitorSpec::default();
        Ok(MonitorSpec {
            id: MonitorId(row.int("id")?),
            name: row.text("name")?,
            kind: row.text("type")?,
            active: row.flag("active")?,
            interval: row.small("interval")?,
            retry_interval: row.small("retry_interval")?,
            maxretries: row.small("maxretries")?,
            timeout: row.maybe_real("timeout")?.unwrap_or(0.0),
            resend_interval: row.small("resend_interval")?,
            upside_down: row.flag("upside_down")?,
            url: row.maybe_text("url")?,
            method: row.maybe_text("method")?.unwrap_or(ours.method),
            body: row.maybe_text("body")?,
            headers: row.maybe_text("headers")?,
            http_body_encoding: row.maybe_text("http_body_encoding")?,
            auth_method: row.maybe_text("auth_method")?,
            basic_auth_user: row.maybe_text("basic_auth_user")?,
            basic_auth_pass: row.maybe_text("basic_auth_pass")?,
            bearer_token: row.maybe_text("bearer_token")?,
            tls_ca: row.maybe_text("tls_ca")?,
            tls_cert: row.maybe_text("tls_cert")?,
            tls_key: row.maybe_text("tls_key")?,
            ignore_tls: row.flag("ignore_tls")?,
            maxredirects: or(row, "maxredirects", ours.maxredirects)?,
            accepted_statuscodes_json: row
                .maybe_text("accepted_statuscodes_json")?
                .unwrap_or(ours.accepted_statuscodes_json),
            cache_bust: row.flag("cache_bust")?,
            keyword: row.maybe_text("keyword")?,
            invert_keyword: row.flag("invert_keyword")?,
            hostname: row.maybe_text("hostname")?,
            port: row.maybe_int("port")?.and_then(|port| u16::try_from(port).ok()),
            packet_size: or(row, "packet_size", ours.packet_size)?,
            ping_count: or(row, "ping_count", ours.ping_count)?,
            ping_per_request_timeout: or(row, "ping_per_request_timeout", ours.ping_per_request_timeout)?,
            ip_family: row.maybe_text("ip_family")?,
            save_response: row.flag("save_response")?,
            save_error_response: row.maybe_int("save_error_response")?.map_or(ours.save_error_response, |set| set != 0),
            response_max_length: or(row, "response_max_length", ours.response_max_length)?,
            proxy_id: row.maybe_int("proxy_id")?,
            expected_tls_alert: row.maybe_text("expected_tls_alert")?,
            push_token: row.maybe_text("push_token")?,
            description: row.maybe_text("description")?,
            parent: row.maybe_int("parent")?.map(MonitorId),
            expiry_notification: row.maybe_int("expiry_notification")?.is_none_or(|set| set != 0),
            json_path: row.maybe_text("json_path")?,
            json_path_operator: row.maybe_text("json_path_operator")?,
            expected_value: row.maybe_text("expected_value")?,
            retry_only_on_status_code_failure: row.flag("retry_only_on_status_code_failure")?,
            dns_resolve_type: row.maybe_text("dns_resolve_type")?,
            dns_resolve_server: row.maybe_text("dns_resolve_server")?,
            conditions: row.maybe_text("conditions")?.unwrap_or(ours.conditions),
            manual_status: row.maybe_int("manual_status")?,
        })
    }
}

fn or(row: &Row, column: &str, preset: u32) -> Result<u32, StoreError> {
    Ok(if row.maybe_int(column)?.is_some() { row.small(column)? } else { preset })
}

fn written(spec: &MonitorSpec, user: Option<i64>) -> Vec<Value> {
    values![
        &spec.name,
        &spec.kind,
        spec.active,
        spec.interval,
        spec.retry_interval,
        spec.maxretries,
        spec.timeout,
        spec.resend_interval,
        spec.upside_down,
        spec.url.clone(),
        &spec.method,
        spec.body.clone(),
        spec.headers.clone(),
        spec.http_body_encoding.clone(),
        spec.auth_method.clone(),
        spec.basic_auth_user.clone(),
        spec.basic_auth_pass.clone(),
        spec.bearer_token.clone(),
        spec.tls_ca.clone(),
        spec.tls_cert.clone(),
        spec.tls_key.clone(),
        spec.ignore_tls,
        spec.maxredirects,
        &spec.accepted_statuscodes_json,
        spec.cache_bust,
        spec.keyword.clone(),
        spec.invert_keyword,
        spec.hostname.clone(),
        spec.port,
        spec.packet_size,
        spec.ping_count,
        spec.ping_per_request_timeout,
        spec.ip_family.clone(),
        spec.save_response,
        spec.save_error_response,
        spec.response_max_length,
        spec.push_token.clone(),
        spec.description.clone(),
        spec.parent,
        spec.expiry_notification,
        spec.json_path.clone(),
        spec.json_path_operator.clone(),
        spec.expected_value.clone(),
        spec.retry_only_on_status_code_failure,
        spec.dns_resolve_type.clone(),
        spec.dns_resolve_server.clone(),
        spec.manual_status,
        &spec.conditions,
        2_000,
        user,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_value() {
        assert_eq!(written(&MonitorSpec::default(), None).len(), COLUMNS.len());
    }
}
