//! A check as the looks take it: as the row of a monitor, because a native node's looks are theirs too.

use serde_json::Value as Json;

use super::Definition;
use crate::store::MonitorSpec;

impl Definition {
    /// The monitor that a native node would look at in the same way.
    pub fn spec(&self) -> MonitorSpec {
        let ours = MonitorSpec::default();
        let text = |column: &str| self.settings.get(column).and_then(Json::as_str).map(str::to_owned);
        let flag = |column: &str| self.settings.get(column).and_then(Json::as_bool).unwrap_or_default();
        let number = |column: &str, preset: u32| {
            let number = self.settings.get(column).and_then(Json::as_u64);
            number.and_then(|number| u32::try_from(number).ok()).unwrap_or(preset)
        };
        let port = self.settings.get("port").and_then(Json::as_u64);
        MonitorSpec {
            name: self.name.clone(),
            kind: self.kind.clone(),
            active: !self.is_paused,
            interval: self.interval_s,
            retry_interval: self.interval_s,
            timeout: self.timeout_s(),
            upside_down: flag("upside_down"),
            url: text("url"),
            method: text("method").unwrap_or(ours.method),
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
            maxredirects: number("maxredirects", ours.maxredirects),
            accepted_statuscodes_json: text("accepted_statuscodes_json").unwrap_or(ours.accepted_statuscodes_json),
            cache_bust: flag("cache_bust"),
            keyword: text("keyword"),
            invert_keyword: flag("invert_keyword"),
            hostname: text("hostname"),
            port: port.and_then(|port| u16::try_from(port).ok()),
            packet_size: number("packet_size", ours.packet_size),
            ping_count: number("ping_count", ours.ping_count),
            ping_per_request_timeout: number("ping_per_request_timeout", ours.ping_per_request_timeout),
            ip_family: text("ip_family"),
            description: text("description"),
            json_path: text("json_path"),
            json_path_operator: text("json_path_operator"),
            expected_value: text("expected_value"),
            dns_resolve_type: text("dns_resolve_type"),
            dns_resolve_server: text("dns_resolve_server"),
            conditions: text("conditions").unwrap_or(ours.conditions),
            ..MonitorSpec::default()
        }
    }
}
