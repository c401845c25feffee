//! A peer's signed report: at once the probe of that peer and the quickest way to hear what it sees.

use komainu_watchdogs::facts::Report;
use komainu_watchdogs::ids::WatchdogId;

use super::{ProbeError, answer, reason};
use crate::keys::ClusterKey;
use crate::{clock, signature};

/// Where a watchdog answers its peers.
const REPORT: &str = "/peer/v1/report";

/// The report of this watchdog, and of no other.
pub(super) async fn fetch_report(
    http: &reqwest::Client,
    key: &ClusterKey,
    id: &WatchdogId,
    address: Option<&str>,
) -> Result<Report, ProbeError> {
    let report = fetch_signed(http, key, address).await?;
    let found = format!("watchdog {} answers", report.watchdog);
    if &report.watchdog == id { Ok(report) } else { Err(ProbeError::Malformed { expected: "peer", found }) }
}

/// Asks, signed, and believes only a signed answer.
pub(super) async fn fetch_signed(
    http: &reqwest::Client,
    key: &ClusterKey,
    address: Option<&str>,
) -> Result<Report, ProbeError> {
    let address = address.filter(|address| !address.is_empty()).ok_or(ProbeError::NoAddress)?;
    let signed = signature::sign(key.as_bytes(), clock::wall(), "GET", REPORT, b"");
    let url = format!("{}{REPORT}", address.trim_end_matches('/'));
    let answer = http.get(url).header(signature::HEADER, signed).send().await.map_err(|error| reason(&error))?;
    let status = answer.status();
    let header = answer.headers().get(signature::HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = answer::read(answer).await?;
    let malformed = |found: String| ProbeError::Malformed { expected: "peer", found };
    let header = header.ok_or_else(|| malformed(format!("HTTP {} without a signature", status.as_u16())))?;
    signature::verify(key.as_bytes(), &header, clock::wall(), "GET", REPORT, &body)
        .map_err(|error| malformed(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))
}
