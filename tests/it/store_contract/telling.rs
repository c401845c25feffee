//! Channels that answer late, never, or not to everything: nothing blocks, and nothing is dropped without a word.

use std::time::Duration;

use komainu_notifiers::{DeliveryError, Doubt, Missed, Notice, Receipt};
use komainu_watchdogs::routing::Routing;

use self::scripted::{Scripted, has, outlets};
use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{PATIENCE, raise, resolve, routing, start};
use crate::cluster::wait::wait_until;

mod instead;
mod scripted;
mod vendors;

on_both_databases! {
    a_slow_answer_is_waited_for_and_others_overtake_it,
    what_is_never_answered_is_repeated_three_times_and_then_told_elsewhere,
    a_channel_that_never_answers_lets_the_end_through,
    a_message_that_a_channel_always_fails_at_lets_others_pass,
    a_critical_that_its_channel_does_not_take_in_time_is_told_elsewhere_too,
    of_a_refused_batch_all_arrive_but_the_one_that_is_disliked,
    a_channel_that_refuses_everything_is_asked_a_few_times,
    readers_who_were_refused_get_it_later_and_nobody_gets_it_twice,
    readers_who_are_refused_for_good_are_told_of,
}

/// Everything goes to `ops`; `mail` is the only other channel.
fn ops_and_mail() -> Routing {
    Routing { channels: vec!["mail".to_owned(), "ops".to_owned()], ..routing(&["ops"], None) }
}

async fn a_slow_answer_is_waited_for_and_others_overtake_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&["ops"], None);
    let slow = |notice: &Notice| {
        let takes = if has(notice, "node/slow") { 34 } else { 0 };
        (Duration::from_secs(takes), Ok(Receipt::default()))
    };
    let ops = Scripted::slow(slow);
    let _one = start(&fixture, 1, &routing, outlets(&[("ops", &ops)]));
    raise(&fixture, "node/slow", &routing).await;
    ops.wait_for("node/slow").await;
    raise(&fixture, "capacity", &routing).await;
    ops.wait_for("capacity").await;
    // Another watchdog finds nothing to repeat.
    let _two = start(&fixture, 2, &routing, outlets(&[("ops", &ops)]));
    let is_noted = "SELECT COUNT(*) FROM komainu_delivery WHERE state <> 'sent'";
    wait_until("both are noted", 2 * PATIENCE, async || fixture.raw.count(is_noted).await == 0).await;
    assert_eq!(ops.took(), ["node/slow", "capacity"]);
}

fn silent_about(key: &'static str) -> Scripted {
    Scripted::new(move |notice| {
        if has(notice, key) {
            return Err(DeliveryError::Unanswered { reason: "no answer".to_owned() });
        }
        Ok(Receipt::default())
    })
}

async fn what_is_never_answered_is_repeated_three_times_and_then_told_elsewhere(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops, mail) = (ops_and_mail(), silent_about("node/stuck"), Scripted::willing());
    let _running: Vec<_> =
        (1..=2).map(|me| start(&fixture, me, &routing, outlets(&[("ops", &ops), ("mail", &mail)]))).collect();
    raise(&fixture, "node/stuck", &routing).await;
    wait_until("it is sent", PATIENCE, async || !ops.handed().is_empty()).await;
    raise(&fixture, "capacity", &routing).await;
    // Noted, too: noted later, it would end the trouble of its channel before anybody is told.
    let is_noted = async || fixture.raw.count("SELECT COUNT(*) FROM komainu_delivery WHERE state = 'sent'").await == 1;
    wait_until("another message overtakes it", PATIENCE, is_noted).await;
    // The rests between the repetitions are over sooner.
    let no_rest = "UPDATE komainu_delivery SET retry_at = 1 WHERE retry_at > 1";
    let is_given_up = async || {
        fixture.raw.execute(no_rest).await;
        fixture.raw.count("SELECT COUNT(*) FROM komainu_delivery WHERE state = 'failed'").await == 1
    };
    wait_until("it is given up", PATIENCE, is_given_up).await;
    mail.wait_for("node/stuck").await;
    mail.wait_for("channel/ops").await;
    let stuck: Vec<_> = ops.handed().into_iter().filter(|notice| has(notice, "node/stuck")).collect();
    let doubts: Vec<_> = stuck.iter().map(|notice| notice.doubt).collect();
    assert_eq!(doubts, [None, Some(Doubt::MayBeRepeated), Some(Doubt::MayBeRepeated), Some(Doubt::MayBeRepeated)]);
    assert!(stuck.iter().all(|notice| notice.id == stuck[0].id));
    let instead = mail.handed().into_iter().flat_map(|notice| notice.items).find(|item| item.key == "node/stuck");
    assert_eq!(instead.unwrap().instead_of.as_deref(), Some("ops"));
}

