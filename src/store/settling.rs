//! Settling the incidents that hang on monitors, each kind by the same steps: that one is down, that its certificate ends.
//!
//! What is true is read, the core says what follows, and where something follows both are done again inside the transaction
//! that opens or resolves. Any watchdog does it, as often as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use rand::seq::SliceRandom as _;

use super::catalog::Catalog;
use super::error::StoreError;
use super::incidents::bulk::{open_many, resolve_many};
use super::incidents::open_keys;
use super::pool::{Store, in_transaction};
use super::session::{Session, Sql};

/// Monitors looked at together; what is to be opened and resolved of them is one transaction, some ten milliseconds of
/// locks.
pub(super) const TOGETHER: usize = 250;

/// Everything that decides about one kind of incident of some monitors, read at one moment.
pub(super) trait Settling: Sized {
    /// What the keys of these incidents begin with; a slash and the monitor follow.
    const KIND: &'static str;

    /// What else decides beside the rows.
    type With: Sync;

    fn look(
        session: &mut Session,
        catalog: &Catalog,
        with: &Self::With,
        monitors: &[MonitorId],
    ) -> impl Future<Output = Result<Self, StoreError>> + Send;

    /// What is to be done about this monitor, whose incident this is.
    fn step(&self, monitor: MonitorId, incident: Option<&OpenIncident>) -> Step;

    /// Asks the watchdogs about these monitors before anything is opened; what there is no room to ask about is opened at once.
    fn ask(
        &self,
        _session: &mut Session,
        _monitors: &[MonitorId],
    ) -> impl Future<Output = Result<Vec<(MonitorId, Alarm, Subject)>, StoreError>> + Send {
        std::future::ready(Ok(vec![]))
    }

    /// Of these monitors, whose incidents are to be opened, those that somebody else tells by now; of the others nobody else will.
    fn taken_meanwhile(
        &self,
        _session: &mut Session,
        _monitors: &[MonitorId],
    ) -> impl Future<Output = Result<BTreeSet<MonitorId>, StoreError>> + Send {
        std::future::ready(Ok(BTreeSet::new()))
    }

    /// Whether something that was noted of this monitor is true no more, which alone is worth a transaction.
    fn has_stale_note(&self, _monitor: MonitorId) -> bool {
        false
    }

    /// Forgets what is true no more of these monitors.
    fn forget_stale_notes(
        &self,
        _session: &mut Session,
        _monitors: &[MonitorId],
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        std::future::ready(Ok(()))
    }
}

/// An incident that is open.
pub(super) struct OpenIncident {
    pub(super) id: i64,
    pub(super) severity: Severity,
}

/// What is to be done about one monitor.
pub(super) enum Step {
    Leave,
    /// The watchdogs are asked first.
    Ask,
    /// What is told, and of what; its tags are read where it is done.
    Open(Alarm, Subject),
    /// The incident, and the words of its end.
    Resolve(i64, String),
}

/// The next so many open incidents of this kind after this key: their monitors, and the key that the look after it begins
/// behind.
pub(super) async fn open<S: Settling>(
    store: &Store,
    after: &str,
    how_many: u32,
) -> Result<(Vec<MonitorId>, String), StoreError> {
    let (keys, reached) = open_keys(store, S::KIND, (after, how_many)).await?;
    Ok((keys.iter().filter_map(|key| monitor_of::<S>(key)).collect(), reached))
}

/// The key of a monitor's incident of this kind.
pub(super) fn key<S: Settling>(monitor: MonitorId) -> String {
    format!("{}/{monitor}", S::KIND)
}

pub(super) fn monitor_of<S: Settling>(key: &str) -> Option<MonitorId> {
    key.strip_prefix(S::KIND)?.strip_prefix('/')?.parse().ok().map(MonitorId)
}

