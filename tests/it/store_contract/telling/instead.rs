//! What is told in another's place, and what an attempt leaves behind.

use std::time::Duration;

use komainu::store::outbox as store;
use komainu_watchdogs::ids::Incarnation;

use crate::store_contract::fixture::{Fixture, Kind};
use crate::store_contract::on_both_databases;
use crate::store_contract::vendor::{raise, resolve, routing};

on_both_databases! {
    who_is_told_instead_of_what_is_over_by_then_is_told_the_end_too,
    nothing_is_told_instead_where_something_later_was_told,
    a_message_under_way_rests_no_more,
}

/// Both channels are told, the first was about to be and may have been, and it is over.
async fn over_with_an_opening_that_may_have_arrived(fixture: &mut Fixture, channels: &[&str]) {
    raise(fixture, "leader", &routing(channels, None)).await;
    let begun = "UPDATE komainu_delivery SET sending_at = 1, notice_id = 'n1' WHERE channel = 'gone'";
    fixture.raw.execute(begun).await;
    resolve(fixture, "leader").await;
    let ended = "UPDATE komainu_delivery SET state = 'sent', sent_at = 1 WHERE event_id = \
         (SELECT MAX(id) FROM komainu_event WHERE kind = 'resolved')";
    fixture.raw.execute(ended).await;
    fixture.raw.execute("UPDATE komainu_delivery SET due_at = due_at - 600000 WHERE state = 'waiting'").await;
}

/// Event and state of what a channel got.
async fn got(fixture: &mut Fixture, channel: &str) -> Vec<String> {
    let sql = format!(
        "SELECT CONCAT(e.kind, ' ', d.state) FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id \
         WHERE d.channel = '{channel}' ORDER BY d.id"
    );
    fixture.raw.rows(&sql).await.into_iter().map(|row| row.concat()).collect()
}

async fn who_is_told_instead_of_what_is_over_by_then_is_told_the_end_too(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    over_with_an_opening_that_may_have_arrived(&mut fixture, &["gone"]).await;
    assert_eq!(
        store::abandon(&fixture.store, "gone", Duration::from_secs(300), &["mail".to_owned()]).await.unwrap(),
        1
    );
    assert_eq!(got(&mut fixture, "mail").await, ["opened waiting", "resolved waiting"]);
}

async fn nothing_is_told_instead_where_something_later_was_told(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    over_with_an_opening_that_may_have_arrived(&mut fixture, &["gone", "mail"]).await;
    // It had been told of a later event alone.
    fixture.raw.execute("DELETE FROM komainu_delivery WHERE channel = 'mail' AND state <> 'sent'").await;
    assert_eq!(
        store::abandon(&fixture.store, "gone", Duration::from_secs(300), &["mail".to_owned()]).await.unwrap(),
        1
    );
    assert_eq!(got(&mut fixture, "mail").await, ["resolved sent"]);
}

async fn a_message_under_way_rests_no_more(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&["ops"], None);
    raise(&fixture, "leader", &routing).await;
    store::prepare_channel(&fixture.store, "ops").await.unwrap();
    let first = store::Claim {
        notice: "n1".to_owned(),
        channel: "ops".to_owned(),
        deliveries: vec![fixture.raw.count("SELECT id FROM komainu_delivery").await],
        attempts: 0,
        is_repeated: false,
        is_doubtful: false,
        by: Incarnation(9),
    };
    let unanswered = store::Refusal {
        error: "no answer".to_owned(),
        may_have_arrived: true,
        pause: Duration::ZERO,
        rest: Duration::from_secs(60),
        incident: None,
    };
    let again = store::Claim { is_repeated: true, is_doubtful: true, attempts: 1, ..first.clone() };
    assert!(store::claim(&fixture.store, &first).await.unwrap());
    assert_eq!(store::begin_sending(&fixture.store, &first, Duration::ZERO).await.unwrap(), store::Begin::Go);
    store::note_refused(&fixture.store, &first, &unanswered, &routing).await.unwrap();
    let resting = "SELECT COUNT(*) FROM komainu_delivery WHERE retry_at IS NOT NULL";
    assert_eq!(fixture.raw.count(resting).await, 1);
    assert!(store::claim(&fixture.store, &again).await.unwrap());
    assert_eq!(store::begin_sending(&fixture.store, &again, Duration::ZERO).await.unwrap(), store::Begin::Go);
    // Whoever dies over it now leaves nothing that looks like the rest of what nobody else can be told.
    assert_eq!(fixture.raw.count(resting).await, 0);
}
