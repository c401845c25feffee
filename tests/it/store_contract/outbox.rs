//! The outbox and its deliverer: told once, together, by whoever can, and never to nobody.

use std::sync::Arc;
use std::time::Duration;

use komainu::chores::Chores;
use komainu::outbox::{Calendar, Outlet};
use komainu::store::outbox::{self as store, Begin, Claim, Refusal};
use komainu_notifiers::{DeliveryError, Doubt, Notice};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::routing::Routing;
use tokio_util::task::AbortOnDropHandle;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{PATIENCE, Vendor, deliverer, raise, resolve, routing, start};
use crate::cluster::wait::wait_until;
use crate::support::raw::Raw;

on_both_databases! {
    three_deliverers_tell_everything_once,
    more_than_ten_are_told_as_a_digest,
    a_message_whose_sender_died_is_repeated_and_says_so,
    what_was_tried_since_it_was_planned_is_not_claimed,
    what_a_channel_refuses_for_good_falls_to_its_fallback,
    what_the_only_channel_refuses_for_good_is_told_when_it_changes_its_mind,
    a_watchdog_that_does_not_reach_a_vendor_leaves_it_to_another,
    a_refused_message_waits_as_long_as_the_vendor_asks,
    the_monitors_of_a_lost_node_are_held_until_it_is_back,
    a_monitor_that_moves_and_a_node_that_is_only_unreachable_release_what_was_held,
    what_nobody_takes_care_of_is_told_again,
    what_waits_for_a_channel_that_is_gone_is_told_elsewhere,
    a_channel_that_a_clock_ahead_has_paused_tells_again,
}

async fn three_deliverers_tell_everything_once(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops, mail) = (routing(&["mail", "ops"], None), Vendor::default(), Vendor::default());
    let vendors = [("ops", &ops), ("mail", &mail)];
    let _running: Vec<_> = (1..=3).map(|me| deliverer(&fixture, me, &routing, &vendors)).collect();
    for number in 0..40 {
        raise(&fixture, &format!("node/n{number}"), &routing).await;
    }
    let told = |vendor: &Vendor| vendor.told().concat().len();
    wait_until("all were told", PATIENCE, async || told(&ops) >= 40 && told(&mail) >= 40).await;
    let is_noted = "SELECT COUNT(*) FROM komainu_delivery WHERE state <> 'sent'";
    wait_until("all are noted", PATIENCE, async || fixture.raw.count(is_noted).await == 0).await;
    assert_eq!((told(&ops), told(&mail)), (40, 40));
    assert!(ops.taken().iter().all(|notice| notice.doubt.is_none()));
}

async fn more_than_ten_are_told_as_a_digest(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    for number in 0..11 {
        raise(&fixture, &format!("node/n{number}"), &routing).await;
    }
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    ops.wait_for(1).await;
    assert_eq!((ops.taken()[0].items.len(), ops.taken()[0].is_digest), (11, true));
}

async fn a_message_whose_sender_died_is_repeated_and_says_so(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    raise(&fixture, "leader", &routing).await;
    store::prepare_channel(&fixture.store, "ops").await.unwrap();
    let deliveries = vec![fixture.raw.count("SELECT id FROM komainu_delivery").await];
    let dead = Claim {
        notice: "n1".to_owned(),
        channel: "ops".to_owned(),
        deliveries,
        attempts: 0,
        is_repeated: false,
        is_doubtful: false,
        by: Incarnation(9),
    };
    assert!(store::claim(&fixture.store, &dead).await.unwrap());
    let other = Claim { by: Incarnation(8), ..dead.clone() };
    assert!(!store::claim(&fixture.store, &other).await.unwrap());
    assert_eq!(store::begin_sending(&fixture.store, &other, Duration::ZERO).await.unwrap(), Begin::Lost);
    let is_at_work = async || store::slot(&fixture.store, "ops").await.unwrap().is_anothers_turn(false);
    assert!(!is_at_work().await);
    assert_eq!(store::begin_sending(&fixture.store, &dead, Duration::ZERO).await.unwrap(), Begin::Go);
    assert!(is_at_work().await);
    // Meanwhile it is over: its end is told after it.
    resolve(&fixture, "leader").await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    fixture.raw.execute("UPDATE komainu_delivery SET claimed_until = 1 WHERE claimed_until > 1").await;
    ops.wait_for(2).await;
    assert_eq!(ops.told().concat(), ["opened leader", "resolved leader"]);
    let taken = ops.taken();
    assert_eq!((taken[0].id.as_str(), taken[0].doubt), ("n1", Some(Doubt::MayBeRepeated)));
    assert_eq!(taken[1].doubt, None);
    assert_eq!(taken[1].threads.values().collect::<Vec<_>>(), ["ref-n1"]);
}