/// Opens and resolves what is to be opened and resolved of these monitors; says how many of each.
///
/// Part by part, in an order that is another one each time: watchdogs that find tens of thousands down at once then share
/// the work, because each leaves alone what others have settled by then.
pub(super) async fn settle<S: Settling>(
    store: &Store,
    monitors: &[MonitorId],
    (routing, with): (&Routing, &S::With),
) -> Result<(u32, u32), StoreError> {
    let catalog = store.catalog().await?;
    let mut parts: Vec<_> = monitors.chunks(TOGETHER).collect();
    parts.shuffle(&mut rand::rng());
    let (mut opened, mut resolved) = (0, 0);
    for part in parts {
        let due = due::<S>(store, &catalog, with, part).await?;
        if due.is_empty() {
            continue;
        }
        let changed = in_transaction!(store, "settle incidents of monitors", |session| {
            settle_on::<S>(session, &catalog, &due, (routing, with)).await
        })?;
        opened += changed.0;
        resolved += changed.1;
    }
    Ok((opened, resolved))
}

/// Those of these monitors of which something is to be opened, resolved or forgotten; in the same order everywhere, so that
/// two watchdogs wait for each other only in one direction.
async fn due<S: Settling>(
    store: &Store,
    catalog: &Catalog,
    with: &S::With,
    monitors: &[MonitorId],
) -> Result<Vec<MonitorId>, StoreError> {
    let mut lease = store.lease("look at monitors").await?;
    let open = open_incidents::<S>(&mut lease, monitors).await?;
    let looked = S::look(&mut lease, catalog, with, monitors).await?;
    let is_due = |monitor: &&MonitorId| {
        looked.has_stale_note(**monitor) || !matches!(looked.step(**monitor, open.get(monitor)), Step::Leave)
    };
    let mut due: Vec<_> = monitors.iter().filter(is_due).copied().collect();
    due.sort();
    Ok(due)
}

pub(super) async fn settle_on<S: Settling>(
    session: &mut Session,
    catalog: &Catalog,
    monitors: &[MonitorId],
    (routing, with): (&Routing, &S::With),
) -> Result<(u32, u32), StoreError> {
    let looked = S::look(session, catalog, with, monitors).await?;
    let open = open_incidents::<S>(session, monitors).await?;
    let (mut opening, mut asking, mut ends) = (vec![], vec![], BTreeMap::new());
    for monitor in monitors {
        match looked.step(*monitor, open.get(monitor)) {
            Step::Leave => {}
            Step::Ask => asking.push(*monitor),
            Step::Open(alarm, subject) => opening.push((*monitor, alarm, subject)),
            Step::Resolve(incident, summary) => {
                ends.insert(incident, summary);
            }
        }
    }
    looked.forget_stale_notes(session, monitors).await?;
    opening.extend(looked.ask(session, &asking).await?);
    let ids: Vec<_> = opening.iter().map(|(monitor, ..)| *monitor).collect();
    let taken = looked.taken_meanwhile(session, &ids).await?;
    opening.retain(|(monitor, ..)| !taken.contains(monitor));
    let mut tags = super::downtimes::tags(session, catalog, &ids).await?;
    let alarms: Vec<_> = opening
        .into_iter()
        .map(|(monitor, alarm, subject)| {
            (alarm, Subject { tags: tags.remove(&monitor).unwrap_or_default(), ..subject })
        })
        .collect();
    Ok((open_many(session, &alarms, routing).await?, resolve_many(session, &ends).await?))
}

/// Of these monitors the incidents that are open.
pub(super) async fn open_incidents<S: Settling>(
    session: &mut Session,
    monitors: &[MonitorId],
) -> Result<BTreeMap<MonitorId, OpenIncident>, StoreError> {
    let mut open = BTreeMap::new();
    if monitors.is_empty() {
        return Ok(open);
    }
    let keys: Vec<_> = monitors.iter().map(|monitor| format!("'{}'", key::<S>(*monitor))).collect();
    let sql = format!(
        "SELECT id, k, severity FROM komainu_incident WHERE k IN ({}) AND resolved_at IS NULL",
        keys.join(", ")
    );
    for row in session.rows("look for open incidents", Sql::Once(sql), vec![]).await? {
        if let Some(monitor) = monitor_of::<S>(&row.text("k")?) {
            open.insert(
                monitor,
                OpenIncident { id: row.int("id")?, severity: Severity::parse(&row.text("severity")?) },
            );
        }
    }
    Ok(open)
}
