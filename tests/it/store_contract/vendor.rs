//! A vendor that takes messages, the deliverers that send them, and incidents to tell of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use komainu::answers::AnswerLinks;
use komainu::keys::ClusterKey;
use komainu::oncall::OnCall;
use komainu::outbox::{Calendar, Outbox, Outlet, Sends};
use komainu_notifiers::{DeliveryError, EventKind, Notice, Receipt};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Matcher, Route, Routing};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::fixture::Fixture;
use crate::cluster::wait::wait_until;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A vendor that takes everything, or answers as it is told.
#[derive(Clone, Default)]
pub(super) struct Vendor {
    taken: Arc<Mutex<Vec<Notice>>>,
    taken_back: Arc<Mutex<Vec<String>>>,
    refuses: Arc<Mutex<Option<DeliveryError>>>,
    takes_one_incident: bool,
}

impl Vendor {
    /// It knows one incident at a time.
    pub(super) fn one_by_one() -> Self {
        Self { takes_one_incident: true, ..Self::default() }
    }

    pub(super) fn refuse(&self, error: Option<DeliveryError>) {
        *self.refuses.lock().unwrap() = error;
    }

    pub(super) fn taken(&self) -> Vec<Notice> {
        self.taken.lock().unwrap().clone()
    }

    /// What the messages are called that were taken back.
    pub(super) fn taken_back(&self) -> Vec<String> {
        self.taken_back.lock().unwrap().clone()
    }

    /// `event key` of everything that arrived, a message each.
    pub(super) fn told(&self) -> Vec<Vec<String>> {
        let word = |event| match event {
            EventKind::Opened => "opened",
            EventKind::Worse => "worse",
            EventKind::Reminder => "reminder",
            EventKind::Acknowledged => "acknowledged",
            EventKind::Flapping => "flapping",
            EventKind::Resolved => "resolved",
        };
        let told =
            |notice: &Notice| notice.items.iter().map(|item| format!("{} {}", word(item.event), item.key)).collect();
        self.taken().iter().map(told).collect()
    }

    pub(super) async fn wait_for(&self, messages: usize) {
        let is_there = async || self.taken().len() >= messages;
        wait_until(&format!("{messages} messages arrived"), PATIENCE, is_there).await;
    }
}

impl Sends for Vendor {
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        Box::pin(async {
            if let Some(error) = self.refuses.lock().unwrap().clone() {
                return Err(error);
            }
            self.taken.lock().unwrap().push(notice.clone());
            Ok(Receipt {
                vendor_ref: Some(format!("ref-{}", notice.id)),
                answer: "ok".to_owned(),
                ..Receipt::default()
            })
        })
    }

    fn take_back<'a>(
        &'a self,
        _notice: &'a Notice,
        receipt: &'a Receipt,
    ) -> BoxFuture<'a, Result<bool, DeliveryError>> {
        self.taken_back.lock().unwrap().extend(receipt.vendor_ref.clone());
        Box::pin(std::future::ready(Ok(true)))
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(12)
    }

    fn min_interval(&self) -> Duration {
        Duration::ZERO
    }

    fn takes_one_incident(&self) -> bool {
        self.takes_one_incident
    }
}

/// Everything to all of these channels, half a second after it opened.
pub(super) fn routing(channels: &[&str], repeat: Option<Duration>) -> Routing {
    let channels: Vec<_> = channels.iter().map(|&name| name.to_owned()).collect();
    let group_wait = Duration::from_millis(500);
    let route =
        Route { matcher: Matcher::default(), channels: channels.clone(), group_wait, repeat, ..Route::default() };
    Routing { channels, routes: vec![route] }
}

pub(super) fn deliverer(
    fixture: &Fixture,
    me: u64,
    routing: &Routing,
    vendors: &[(&str, &Vendor)],
) -> AbortOnDropHandle<()> {
    let outlet =
        |vendor: &Vendor| Outlet { channel: Arc::new(vendor.clone()), fallback: None, calendar: Calendar::default() };
    let outlets = vendors.iter().map(|(name, vendor)| ((*name).to_owned(), outlet(vendor))).collect();
    start(fixture, me, routing, outlets)
}

pub(super) fn start(
    fixture: &Fixture,
    me: u64,
    routing: &Routing,
    outlets: BTreeMap<String, Outlet>,
) -> AbortOnDropHandle<()> {
    start_on_call(fixture, me, (routing, &OnCall::default()), outlets)
}

/// The same where somebody is called when nobody takes care of something.
pub(super) fn start_on_call(
    fixture: &Fixture,
    me: u64,
    (routing, on_call): (&Routing, &OnCall),
    outlets: BTreeMap<String, Outlet>,
) -> AbortOnDropHandle<()> {
    let key = ClusterKey::parse("0123456789abcdef0123456789abcdef").unwrap();
    let answers = AnswerLinks::of(&key, "http://w1:8900".to_owned(), outlets.keys().cloned().collect());
    let outbox = Outbox {
        answers: Some(Arc::new(answers)),
        store: fixture.store.clone(),
        cluster: "test".to_owned(),
        me: Incarnation(me),
        routing: Arc::new(routing.clone()),
        on_call: Arc::new(on_call.clone()),
        outlets,
        runbook: "http://w1:8900/runbook".to_owned(),
        voice: komainu::voice::Voice::default(),
        is_told_elsewhere: tokio::sync::watch::channel(false).1,
    };
    AbortOnDropHandle::new(tokio::spawn(komainu::outbox::run(outbox, CancellationToken::new())))
}

pub(super) async fn raise(fixture: &Fixture, key: &str, routing: &Routing) {
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let alarm =
        Alarm { key: key.to_owned(), severity: Severity::Critical, summary: format!("{key} is bad"), votes: (2, 3) };
    watch.raise(&alarm, routing).await.unwrap();
}

pub(super) async fn resolve(fixture: &Fixture, key: &str) {
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let open = watch.incidents().await.unwrap();
    let seen = open.iter().find(|incident| incident.key == key).unwrap().last_bad_at;
    assert!(watch.resolve(key, seen).await.unwrap());
}
