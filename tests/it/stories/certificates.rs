//! A certificate that is about to expire is told to people before clients notice, and its renewal ends it.

use std::time::Duration;

use serde_json::json;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::tls_target::TlsTarget;

on_both!(a_certificate_that_expires_within_days_is_told_until_the_target_shows_another);

async fn a_certificate_that_expires_within_days_is_told_until_the_target_shows_another(kind: Kind) {
    let (vendor, target) = (Vendor::start().await, TlsTarget::start(5).await);
    let cluster =
        Cluster::start_with(kind, Shape { nodes: 1, monitors: 1, ..Shape::default() }, &vendor.sections()).await;
    let pass = target.pass();
    let body = json!({
        "name": "the shop", "type": "http", "url": target.url(), "interval": 2, "expiry_notification": true,
        "auth_method": "mtls", "tls_ca": pass.authority, "tls_cert": pass.certificate, "tls_key": pass.key,
    });
    let monitor = cluster.post("/api/v1/monitors", &body).await["id"].as_i64().unwrap();
    let (key, limit) = (format!("certificate/{monitor}"), Duration::from_secs(60));
    wait_until("it is told", limit, async || !vendor.told(&key, "opened").is_empty()).await;
    let severity = cluster.database.rows(&format!("SELECT severity FROM komainu_incident WHERE k = '{key}'")).await;
    assert_eq!(severity, [["critical"]], "five days are no longer a mere warning");
    let last = format!("SELECT status, msg FROM heartbeat WHERE monitor_id = {monitor} ORDER BY id DESC LIMIT 1");
    assert_eq!(cluster.database.rows(&last).await, [["1", "200 - OK"]], "it is no outage");

    target.renew(90);
    wait_until("its end is told", limit, async || !vendor.told(&key, "resolved").is_empty()).await;
    assert_eq!((vendor.told(&key, "opened").len(), vendor.told(&key, "resolved").len()), (1, 1));
    let kept = format!("SELECT COUNT(*) FROM monitor_tls_info WHERE monitor_id = {monitor}");
    assert_eq!(cluster.database.rows(&kept).await, [["1"]], "the new certificate stands in the place of the old one");
}
