//! `[server]`: who stands between the listener and those who connect.

use serde::Deserialize;

use super::fault::Faults;
use super::shape;
use crate::surface::{ClientHeader, Proxies};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    trusted_proxies: Vec<String>,
    proxy_protocol: bool,
    client_header: Header,
}

#[derive(Deserialize, Clone, Copy, Default)]
enum Header {
    #[default]
    #[serde(rename = "X-Forwarded-For")]
    XForwardedFor,
    #[serde(rename = "Forwarded")]
    Forwarded,
}

impl Section {
    pub(super) fn resolve(self, faults: &mut Faults) -> Option<Proxies> {
        let networks = self.trusted_proxies.iter().map(|text| shape::parse_network(text));
        let trusted = faults.note("server", "trusted_proxies", networks.collect::<Result<Vec<_>, _>>())?;
        if self.proxy_protocol && trusted.is_empty() {
            faults.add("server", "proxy_protocol", "needs trusted_proxies: nobody else may say whose connection it is");
        }
        let header = match self.client_header {
            Header::XForwardedFor => ClientHeader::XForwardedFor,
            Header::Forwarded => ClientHeader::Forwarded,
        };
        Some(Proxies { trusted, announce: self.proxy_protocol, header })
    }
}