async fn what_was_tried_since_it_was_planned_is_not_claimed(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&["ops"], None);
    raise(&fixture, "leader", &routing).await;
    store::prepare_channel(&fixture.store, "ops").await.unwrap();
    let first = Claim {
        notice: "n1".to_owned(),
        channel: "ops".to_owned(),
        deliveries: vec![fixture.raw.count("SELECT id FROM komainu_delivery").await],
        attempts: 0,
        is_repeated: false,
        is_doubtful: false,
        by: Incarnation(9),
    };
    let unanswered = Refusal {
        error: "no answer".to_owned(),
        may_have_arrived: true,
        pause: Duration::ZERO,
        rest: Duration::ZERO,
        incident: None,
    };
    let again = Claim { is_repeated: true, is_doubtful: true, ..first.clone() };
    for tried in [first, Claim { attempts: 1, ..again.clone() }] {
        assert!(store::claim(&fixture.store, &tried).await.unwrap());
        assert_eq!(store::begin_sending(&fixture.store, &tried, Duration::ZERO).await.unwrap(), Begin::Go);
        store::note_refused(&fixture.store, &tried, &unanswered, &routing).await.unwrap();
    }
    // Two watchdogs planned the first repetition, and one of them has made it.
    let other = |attempts| Claim { attempts, by: Incarnation(8), ..again.clone() };
    assert!(!store::claim(&fixture.store, &other(1)).await.unwrap());
    assert!(store::claim(&fixture.store, &other(2)).await.unwrap());
}

async fn what_a_channel_refuses_for_good_falls_to_its_fallback(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, ops, mail) = (routing(&["ops"], None), Vendor::default(), Vendor::default());
    let routing = Routing { channels: vec!["mail".to_owned(), "ops".to_owned()], ..routing };
    ops.refuse(Some(DeliveryError::Permanent { reason: "answered 403: invalid_token".to_owned() }));
    let outlet = |vendor: &Vendor, fallback| Outlet {
        channel: Arc::new(vendor.clone()),
        fallback,
        calendar: Calendar::default(),
    };
    let outlets = [
        ("ops".to_owned(), outlet(&ops, Some("mail".to_owned()))),
        ("mail".to_owned(), outlet(&mail, Some("ops".to_owned()))),
    ];
    let _running = start(&fixture, 1, &routing, outlets.into());
    raise(&fixture, "leader", &routing).await;
    let is_told = async |what: &str| mail.told().concat().contains(&what.to_owned());
    wait_until("the fallback is told", PATIENCE, async || is_told("opened leader").await).await;
    wait_until("the channel's trouble is told", PATIENCE, async || is_told("opened channel/ops").await).await;
    let trouble = mail.taken().concat_items("channel/ops");
    assert_eq!(trouble, "channel ops refuses messages: answered 403: invalid_token");
    ops.refuse(None);
    raise(&fixture, "capacity", &routing).await;
    ops.wait_for(1).await;
    wait_until("the channel's trouble is over", PATIENCE, async || is_told("resolved channel/ops").await).await;
    assert_eq!(ops.told().concat(), ["opened capacity"]);
}

async fn what_the_only_channel_refuses_for_good_is_told_when_it_changes_its_mind(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    ops.refuse(Some(DeliveryError::Permanent { reason: "answered 404".to_owned() }));
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    raise(&fixture, "leader", &routing).await;
    let mut raw = Raw::connect(&fixture.text).await;
    let refused = "SELECT COUNT(*) FROM komainu_channel WHERE failures > 0";
    wait_until("it is refused", PATIENCE, async || raw.count(refused).await == 1).await;
    assert_eq!(fixture.raw.one("SELECT state FROM komainu_delivery").await, "waiting", "nobody else tells it");
    // By it a clock that is set back is noticed.
    let rest = "SELECT COUNT(*) FROM komainu_delivery WHERE retry_at > failed_at";
    assert_eq!(fixture.raw.count(rest).await, 1);
    ops.refuse(None);
    // The pause, which is minutes, is over.
    fixture.raw.execute("UPDATE komainu_channel SET next_at = 0").await;
    fixture.raw.execute("UPDATE komainu_delivery SET retry_at = NULL").await;
    ops.wait_for(1).await;
    assert_eq!(ops.told().concat(), ["opened leader"]);
}

