//! Incidents of monitors of which the watchdogs and a node say different things: `disagreement/monitor/ID`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::downtime;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::opinion::{self, Admission, Case, Dissent, Over, Record, Teller, dispute};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::{Consulted, ask, asked_on, consult, watchdogs_on};
use crate::opinion::SecondOpinion;
use crate::run::spec;
use crate::store::catalog::Catalog;
use crate::store::decisions::id_list;
use crate::store::downtimes::{DownMonitor, Downtimes, known};
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::{Session, Sql};
use crate::store::settling::{self, OpenIncident, Settling, Step};
use crate::store::value::values;

/// As much of a beat's message as is told beside what the watchdogs see.
const LONGEST_MESSAGE: usize = 150;

/// Opens and resolves what is to be opened and resolved of these monitors; says how many of each.
pub async fn settle(
    store: &Store,
    monitors: &[MonitorId],
    with: (&Routing, &SecondOpinion),
) -> Result<(u32, u32), StoreError> {
    settling::settle::<Disputes>(store, monitors, with).await
}

/// The next so many open incidents after this key: their monitors, and the key that the look after it begins behind.
pub async fn open(store: &Store, after: &str, how_many: u32) -> Result<(Vec<MonitorId>, String), StoreError> {
    settling::open::<Disputes>(store, after, how_many).await
}

/// What nodes and watchdogs say of some monitors.
pub(super) struct Disputes {
    consulted: BTreeMap<MonitorId, Consulted>,
    known: BTreeMap<MonitorId, DownMonitor>,
    told: BTreeMap<MonitorId, OpenIncident>,
    /// Those that are no more.
    gone: BTreeSet<MonitorId>,
}

impl Settling for Disputes {
    const KIND: &'static str = "disagreement/monitor";

    type With = SecondOpinion;

    async fn look(
        session: &mut Session,
        catalog: &Catalog,
        with: &Self::With,
        monitors: &[MonitorId],
    ) -> Result<Self, StoreError> {
        let consulted = consult(session, catalog, with, monitors).await?;
        let some: Vec<_> = consulted.keys().copied().collect();
        let known = known(session, catalog, &some).await?;
        let told = settling::open_incidents::<Downtimes>(session, &some).await?;
        let gone = gone(session, monitors.iter().filter(|monitor| !consulted.contains_key(monitor))).await?;
        Ok(Self { consulted, known, told, gone })
    }

    fn step(&self, monitor: MonitorId, incident: Option<&OpenIncident>) -> Step {
        let (consulted, known) = (self.consulted.get(&monitor), self.known.get(&monitor));
        let (Some(consulted), Some(known)) = (consulted, known) else {
            let why = if self.gone.contains(&monitor) { Over::Deleted } else { Over::Unwished };
            return incident.map_or(Step::Leave, |incident| Step::Resolve(incident.id, over(monitor, None, why)));
        };
        match (dispute(&self.case(monitor, (consulted, known), incident.is_some())), incident) {
            (opinion::Step::Ask(_), _) => Step::Ask,
            (opinion::Step::Open(dissent), _) => {
                let alarm = alarm(monitor, (consulted, known), dissent);
                let subject = Subject { node: known.node.clone(), ..Subject::of(&alarm) };
                Step::Open(alarm, subject)
            }
            (opinion::Step::End(why), Some(incident)) => Step::Resolve(incident.id, over(monitor, Some(known), why)),
            (opinion::Step::Leave | opinion::Step::Forget | opinion::Step::End(_), _) => Step::Leave,
        }
    }

    async fn ask(
        &self,
        session: &mut Session,
        monitors: &[MonitorId],
    ) -> Result<Vec<(MonitorId, Alarm, Subject)>, StoreError> {
        if monitors.is_empty() {
            return Ok(vec![]);
        }
        let (watchdogs, mut asked) = (watchdogs_on(session).await?, asked_on(session).await?);
        let wanted = monitors.iter().filter_map(|monitor| {
            let consulted = self.consulted.get(monitor)?;
            // Nothing is held back here: who finds no room now may ask at the next look.
            let is_asked = asked.admit(consulted.wish(), watchdogs) == Admission::Asked;
            is_asked.then_some((*monitor, consulted, Admission::Asked))
        });
        ask(session, &wanted.collect::<Vec<_>>()).await.map(|()| vec![])
    }

    fn has_stale_note(&self, monitor: MonitorId) -> bool {
        self.forgets(monitor).is_some()
    }

    /// Unless it was written anew since it was read.
    async fn forget_stale_notes(&self, session: &mut Session, monitors: &[MonitorId]) -> Result<(), StoreError> {
        let stale: Vec<_> = monitors.iter().filter_map(|monitor| Some((*monitor, self.forgets(*monitor)?))).collect();
        forget(session, &stale).await
    }
}

