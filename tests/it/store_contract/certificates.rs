//! Incidents of certificates: opened by what Kuma's table says of a chain, worse with time, ended by a renewal.

use komainu::store::certificates::SeenChain;
use komainu::store::incidents::leftover;
use komainu::store::{Store, certificates};
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::routing::{Matcher, Route, Routing};
use komainu_watchdogs::time::Wall;
use serde_json::{Value, json};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    who_hears_only_of_what_is_critical_hears_of_it_once_however_much_it_flaps,
    who_was_told_that_it_is_over_hears_of_it_when_it_is_critical_again_however_much_it_flaps,
    a_certificate_that_expires_soon_is_told_worse_in_its_last_week_and_over_with_its_renewal,
    an_intermediate_counts_and_a_root_does_not,
    what_the_monitor_does_not_ask_for_is_not_told,
    kumas_own_days_are_gone_by,
    what_is_no_json_is_no_certificate,
    a_watchdogs_own_certificate_is_told_before_its_end_and_over_with_its_renewal,
    what_a_node_sees_is_kept_in_kumas_table_while_it_owns_the_monitor,
}

/// Everything to `ops`, what is critical to the phone as well.
fn routing() -> Routing {
    let route = |channel: &str, severity| Route {
        matcher: Matcher { severity, ..Matcher::default() },
        channels: vec![channel.to_owned()],
        group_wait: std::time::Duration::ZERO,
        repeat: None,
        ..Route::default()
    };
    let channels = vec!["ops".to_owned(), "phone".to_owned()];
    Routing { channels, routes: vec![route("ops", None), route("phone", Some(Severity::Critical))] }
}

async fn a_monitor(kind: Kind) -> (Fixture, MonitorId) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    fixture.raw.execute("UPDATE monitor SET url = 'https://target/'").await;
    (fixture, monitor)
}

async fn a_watchdogs_own_certificate_is_told_before_its_end_and_over_with_its_renewal(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (day, end) = (86_400_000, Wall(1_800_000_000_000));
    let own = |ending: Option<i64>| (ending.map(|_| end), Wall(end.0 - ending.unwrap_or_default()));
    let (store, w1) = (fixture.store.clone(), "w1".into());
    let settle = async |ending| certificates::settle_own(&store, &w1, own(ending), &routing()).await.unwrap();
    assert!(!settle(None).await);
    assert!(settle(Some(14 * day)).await);
    assert!(!settle(Some(13 * day)).await, "the same, a day later");
    assert!(!settle(Some(3 * day)).await, "the same, and worse");
    let shown = "SELECT k, severity, summary FROM komainu_incident WHERE resolved_at IS NULL";
    let words = "the certificate of watchdog w1 ends on 2027-01-15";
    assert_eq!(fixture.raw.rows(shown).await, [["certificate/watchdog-w1", "critical", words]]);
    assert!(settle(None).await);
    assert!(fixture.raw.rows(shown).await.is_empty());

    assert!(settle(Some(0)).await);
    assert_eq!(leftover::end(&fixture.store, &routing().channels).await.unwrap(), 1, "there is no such watchdog");
    assert!(fixture.raw.rows(shown).await.is_empty());
}

/// A link of a chain as Kuma writes it, valid for so many days and an hour.
fn link(days: i64, kind: &str, issuer: Option<&Value>) -> Value {
    let ends_at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days + 1);
    let ends_at = ends_at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    json!({"subject": {"CN": kind}, "certType": kind, "validTo": ends_at, "issuerCertificate": issuer})
}

async fn seen(fixture: &mut Fixture, monitor: MonitorId, chain: &Value) {
    let text = json!({"valid": true, "certInfo": chain}).to_string();
    fixture.raw.execute(&format!("DELETE FROM monitor_tls_info WHERE monitor_id = {monitor}")).await;
    let sql = format!("INSERT INTO monitor_tls_info (monitor_id, info_json) VALUES ({monitor}, '{text}')");
    fixture.raw.execute(&sql).await;
}

