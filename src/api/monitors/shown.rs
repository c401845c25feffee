//! A monitor as the API shows it: Kuma's column names, JSON columns as JSON, passwords left out.

use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;

use crate::store::MonitorSpec;
use crate::store::monitors::MonitorView;

#[derive(Serialize)]
pub(in crate::api) struct Shown {
    id: MonitorId,
    #[serde(flatten)]
    columns: Columns,
    node_id: Option<NodeId>,
    assigned_node: Option<NodeId>,
    effective_node: Option<NodeId>,
    pinned: bool,
    /// Why it is where it is.
    reason: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    tags: Vec<String>,
    channels: Vec<String>,
    /// `api` when it was made here, `null` when it was made in Kuma.
    made_by: Option<String>,
    created_at: Option<Wall>,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of Kuma's table, as they are")]
struct Columns {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    active: bool,
    interval: u32,
    retry_interval: u32,
    maxretries: u32,
    timeout: f64,
    resend_interval: u32,
    upside_down: bool,
    url: Option<String>,
    method: String,
    body: Option<String>,
    headers: Option<Value>,
    http_body_encoding: Option<String>,
    auth_method: Option<String>,
    basic_auth_user: Option<String>,
    ignore_tls: bool,
    maxredirects: u32,
    accepted_statuscodes: Value,
    cache_bust: bool,
    keyword: Option<String>,
    invert_keyword: bool,
    hostname: Option<String>,
    port: Option<u16>,
    packet_size: u32,
    ping_count: u32,
    ping_per_request_timeout: u32,
    ip_family: Option<String>,
    description: Option<String>,
}

impl From<MonitorView> for Shown {
    fn from(view: MonitorView) -> Self {
        Self {
            id: view.spec.id,
            columns: view.spec.into(),
            node_id: view.node_id,
            assigned_node: view.assigned_node,
            effective_node: view.effective_node,
            pinned: view.pinned,
            reason: view.reason,
            reference: view.reference,
            tags: view.tags,
            channels: view.channels,
            made_by: view.made_by,
            created_at: view.created_at,
        }
    }
}

impl From<MonitorSpec> for Columns {
    fn from(spec: MonitorSpec) -> Self {
        Self {
            name: spec.name,
            kind: spec.kind,
            active: spec.active,
            interval: spec.interval,
            retry_interval: spec.retry_interval,
            maxretries: spec.maxretries,
            timeout: spec.timeout,
            resend_interval: spec.resend_interval,
            upside_down: spec.upside_down,
            url: spec.url,
            method: spec.method,
            body: spec.body,
            headers: spec.headers.map(json_or_text),
            http_body_encoding: spec.http_body_encoding,
            auth_method: spec.auth_method,
            basic_auth_user: spec.basic_auth_user,
            ignore_tls: spec.ignore_tls,
            maxredirects: spec.maxredirects,
            accepted_statuscodes: json_or_text(spec.accepted_statuscodes_json),
            cache_bust: spec.cache_bust,
            keyword: spec.keyword,
            invert_keyword: spec.invert_keyword,
            hostname: spec.hostname,
            port: spec.port,
            packet_size: spec.packet_size,
            ping_count: spec.ping_count,
            ping_per_request_timeout: spec.ping_per_request_timeout,
            ip_family: spec.ip_family,
            description: spec.description,
        }
    }
}

/// What Kuma's UI let somebody write there, when it is no JSON.
fn json_or_text(column: String) -> Value {
    serde_json::from_str(&column).unwrap_or(Value::String(column))
}
