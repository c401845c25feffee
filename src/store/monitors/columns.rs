//! The columns of Kuma's `monitor` table that nodes and the API know, and their way into and out of [`MonitorSpec`].
//!
//! A column that this Kuma does not have is neither read nor written.

use komainu_watchdogs::ids::MonitorId;
use serde_json::{Value as Json, json};

use super::MonitorSpec;
use crate::monitor::{Columns, Kind, Table, stored_kind};
use crate::store::catalog::Catalog;
use crate::store::error::StoreError;
use crate::store::value::{Row, Value};

/// All but the key, in the order of [`written`].
const COLUMNS: [&str; 48] = [
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
];

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
        let columns = COLUMNS
            .iter()
            .zip(&self.present)
            .map(|(column, present)| if *present { format!("m.`{column}`") } else { format!("NULL AS `{column}`") });
        format!(
            "m.id, {}, {} AS proxy_id, {} AS expected_tls_alert",
            columns.collect::<Vec<_>>().join(", "),
            if self.has_proxies { PROXY } else { "NULL" },
            if self.has_tls_alert { TLS_ALERT } else { "NULL" },
        )
    }

    /// Those that this Kuma has, with their values.
    pub(crate) fn written(&self, spec: &MonitorSpec) -> Columns {
        let pairs = COLUMNS.iter().zip(&self.present).zip(written(spec));
        pairs.filter(|((_, present), _)| **present).map(|((column, _), value)| ((*column).to_owned(), value)).collect()
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

/// For a SELECT on `monitor m`: all columns that clients read and write, beside those of [`SpecColumns::selected`].
pub(super) fn all_selected(table: &Table) -> String {
    let columns: Vec<String> = table.columns().map(|(name, _)| format!(", m.`{name}` AS `c_{name}`")).collect();
    columns.concat()
}

/// What [`all_selected`] selected.
pub(super) fn read_all(table: &Table, row: &Row) -> Result<Columns, StoreError> {
    let read = table.columns().map(|(name, column)| {
        let alias = format!("c_{name}");
        let value = match stored_kind(name, column) {
            Kind::Flag => row.maybe_int(&alias)?.map(|number| json!(number != 0)),
            Kind::Int(..) => row.maybe_int(&alias)?.map(|number| json!(number)),
            Kind::Real => row.maybe_real(&alias)?.map(|number| json!(number)),
            Kind::Chars(_) | Kind::Bytes(_) | Kind::Choice(_) => row.maybe_text(&alias)?.map(|text| json!(text)),
        };
        Ok((name.to_owned(), value.unwrap_or(Json::Null)))
    });
    read.collect()
}

/// As it is bound to a statement.
pub(super) fn bound(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::from(number.as_f64()), Value::from),
        Json::String(text) => Value::from(text),
        // JSON columns hold it as their text.
        Json::Array(_) | Json::Object(_) => Value::from(value.to_string()),
    }
}

fn or(row: &Row, column: &str, preset: u32) -> Result<u32, StoreError> {
    Ok(if row.maybe_int(column)?.is_some() { row.small(column)? } else { preset })
}

fn written(spec: &MonitorSpec) -> Vec<Json> {
    let parent = spec.parent.map(|parent| parent.0);
    let values = [
        json!(spec.name),
        json!(spec.kind),
        json!(spec.active),
        json!(spec.interval),
        json!(spec.retry_interval),
        json!(spec.maxretries),
        json!(spec.timeout),
        json!(spec.resend_interval),
        json!(spec.upside_down),
        json!(spec.url),
        json!(spec.method),
        json!(spec.body),
        json!(spec.headers),
        json!(spec.http_body_encoding),
        json!(spec.auth_method),
        json!(spec.basic_auth_user),
        json!(spec.basic_auth_pass),
        json!(spec.bearer_token),
        json!(spec.tls_ca),
        json!(spec.tls_cert),
        json!(spec.tls_key),
        json!(spec.ignore_tls),
        json!(spec.maxredirects),
        json!(spec.accepted_statuscodes_json),
        json!(spec.cache_bust),
        json!(spec.keyword),
        json!(spec.invert_keyword),
        json!(spec.hostname),
        json!(spec.port),
        json!(spec.packet_size),
        json!(spec.ping_count),
        json!(spec.ping_per_request_timeout),
        json!(spec.ip_family),
        json!(spec.save_response),
        json!(spec.save_error_response),
        json!(spec.response_max_length),
        json!(spec.push_token),
        json!(spec.description),
        json!(parent),
        json!(spec.expiry_notification),
        json!(spec.json_path),
        json!(spec.json_path_operator),
        json!(spec.expected_value),
        json!(spec.retry_only_on_status_code_failure),
        json!(spec.dns_resolve_type),
        json!(spec.dns_resolve_server),
        json!(spec.manual_status),
        json!(spec.conditions),
    ];
    values.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_value() {
        assert_eq!(written(&MonitorSpec::default()).len(), COLUMNS.len());
    }
}