async fn a_channel_that_never_answers_lets_the_end_through(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&["ops"], None);
    let ops = Scripted::new(|notice| {
        if notice.items.iter().any(|item| item.summary.ends_with("is bad")) {
            return Err(DeliveryError::Unanswered { reason: "no answer".to_owned() });
        }
        Ok(Receipt::default())
    });
    let _running = start(&fixture, 1, &routing, outlets(&[("ops", &ops)]));
    raise(&fixture, "leader", &routing).await;
    let is_kept = async || {
        fixture.raw.execute("UPDATE komainu_delivery SET retry_at = 1 WHERE retry_at > 1 AND unanswered < 4").await;
        let kept = "SELECT COUNT(*) FROM komainu_delivery WHERE state = 'waiting' AND unanswered = 4 AND retry_at > 1";
        fixture.raw.count(kept).await == 1
    };
    wait_until("nobody else can be told: it rests for long", PATIENCE, is_kept).await;
    fixture.raw.execute("UPDATE komainu_incident SET summary = 'over'").await;
    resolve(&fixture, "leader").await;
    fixture.raw.execute("UPDATE komainu_event SET summary = 'over' WHERE kind = 'resolved'").await;
    ops.wait_for("leader").await;
    assert_eq!(ops.handed().len(), 5);
}

async fn a_message_that_a_channel_always_fails_at_lets_others_pass(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let routing = routing(&["ops"], None);
    let ops = Scripted::new(|notice| {
        if has(notice, "node/poison") {
            return Err(DeliveryError::Retryable { reason: "answered 500".to_owned(), after: None });
        }
        Ok(Receipt::default())
    });
    let _running = start(&fixture, 1, &routing, outlets(&[("ops", &ops)]));
    raise(&fixture, "node/poison", &routing).await;
    wait_until("it fails", PATIENCE, async || !ops.handed().is_empty()).await;
    for key in ["capacity", "leader", "isolation"] {
        raise(&fixture, key, &routing).await;
        ops.wait_for(key).await;
    }
}

async fn a_critical_that_its_channel_does_not_take_in_time_is_told_elsewhere_too(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, mail) = (ops_and_mail(), Scripted::willing());
    let hour = Some(Duration::from_secs(3_600));
    let ops = Scripted::new(move |_| Err(DeliveryError::Retryable { reason: "answered 429".to_owned(), after: hour }));
    let _running: Vec<_> =
        (1..=2).map(|me| start(&fixture, me, &routing, outlets(&[("ops", &ops), ("mail", &mail)]))).collect();
    raise(&fixture, "leader", &routing).await;
    wait_until("it is refused", PATIENCE, async || !ops.handed().is_empty()).await;
    let earlier = "UPDATE komainu_delivery SET due_at = due_at - 120000, created_at = created_at - 120000";
    fixture.raw.execute(earlier).await;
    mail.wait_for("leader").await;
    mail.wait_for("channel/ops").await;
    let item = mail.handed()[0].items[0].clone();
    assert_eq!((item.key.as_str(), item.instead_of.as_deref()), ("leader", Some("ops")));
    assert_eq!(mail.took().iter().filter(|key| *key == "leader").count(), 1);
    let waiting = "SELECT COUNT(*) FROM komainu_delivery WHERE channel = 'ops' AND state = 'waiting'";
    assert_eq!(fixture.raw.count(waiting).await, 1, "its own channel gets it all the same");
}