async fn settle(fixture: &Fixture) -> (u32, u32) {
    let (mut monitors, reached) = certificates::next(&fixture.store, MonitorId(0), 100).await.unwrap();
    assert_eq!(reached, MonitorId(0), "that was all of them");
    monitors.extend(certificates::open(&fixture.store, "", 100).await.unwrap().0);
    monitors.dedup();
    certificates::settle(&fixture.store, &monitors, &routing()).await.unwrap()
}

/// `channel: event`, in the order in which they were entered.
async fn told(fixture: &mut Fixture) -> Vec<String> {
    let sql = "SELECT d.channel, e.kind, e.severity FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id \
         WHERE d.state <> 'cancelled' ORDER BY e.id, d.channel";
    fixture.raw.rows(sql).await.into_iter().map(|row| format!("{}: {} {}", row[0], row[1], row[2])).collect()
}

async fn a_certificate_that_expires_soon_is_told_worse_in_its_last_week_and_over_with_its_renewal(kind: Kind) {
    let (mut fixture, monitor) = a_monitor(kind).await;
    seen(&mut fixture, monitor, &link(30, "server", None)).await;
    assert_eq!(settle(&fixture).await, (0, 0));
    seen(&mut fixture, monitor, &link(20, "server", None)).await;
    assert_eq!([settle(&fixture).await, settle(&fixture).await], [(1, 0), (0, 0)]);
    let summary = fixture.raw.one("SELECT summary FROM komainu_incident").await;
    assert!(summary.contains("(server) expires in 20 days, on 20"), "{summary}");
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    seen(&mut fixture, monitor, &link(6, "server", None)).await;
    settle(&fixture).await;
    settle(&fixture).await;
    let worse = ["ops: opened warning", "ops: worse critical", "phone: opened critical"];
    assert_eq!(told(&mut fixture).await, worse);
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    seen(&mut fixture, monitor, &link(90, "server", None)).await;
    assert_eq!([settle(&fixture).await, settle(&fixture).await], [(0, 1), (0, 0)]);
    let all = [&worse[..], &["ops: resolved critical", "phone: resolved critical"]].concat();
    assert_eq!(told(&mut fixture).await, all);
}

async fn who_hears_only_of_what_is_critical_hears_of_it_once_however_much_it_flaps(kind: Kind) {
    let (mut fixture, monitor) = a_monitor(kind).await;
    for days in [20, 6, 20, 6] {
        seen(&mut fixture, monitor, &link(20, "server", None)).await;
        settle(&fixture).await;
        fixture.raw.execute("UPDATE komainu_incident SET flaps = 5").await;
        fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent' WHERE state = 'waiting'").await;
        seen(&mut fixture, monitor, &link(days, "server", None)).await;
        settle(&fixture).await;
    }
    assert_eq!(told(&mut fixture).await, ["ops: opened warning", "phone: opened critical"]);
}