trait Summaries {
    fn concat_items(&self, key: &str) -> String;
}

impl Summaries for Vec<Notice> {
    /// What was first said under this key.
    fn concat_items(&self, key: &str) -> String {
        let mut items = self.iter().flat_map(|notice| &notice.items);
        items.find(|item| item.key == key).unwrap().summary.clone()
    }
}

async fn a_watchdog_that_does_not_reach_a_vendor_leaves_it_to_another(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, blocked, open) = (routing(&["ops"], None), Vendor::default(), Vendor::default());
    blocked.refuse(Some(DeliveryError::Unreached { reason: "connection refused".to_owned() }));
    let _one = deliverer(&fixture, 1, &routing, &[("ops", &blocked)]);
    raise(&fixture, "leader", &routing).await;
    let mut raw = Raw::connect(&fixture.text).await;
    let has_failed = "SELECT COUNT(*) FROM komainu_channel WHERE failures = 1";
    wait_until("the first failed", PATIENCE, async || raw.count(has_failed).await == 1).await;
    let _two = deliverer(&fixture, 2, &routing, &[("ops", &open)]);
    open.wait_for(1).await;
    assert_eq!((open.taken()[0].doubt, blocked.taken().len()), (None, 0));
}

async fn a_refused_message_waits_as_long_as_the_vendor_asks(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    let after = Some(Duration::from_secs(400));
    ops.refuse(Some(DeliveryError::Retryable { reason: "answered 429".to_owned(), after }));
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    raise(&fixture, "leader", &routing).await;
    let has_failed = "SELECT COUNT(*) FROM komainu_channel WHERE failures = 1";
    wait_until("it was refused", PATIENCE, async || fixture.raw.count(has_failed).await == 1).await;
    let pause = "SELECT next_at - last_error_at FROM komainu_channel";
    assert_eq!(fixture.raw.count(pause).await, 400_000);
    // Four hundred seconds later.
    ops.refuse(None);
    fixture.raw.execute("UPDATE komainu_channel SET next_at = 0").await;
    fixture.raw.execute("UPDATE komainu_delivery SET retry_at = NULL").await;
    fixture.raw.execute("UPDATE komainu_delivery SET due_at = due_at - 400000").await;
    ops.wait_for(1).await;
    let lateness = ops.taken()[0].lateness.clone().unwrap();
    assert_eq!(lateness.why, "the channel failed once, at last: answered 429");
    assert!(lateness.by >= Duration::from_secs(400));
    assert_eq!(ops.taken()[0].doubt, None, "a refused message did not arrive");
}

async fn the_monitors_of_a_lost_node_are_held_until_it_is_back(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    raise(&fixture, "node/node1", &routing).await;
    for monitor in ["monitor/1", "monitor/2"] {
        raise(&fixture, monitor, &routing).await;
    }
    let run_by = "INSERT INTO komainu_assignment (monitor_id, node_id) VALUES (1, 'node1'), (2, 'node1')";
    fixture.raw.execute(run_by).await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    ops.wait_for(1).await;
    assert_eq!(ops.told().concat(), ["opened node/node1"]);
    let held = "SELECT COUNT(*) FROM komainu_delivery WHERE state = 'held'";
    assert_eq!(fixture.raw.count(held).await, 2);
    resolve(&fixture, "monitor/2").await;
    resolve(&fixture, "node/node1").await;
    let is_told = async || ops.told().concat().len() == 3;
    wait_until("the monitor that is still down is told", PATIENCE, is_told).await;
    let mut told = ops.told().concat();
    told.sort();
    assert_eq!(told, ["opened monitor/1", "opened node/node1", "resolved node/node1"]);
}