impl Disputes {
    fn case<'a>(
        &self,
        monitor: MonitorId,
        (consulted, known): (&'a Consulted, &DownMonitor),
        is_open: bool,
    ) -> Case<'a> {
        let teller = match self.told.get(&monitor) {
            Some(_) => Teller::Told,
            None if downtime::is_komainus(&known.facts) => Teller::Komainu,
            None => Teller::Kuma,
        };
        Case {
            now: consulted.now,
            wish: consulted.wish(),
            said: known.said(consulted.change),
            teller,
            interval: spec::interval(&consulted.spec),
            record: consulted.record.as_ref(),
            is_open,
        }
    }

    /// A record that matters no more, whether or not a disagreement was told.
    fn forgets(&self, monitor: MonitorId) -> Option<&Record> {
        let (consulted, known) = (self.consulted.get(&monitor)?, self.known.get(&monitor)?);
        let step = dispute(&self.case(monitor, (consulted, known), false));
        consulted.record.as_ref().filter(|_| step.forgets())
    }

    /// How long people wait for what is said of it.
    pub(super) fn patience(&self, monitor: MonitorId) -> Option<Duration> {
        self.consulted.get(&monitor).map(Consulted::patience)
    }

    /// When the watchdogs look again after what they said now; `None`: it would change nothing.
    pub(super) fn looks_again_at(&self, monitor: MonitorId, record: &Record, now: Wall) -> Option<Wall> {
        let (consulted, known) = (self.consulted.get(&monitor)?, self.known.get(&monitor)?);
        let case = Case { record: Some(record), ..self.case(monitor, (consulted, known), false) };
        opinion::looks_on(&case).then(|| now + consulted.again())
    }
}

async fn gone(
    session: &mut Session,
    monitors: impl Iterator<Item = &MonitorId>,
) -> Result<BTreeSet<MonitorId>, StoreError> {
    let mut gone: BTreeSet<_> = monitors.copied().collect();
    if gone.is_empty() {
        return Ok(gone);
    }
    let ids: Vec<i64> = gone.iter().map(|monitor| monitor.0).collect();
    let sql = format!("SELECT id FROM monitor WHERE id IN ({})", id_list(&ids));
    for row in session.rows("look which monitors there are", Sql::Once(sql), vec![]).await? {
        gone.remove(&MonitorId(row.int("id")?));
    }
    Ok(gone)
}

/// Forgets these records, unless they were written anew since they were read.
pub(in crate::store) async fn forget(
    session: &mut Session,
    records: &[(MonitorId, &Record)],
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let each = vec!["(monitor_id = ? AND beat = ? AND asked_at = ?)"; records.len()].join(" OR ");
    let sql = format!("DELETE FROM komainu_opinion WHERE {each}");
    let which = records.iter().flat_map(|(monitor, record)| values![*monitor, record.change, record.asked_at]);
    session.execute("forget second opinions", Sql::Once(sql), which.collect()).await.map(|_| ())
}

fn alarm(monitor: MonitorId, (consulted, known): (&Consulted, &DownMonitor), dissent: Dissent) -> Alarm {
    let record = consulted.record.as_ref();
    let words = record.map_or("", |record| record.words.as_str());
    let node = known.node.as_ref().map_or_else(|| "its node".to_owned(), |node| format!("node {node}"));
    let message: String = known.message.chars().take(LONGEST_MESSAGE).collect();
    let (summary, votes) = match dissent {
        Dissent::Node => (format!("{node} calls monitor {} down ({message}); {words}", known.name), (0, 0)),
        Dissent::Watchdogs => {
            let votes = record.map_or((0, 0), |record| record.votes);
            (format!("{node} calls monitor {} up ({message}); {words}", known.name), votes)
        }
    };
    Alarm { key: settling::key::<Disputes>(monitor), severity: Severity::Warning, summary, votes }
}

fn over(monitor: MonitorId, known: Option<&DownMonitor>, why: Over) -> String {
    let name = known.map_or_else(|| monitor.to_string(), |known| known.name.clone());
    let what = match why {
        Over::Agreed => "the watchdogs see it down too",
        Over::Told => "it is told as its node says",
        Over::Up => "its node says that it is up",
        Over::SeenUp => "the watchdogs see it up again",
        Over::Paused => "it was paused",
        Over::Deleted => "it was deleted",
        Over::Unwished => "nobody asks for a second opinion on it any more",
        Over::Unseen => "the watchdogs could not look for long",
    };
    format!("monitor {name}: {what}")
}