async fn who_was_told_that_it_is_over_hears_of_it_when_it_is_critical_again_however_much_it_flaps(kind: Kind) {
    let (mut fixture, monitor) = a_monitor(kind).await;
    seen(&mut fixture, monitor, &link(6, "server", None)).await;
    settle(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    seen(&mut fixture, monitor, &link(90, "server", None)).await;
    settle(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    fixture.raw.execute("UPDATE komainu_incident SET flaps = 5").await;
    for days in [20, 6, 20, 6] {
        seen(&mut fixture, monitor, &link(days, "server", None)).await;
        settle(&fixture).await;
    }
    let told = told(&mut fixture).await;
    let of_phone: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("phone: ")).collect();
    assert_eq!(of_phone, ["opened critical", "resolved critical", "opened critical"], "{told:?}");
}

async fn an_intermediate_counts_and_a_root_does_not(kind: Kind) {
    let (mut fixture, monitor) = a_monitor(kind).await;
    let root = link(1, "root CA", None);
    seen(&mut fixture, monitor, &link(90, "server", Some(&link(80, "intermediate CA", Some(&root))))).await;
    assert_eq!(settle(&fixture).await, (0, 0));
    seen(&mut fixture, monitor, &link(90, "server", Some(&link(3, "intermediate CA", Some(&root))))).await;
    assert_eq!(settle(&fixture).await, (1, 0));
    let summary = fixture.raw.one("SELECT summary FROM komainu_incident").await;
    assert!(summary.contains("(intermediate CA) expires in 3 days"), "{summary}");
}

async fn what_the_monitor_does_not_ask_for_is_not_told(kind: Kind) {
    let (mut fixture, monitor) = a_monitor(kind).await;
    seen(&mut fixture, monitor, &link(3, "server", None)).await;
    for column in ["expiry_notification = 0", "ignore_tls = 1", "active = 0"] {
        fixture.raw.execute(&format!("UPDATE monitor SET {column}")).await;
        assert_eq!(settle(&fixture).await, (0, 0), "{column}");
        fixture.raw.execute("UPDATE monitor SET expiry_notification = 1, ignore_tls = 0, active = 1").await;
    }
    assert_eq!(settle(&fixture).await, (1, 0));
    fixture.raw.execute("UPDATE monitor SET expiry_notification = 0").await;
    assert_eq!(settle(&fixture).await, (0, 1));
    fixture.raw.execute("UPDATE monitor SET expiry_notification = 1").await;
    // Made in Kuma's UI, and run by a stock Kuma, which tells people itself.
    fixture.raw.execute("DELETE FROM komainu_monitor").await;
    assert_eq!(settle(&fixture).await, (0, 0));
    fixture.raw.execute("UPDATE node SET runner = 'native'").await;
    assert_eq!(settle(&fixture).await, (1, 0));
}

async fn kumas_own_days_are_gone_by(kind: Kind) {
    let (mut fixture, monitor) = a_monitor(kind).await;
    fixture.raw.execute("CREATE TABLE setting (`key` VARCHAR(200), value TEXT)").await;
    fixture.raw.execute("INSERT INTO setting VALUES ('tlsExpiryNotifyDays', '[10]')").await;
    fixture.give_new_tables().await;
    // As a watchdog that starts on this database finds it.
    fixture.store = Store::connect(&fixture.url).await.unwrap();
    seen(&mut fixture, monitor, &link(12, "server", None)).await;
    assert_eq!(settle(&fixture).await, (0, 0));
    seen(&mut fixture, monitor, &link(9, "server", None)).await;
    assert_eq!(settle(&fixture).await, (1, 0));
    fixture.raw.execute("UPDATE setting SET value = '[]'").await;
    assert_eq!(settle(&fixture).await, (0, 1), "nobody wants to be told");
}

async fn what_is_no_json_is_no_certificate(kind: Kind) {
    let (mut fixture, monitor) = a_monitor(kind).await;
    for text in ["", "no json", "{}", "{\"certInfo\": 5}", "{\"certInfo\": {\"validTo\": \"soon\"}}"] {
        let sql = format!("INSERT INTO monitor_tls_info (monitor_id, info_json) VALUES ({monitor}, '{text}')");
        fixture.raw.execute(&sql).await;
        assert_eq!(settle(&fixture).await, (0, 0), "{text}");
    }
}

async fn what_a_node_sees_is_kept_in_kumas_table_while_it_owns_the_monitor(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let table = "CREATE TABLE notification_sent_history (type VARCHAR(50), monitor_id INT)";
    fixture.raw.execute(table).await;
    fixture.give_new_tables().await;
    fixture.raw.execute(&format!("INSERT INTO notification_sent_history VALUES ('certificate', {monitor})")).await;
    let told = "SELECT COUNT(*) FROM notification_sent_history";
    let chain = |fingerprint: &str| SeenChain {
        monitor,
        info: json!({"valid": true, "certInfo": {"fingerprint256": fingerprint, "subject": {"CN": "Zoë's"}}}),
    };
    // What tables there are is read once by each process.
    let store = Store::connect(fixture.store.url()).await.unwrap();
    let keep = async |incarnation: u64, fingerprint: &str| {
        store.keep_certificates(&"node1".into(), Incarnation(incarnation), &[chain(fingerprint)]).await.unwrap();
    };
    keep(11, "AA").await;
    keep(11, "AA").await;
    assert_eq!(fixture.raw.count(told).await, 1);
    keep(11, "BB").await;
    assert_eq!(fixture.raw.count(told).await, 0, "of this certificate nothing was told");
    keep(12, "CC").await;
    let rows = fixture.raw.rows("SELECT info_json FROM monitor_tls_info").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&rows[0][0]).unwrap(), chain("BB").info);
}