async fn a_monitor_that_moves_and_a_node_that_is_only_unreachable_release_what_was_held(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    raise(&fixture, "node/node1", &routing).await;
    for monitor in ["monitor/1", "monitor/2"] {
        raise(&fixture, monitor, &routing).await;
    }
    let run_by = "INSERT INTO komainu_assignment (monitor_id, node_id) VALUES (1, 'node1'), (2, 'node1')";
    fixture.raw.execute(run_by).await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    ops.wait_for(1).await;
    let held = "SELECT COUNT(*) FROM komainu_delivery WHERE state = 'held'";
    wait_until("both are held", PATIENCE, async || fixture.raw.count(held).await == 2).await;
    fixture.raw.execute("UPDATE komainu_assignment SET assigned_node = 'node2' WHERE monitor_id = 1").await;
    wait_until("the moved one is told", PATIENCE, async || ops.told().concat().len() == 2).await;
    assert_eq!(fixture.raw.count(held).await, 1);
    fixture.raw.execute("UPDATE komainu_incident SET severity = 'warning' WHERE k = 'node/node1'").await;
    wait_until("the other one too", PATIENCE, async || ops.told().concat().len() == 3).await;
}

async fn what_nobody_takes_care_of_is_told_again(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], Some(Duration::from_secs(3_600))), Vendor::default());
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    raise(&fixture, "leader", &routing).await;
    ops.wait_for(1).await;
    let is_noted = "SELECT COUNT(*) FROM komainu_delivery WHERE state = 'sent'";
    wait_until("it is noted", PATIENCE, async || fixture.raw.count(is_noted).await == 1).await;
    assert_eq!(store::remind(&fixture.store, &routing, 0).await.unwrap().incidents, 0);
    fixture.raw.execute("UPDATE komainu_delivery SET sent_at = sent_at - 3600000").await;
    ops.wait_for(2).await;
    assert_eq!(ops.told().concat(), ["opened leader", "reminder leader"]);
    let incident = fixture.raw.count("SELECT id FROM komainu_incident").await;
    assert!(komainu::store::incidents::acknowledge(&fixture.store, incident, "ada").await.unwrap());
    wait_until("both are noted", PATIENCE, async || fixture.raw.count(is_noted).await == 2).await;
    fixture.raw.execute("UPDATE komainu_delivery SET sent_at = sent_at - 7200000").await;
    assert_eq!(store::remind(&fixture.store, &routing, 0).await.unwrap().incidents, 0, "somebody takes care of it");
}

async fn what_waits_for_a_channel_that_is_gone_is_told_elsewhere(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (before, after, mail) = (routing(&["gone"], None), routing(&["mail"], None), Vendor::default());
    raise(&fixture, "leader", &before).await;
    fixture.raw.execute("UPDATE komainu_delivery SET due_at = due_at - 600000").await;
    let _running = deliverer(&fixture, 1, &after, &[("mail", &mail)]);
    mail.wait_for(1).await;
    assert_eq!(mail.told().concat(), ["opened leader"]);
    let failed = "SELECT COUNT(*) FROM komainu_delivery WHERE channel = 'gone' AND state = 'failed'";
    assert_eq!(fixture.raw.count(failed).await, 1);
}

async fn a_channel_that_a_clock_ahead_has_paused_tells_again(kind: Kind) {
    for hours in [1, 24] {
        let mut fixture = Fixture::native(kind).await;
        let (routing, ops) = (routing(&["ops"], None), Vendor::default());
        let asked =
            DeliveryError::Retryable { reason: "answered 429".to_owned(), after: Some(Duration::from_secs(30)) };
        ops.refuse(Some(asked));
        let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
        raise(&fixture, "leader", &routing).await;
        let mut raw = Raw::connect(&fixture.text).await;
        let refused = "SELECT COUNT(*) FROM komainu_channel WHERE failures > 0";
        wait_until("it is refused", PATIENCE, async || raw.count(refused).await == 1).await;
        ops.refuse(None);
        // All that was noted was noted by a clock that is put right now.
        let shift = hours * 3_600_000;
        let sql = format!(
            "UPDATE komainu_channel SET next_at = next_at + {shift}, paused_at = paused_at + {shift}, \
             last_error_at = last_error_at + {shift}; \
             UPDATE komainu_delivery SET due_at = due_at + {shift}, created_at = created_at + {shift}, \
             retry_at = retry_at + {shift}, failed_at = failed_at + {shift}"
        );
        fixture.raw.execute(&sql).await;
        let _steps =
            AbortOnDropHandle::new(tokio::spawn(komainu::steps::run(fixture.store.clone(), Chores::new(|_, _| ()))));
        ops.wait_for(1).await;
        assert_eq!(ops.told().concat(), ["opened leader"]);
    }
}
