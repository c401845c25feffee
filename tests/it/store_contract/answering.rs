//! Messages that can be answered, and vendors that know one incident at a time.

use komainu::store::incidents::{self, Taking};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{Vendor, deliverer, raise, resolve, routing};

on_both_databases! {
    what_is_told_can_be_answered_and_its_end_cannot,
    whoever_was_told_hears_at_once_who_takes_care_of_it,
    who_was_told_nothing_yet_hears_both_in_one_message,
    a_vendor_that_knows_one_incident_at_a_time_gets_each_in_a_message_of_its_own,
}

async fn what_is_told_can_be_answered_and_its_end_cannot(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, vendor) = (routing(&["ops"], None), Vendor::default());
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &vendor)]);
    raise(&fixture, "node/node1", &routing).await;
    vendor.wait_for(1).await;
    let opened = &vendor.taken()[0].items[0];
    let names: Vec<&str> = opened.answers.iter().map(|answer| answer.answer.as_str()).collect();
    assert_eq!(names, ["ack", "silence-1h", "silence-8h", "silence-until-resolved"]);
    assert!(opened.answers.iter().all(|answer| answer.url.starts_with("http://w1:8900/act/")), "{opened:?}");
    resolve(&fixture, "node/node1").await;
    vendor.wait_for(2).await;
    assert_eq!(vendor.taken()[1].items[0].answers, []);
}

async fn take(fixture: &mut Fixture, key: &str, who: &str) {
    let sql = format!("SELECT id FROM komainu_incident WHERE k = '{key}'");
    let id = fixture.raw.count(&sql).await;
    incidents::take(&fixture.store, id, (who, Taking::Over)).await.unwrap();
}

async fn whoever_was_told_hears_at_once_who_takes_care_of_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, vendor) = (routing(&["ops"], None), Vendor::default());
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &vendor)]);
    raise(&fixture, "leader", &routing).await;
    vendor.wait_for(1).await;
    for (who, messages) in [("link/ops (anna)", 2), ("link/ops (anna)", 2), ("key/ben", 3)] {
        take(&mut fixture, "leader", who).await;
        vendor.wait_for(messages).await;
        let entered = fixture.raw.count("SELECT COUNT(*) FROM komainu_event WHERE kind = 'ack'").await;
        assert_eq!(entered, i64::try_from(messages).unwrap() - 1, "{who}");
    }
    resolve(&fixture, "leader").await;
    vendor.wait_for(4).await;
    let told = ["opened leader", "acknowledged leader", "acknowledged leader", "resolved leader"];
    assert_eq!(vendor.told().concat(), told, "and once for each who took it");
    let taken = vendor.taken();
    let by: Vec<_> = taken.iter().map(|notice| notice.items[0].acknowledged_by.as_deref()).collect();
    assert_eq!(by, [None, Some("anna"), Some("ben"), None]);
    let answers: Vec<&str> = taken[1].items[0].answers.iter().map(|answer| answer.answer.as_str()).collect();
    assert_eq!(answers, ["take-over", "silence-1h", "silence-8h", "silence-until-resolved"]);
}

async fn who_was_told_nothing_yet_hears_both_in_one_message(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, vendor) = (routing(&["ops"], None), Vendor::default());
    raise(&fixture, "leader", &routing).await;
    take(&mut fixture, "leader", "key/ben").await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &vendor)]);
    vendor.wait_for(1).await;
    resolve(&fixture, "leader").await;
    vendor.wait_for(2).await;
    assert_eq!(vendor.told().concat(), ["opened leader", "resolved leader"]);
    assert_eq!(vendor.taken()[0].items[0].acknowledged_by.as_deref(), Some("ben"));
}

async fn a_vendor_that_knows_one_incident_at_a_time_gets_each_in_a_message_of_its_own(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, pager, mail) = (routing(&["mail", "pager"], None), Vendor::one_by_one(), Vendor::default());
    for number in 0..12 {
        raise(&fixture, &format!("later/{number}"), &routing).await;
    }
    let _running: Vec<_> =
        (1..=3).map(|me| deliverer(&fixture, me, &routing, &[("pager", &pager), ("mail", &mail)])).collect();
    pager.wait_for(12).await;
    mail.wait_for(1).await;
    let mut told: Vec<_> = pager.told();
    assert!(told.iter().all(|message| message.len() == 1), "{told:?}");
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 12, "each once: {told:?}");
    assert!(!pager.taken().iter().any(|notice| notice.is_digest));
    assert!(mail.taken()[0].items.len() > 10, "others get them as one");
}
