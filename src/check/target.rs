//! The addresses that a check names as addresses, not as names: those are judged before anything is stored.
//!
//! What a name resolves to, and where a redirect leads, is judged by whoever looks.

use std::net::IpAddr;

use url::{Host, Url};

use super::{Denial, Guard};
use crate::monitor::{Columns, FieldFault};
use crate::store::MonitorSpec;

/// The field that names an address at which nobody looks.
pub(super) fn fault(guard: &Guard, kind: &str, settings: &Columns) -> Option<FieldFault> {
    let text = |column: &str| settings.get(column).and_then(serde_json::Value::as_str).unwrap_or_default();
    let (field, addresses) = named(kind, text);
    let (address, denial) = refused(guard, addresses)?;
    Some(FieldFault::new(field, format!("{address} is not looked at: {denial}")))
}

/// The address at which nobody looks that a monitor names.
pub fn denied(guard: &Guard, monitor: &MonitorSpec) -> Option<(IpAddr, Denial)> {
    let text = |column: &str| {
        let text = match column {
            "hostname" => &monitor.hostname,
            "dns_resolve_server" => &monitor.dns_resolve_server,
            _ => &monitor.url,
        };
        text.as_deref().unwrap_or_default()
    };
    refused(guard, named(&monitor.kind, text).1)
}

fn named<'a>(kind: &str, text: impl Fn(&str) -> &'a str) -> (&'static str, Vec<IpAddr>) {
    match kind {
        "port" | "ping" => ("hostname", of_hosts([text("hostname")])),
        "dns" => ("dns_resolve_server", of_hosts(text("dns_resolve_server").split(','))),
        _ => ("url", of_url(text("url"))),
    }
}

fn refused(guard: &Guard, addresses: Vec<IpAddr>) -> Option<(IpAddr, Denial)> {
    addresses.into_iter().find_map(|address| Some((address, guard.refuses(address)?)))
}

fn of_url(text: &str) -> Vec<IpAddr> {
    let url = Url::parse(text).ok();
    url.as_ref().and_then(Url::host).as_ref().and_then(address).into_iter().collect()
}

/// As people, and the system's resolver, write addresses: `[::1]`, `0xa9fea9fe`.
fn of_hosts<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Vec<IpAddr> {
    let bare = |host: &'a str| host.trim().trim_matches(['[', ']']);
    let parsed = |host: &str| host.parse().ok().or_else(|| address(&Host::parse(host).ok()?));
    hosts.into_iter().map(bare).filter_map(parsed).collect()
}

fn address<S>(host: &Host<S>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
        Host::Domain(_) => None,
    }
}
