//! Channels that answer late, never, or not to everything: nothing blocks, and nothing is dropped without a word.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use komainu::channels::Channels;
use komainu::clock;
use komainu::config::ChannelConfig;
use komainu::outbox::{Outlet, Sends};
use komainu::store::outbox as store;
use komainu_notifiers::mail::{self, Login};
use komainu_notifiers::{DeliveryError, Doubt, Missed, Notice, Receipt, Secret, Settings, pushbullet, webhook};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::telling::{Facts, Telling};
use komainu_watchdogs::view::Health;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::outbox::{PATIENCE, raise, resolve, routing, start};
use crate::cluster::wait::wait_until;
use crate::support::raw::Raw;

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
    a_channel_that_fails_in_whatever_way_shows_and_so_does_who_was_told_nothing,
    whatever_vendor_knows_us_no_more_nobody_can_be_told_and_the_dead_man_is_to_be_silent,
    a_channel_that_took_a_test_works_and_is_used_at_once,
    who_is_told_instead_of_what_is_over_by_then_is_told_the_end_too,
    nothing_is_told_instead_where_something_later_was_told,
    a_message_under_way_rests_no_more,
}

type Answer = Result<Receipt, DeliveryError>;
type Script = dyn Fn(&Notice) -> (Duration, Answer) + Send + Sync;

/// A vendor that answers as a function says, and keeps everything it was handed.
#[derive(Clone)]
struct Scripted {
    answer: Arc<Script>,
    handed: Arc<Mutex<Vec<(Notice, bool)>>>,
}

impl Scripted {
    fn new(answer: impl Fn(&Notice) -> Answer + Send + Sync + 'static) -> Self {
        Self::slow(move |notice| (Duration::ZERO, answer(notice)))
    }

    fn slow(answer: impl Fn(&Notice) -> (Duration, Answer) + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), handed: Arc::default() }
    }

    fn willing() -> Self {
        Self::new(|_| Ok(Receipt::default()))
    }

    /// Every message that it was handed.
    fn handed(&self) -> Vec<Notice> {
        self.handed.lock().unwrap().iter().map(|(notice, _)| notice.clone()).collect()
    }

    /// Every incident that it took, in the order of taking.
    fn took(&self) -> Vec<String> {
        let handed = self.handed.lock().unwrap();
        let taken = handed.iter().filter(|(_, is_taken)| *is_taken);
        taken.flat_map(|(notice, _)| notice.items.iter().map(|item| item.key.clone())).collect()
    }

    async fn wait_for(&self, key: &str) {
        let has_taken = async || self.took().iter().any(|taken| taken == key);
        wait_until(&format!("{key} arrives"), PATIENCE, has_taken).await;
    }
}

impl Sends for Scripted {
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Answer> {
        Box::pin(async {
            let (after, answer) = (self.answer)(notice);
            self.handed.lock().unwrap().push((notice.clone(), answer.is_ok()));
            tokio::time::sleep(after).await;
            answer
        })
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(130)
    }

    fn min_interval(&self) -> Duration {
        Duration::ZERO
    }
}

fn has(notice: &Notice, key: &str) -> bool {
    notice.items.iter().any(|item| item.key == key)
}