async fn of_a_refused_batch_all_arrive_but_the_one_that_is_disliked(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, mail) = (ops_and_mail(), Scripted::willing());
    let ops = Scripted::new(|notice| {
        if has(notice, "node/n7") {
            return Err(DeliveryError::Permanent { reason: "answered 403: looks like spam".to_owned() });
        }
        if notice.items.len() > 8 {
            return Err(DeliveryError::Permanent { reason: "answered 413".to_owned() });
        }
        Ok(Receipt::default())
    });
    for number in 0..20 {
        raise(&fixture, &format!("node/n{number}"), &routing).await;
    }
    let _running = start(&fixture, 1, &routing, outlets(&[("ops", &ops), ("mail", &mail)]));
    wait_until("the others arrive", PATIENCE, async || ops.took().len() >= 19).await;
    mail.wait_for("node/n7").await;
    mail.wait_for("channel/ops").await;
    assert_eq!(mail.took().len(), 2);
    let mut took = ops.took();
    took.sort();
    took.dedup();
    assert_eq!((took.len(), took.contains(&"node/n7".to_owned())), (19, false));
}

async fn a_channel_that_refuses_everything_is_asked_a_few_times(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, mail) = (ops_and_mail(), Scripted::willing());
    let ops = Scripted::new(|_| Err(DeliveryError::Permanent { reason: "token_revoked".to_owned() }));
    for number in 0..40 {
        raise(&fixture, &format!("node/n{number}"), &routing).await;
    }
    let _running = start(&fixture, 1, &routing, outlets(&[("ops", &ops), ("mail", &mail)]));
    wait_until("all are told elsewhere", PATIENCE, async || mail.took().len() >= 41).await;
    assert!(ops.handed().len() < 20, "asked {} times", ops.handed().len());
}

fn missed(reader: &str, error: DeliveryError) -> Missed {
    Missed { reader: reader.to_owned(), error }
}

async fn readers_who_were_refused_get_it_later_and_nobody_gets_it_twice(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&["mail"], None);
    let mail = Scripted::new(|notice| {
        if !notice.told_to.is_empty() {
            return Ok(Receipt::default());
        }
        let error = DeliveryError::Retryable { reason: "451 greylisted".to_owned(), after: None };
        let missed = vec![missed("bo@example.com", error)];
        Ok(Receipt { missed, reached: vec!["ada@example.com".to_owned()], ..Receipt::default() })
    });
    let _running = start(&fixture, 1, &routing, outlets(&[("mail", &mail)]));
    raise(&fixture, "leader", &routing).await;
    let is_noted = "SELECT COUNT(*) FROM komainu_delivery WHERE state = 'sent'";
    wait_until("all have it", PATIENCE, async || fixture.raw.count(is_noted).await == 1).await;
    let handed = mail.handed();
    assert_eq!((handed.len(), &handed[1].id), (2, &handed[0].id));
    assert_eq!((&handed[1].told_to[..], handed[1].doubt), (&["ada@example.com".to_owned()][..], None));
}

async fn readers_who_are_refused_for_good_are_told_of(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = Routing { channels: vec!["mail".to_owned(), "ops".to_owned()], ..routing(&["mail"], None) };
    let mail = Scripted::new(|_| {
        let missed =
            vec![missed("gone@example.com", DeliveryError::Permanent { reason: "550 no such user".to_owned() })];
        Ok(Receipt { missed, reached: vec!["ada@example.com".to_owned()], ..Receipt::default() })
    });
    let ops = Scripted::willing();
    let mut outlets = outlets(&[("mail", &mail), ("ops", &ops)]);
    outlets.get_mut("mail").unwrap().fallback = Some("ops".to_owned());
    let _running = start(&fixture, 1, &routing, outlets);
    raise(&fixture, "leader", &routing).await;
    ops.wait_for("channel/mail").await;
    ops.wait_for("leader").await;
    let summary = fixture.raw.one("SELECT summary FROM komainu_incident WHERE k = 'channel/mail'").await;
    assert_eq!(summary, "channel mail does not reach gone@example.com: 550 no such user");
    assert_eq!(mail.handed().len(), 1, "whoever has it is not told again");
}
