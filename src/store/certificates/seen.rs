//! What was last seen of one monitor's certificate, for whoever looks at that monitor.

use jiff::Timestamp;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;
use serde_json::Value as Json;

use super::LINKS;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::values;

/// One certificate of a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its common name.
    pub subject: Option<String>,
    /// Of its issuer, the common name or else the organisation.
    pub issuer: Option<String>,
    /// When it ends.
    pub ends_at: Wall,
}

/// The chain of this monitor's target, its own certificate first, without the root; empty: none was seen.
pub async fn seen(store: &Store, monitor: MonitorId) -> Result<Vec<Link>, StoreError> {
    let act = "look at a certificate";
    if !store.catalog().await?.has_table("monitor_tls_info") {
        return Ok(vec![]);
    }
    // Of several rows Kuma goes by the first.
    let sql = "SELECT info_json FROM monitor_tls_info WHERE monitor_id = ? ORDER BY id LIMIT 1";
    let row = store.lease(act).await?.row(act, sql, values![monitor]).await?;
    let text = row.map_or(Ok(None), |row| row.maybe_text("info_json"))?;
    let info = text.and_then(|text| serde_json::from_str::<Json>(&text).ok());
    Ok(info.map_or_else(Vec::new, |info| chain(&info)))
}

fn chain(info: &Json) -> Vec<Link> {
    let mut links = vec![];
    let mut next = info.get("certInfo");
    while let Some(certificate) = next.filter(|_| links.len() < LINKS) {
        let text = |path: &str| certificate.pointer(path).and_then(Json::as_str).map(str::to_owned);
        let ends_at = text("/validTo").and_then(|text| text.parse::<Timestamp>().ok());
        let Some(ends_at) = ends_at.filter(|_| text("/certType").as_deref() != Some("root CA")) else { break };
        links.push(Link {
            subject: text("/subject/CN"),
            issuer: text("/issuer/CN").or_else(|| text("/issuer/O")),
            ends_at: Wall(ends_at.as_millisecond()),
        });
        next = certificate.get("issuerCertificate");
    }
    links
}