fn outlets(channels: &[(&str, &Scripted)]) -> BTreeMap<String, Outlet> {
    let outlet = |channel: &Scripted| Outlet { channel: Arc::new(channel.clone()), fallback: None };
    channels.iter().map(|(name, channel)| ((*name).to_owned(), outlet(channel))).collect()
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

async fn a_channel_that_fails_in_whatever_way_shows_and_so_does_who_was_told_nothing(kind: Kind) {
    let reason = || "it is lost".to_owned();
    let errors = [
        DeliveryError::Permanent { reason: reason() },
        DeliveryError::Retryable { reason: reason(), after: None },
        DeliveryError::Unanswered { reason: reason() },
        DeliveryError::Unreached { reason: reason() },
    ];
    for error in errors {
        let mut fixture = Fixture::native(kind).await;
        let routing = routing(&["ops"], None);
        assert_eq!(store::telling(&fixture.store).await.unwrap(), Facts::default());
        let (ops, said) = (
            Scripted::new({
                let error = error.clone();
                move |_| Err(error.clone())
            }),
            format!("{error:?}"),
        );
        let running = start(&fixture, 1, &routing, outlets(&[("ops", &ops)]));
        raise(&fixture, "node/node1", &routing).await;
        let id = fixture.raw.count("SELECT id FROM komainu_incident WHERE k = 'node/node1'").await;
        let shows = async || {
            let facts = store::telling(&fixture.store).await.unwrap();
            facts.failing.contains("ops") && facts.untold.contains(&id)
        };
        wait_until(&format!("after {said} both show"), PATIENCE, shows).await;
        drop(running);
        // A clock that is set back by a day does not make a channel work.
        let ahead = "UPDATE komainu_channel SET last_error_at = last_error_at + 86400000";
        fixture.raw.execute(ahead).await;
        fixture.raw.execute("UPDATE komainu_delivery SET due_at = due_at + 86400000").await;
        let facts = store::telling(&fixture.store).await.unwrap();
        assert!(facts.failing.contains("ops") && facts.untold.contains(&id), "{said}: {facts:?}");
        fixture.raw.execute("UPDATE komainu_delivery SET due_at = due_at - 86400000").await;
        fixture.raw.execute("UPDATE komainu_delivery SET retry_at = NULL, claimed_until = NULL").await;
        fixture.raw.execute("UPDATE komainu_channel SET next_at = 0").await;
        let willing = Scripted::willing();
        let _mended = start(&fixture, 2, &routing, outlets(&[("ops", &willing)]));
        willing.wait_for("node/node1").await;
        let is_well = async || store::telling(&fixture.store).await.unwrap() == Facts::default();
        wait_until(&format!("after {said} all is well again"), 2 * PATIENCE, is_well).await;
    }
}

/// A receiver that is gone, a token that was revoked, a password that was changed: each on a server of its own.
async fn strangers() -> [Settings; 3] {
    let gone = said_by("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", "").await;
    let revoked = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let revoked = said_by(revoked, "").await;
    let changed = said_by("250-localhost\r\n250 AUTH PLAIN\r\n", "535 5.7.8 bad credentials\r\n").await;
    let address = |port: u16| format!("http://127.0.0.1:{port}").parse::<Url>().unwrap();
    let login = Login { user: "komainu".to_owned(), password: Secret::new("of yesterday".to_owned()) };
    let mailbox = |name: &str| format!("{name}@example.com").parse().unwrap();
    [
        Settings::Webhook(webhook::Config { url: Secret::new(address(gone)), key: None }),
        Settings::Pushbullet(pushbullet::Config {
            token: Secret::new("o.revoked".to_owned()),
            target: pushbullet::Target::AllDevices,
            api_url: address(revoked),
        }),
        Settings::Mail(mail::Config {
            server: mail::Server { host: "127.0.0.1".to_owned(), port: changed, tls: mail::Tls::None, ca: None },
            login: Some(login),
            from: mailbox("komainu"),
            to: vec![mailbox("ops")],
            confirm_within: mail::CONFIRM_LIMIT,
        }),
    ]
}

/// A server that speaks HTTP, or SMTP where there is something to say `later`: what it answers to the first thing it is
/// told, and to all others. Its port.
async fn said_by(first: &'static str, later: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                if !later.is_empty() {
                    stream.write_all(b"220 localhost\r\n").await.unwrap();
                }
                let (mut said, mut answer) = (vec![0; 65_536], first);
                while stream.read(&mut said).await.is_ok_and(|bytes| bytes > 0) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                    answer = later;
                }
            });
        }
    });
    port
}

async fn whatever_vendor_knows_us_no_more_nobody_can_be_told_and_the_dead_man_is_to_be_silent(kind: Kind) {
    for settings in strangers().await {
        let fixture = Fixture::native(kind).await;
        let routing = routing(&["ops"], None);
        let what = format!("{settings:?}");
        let channel = ChannelConfig { name: "ops".to_owned(), settings, fallback: None };
        let outlets = Channels::prepare(std::slice::from_ref(&channel)).unwrap().outlets();
        let _running = start(&fixture, 1, &routing, outlets);
        raise(&fixture, "node/node1", &routing).await;
        let is_failing = async || store::telling(&fixture.store).await.unwrap().failing.contains("ops");
        wait_until(&format!("it shows: {what}"), PATIENCE, is_failing).await;
        let refused = "SELECT last_error FROM komainu_delivery";
        let reason = Raw::connect(&fixture.text).await.one(refused).await;
        assert!(["410", "access token", "535"].iter().any(|words| reason.contains(words)), "{what}: {reason}");
        // As seen for as long as the limit.
        let (began_at, limit) = (clock::now() - Duration::from_secs(25), Duration::from_secs(20));
        let mut telling = Telling::new(began_at, &routing, &BTreeMap::new(), limit);
        let facts = store::telling(&fixture.store).await.unwrap();
        telling.see(began_at, facts.clone());
        assert_eq!(telling.ability(began_at + Duration::from_secs(16)).health, Health::Degraded, "{what}");
        telling.see(clock::now(), facts);
        let ability = telling.ability(clock::now());
        assert!(ability.health == Health::Down && ability.is_mute, "{what}: {ability:?}");
    }
}

async fn a_channel_that_took_a_test_works_and_is_used_at_once(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, is_revoked) = (routing(&["ops"], None), Arc::new(AtomicBool::new(true)));
    let revoked = Arc::clone(&is_revoked);
    let ops = Scripted::new(move |_| {
        if revoked.load(Ordering::Relaxed) {
            return Err(DeliveryError::Permanent { reason: "token_revoked".to_owned() });
        }
        Ok(Receipt::default())
    });
    let _one = start(&fixture, 1, &routing, outlets(&[("ops", &ops)]));
    raise(&fixture, "node/node1", &routing).await;
    let is_refused = async || !store::telling(&fixture.store).await.unwrap().failing.is_empty();
    wait_until("it is refused", PATIENCE, is_refused).await;
    is_revoked.store(false, Ordering::Relaxed);
    store::note_tried(&fixture.store, "ops").await.unwrap();
    ops.wait_for("node/node1").await;
    // Nobody else could be told that the channel failed: it says so itself.
    ops.wait_for("channel/ops").await;
    assert!(store::telling(&fixture.store).await.unwrap().failing.is_empty());
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
