//! Incidents of monitors of which the watchdogs and a node say different things: `disagreement/monitor/ID`.

use std::collections::BTreeMap;

use komainu_watchdogs::downtime;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::opinion::{self, Case, Dissent, Over, Record, Teller, dispute};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::{Consulted, ask, consult, waiting_on};
use crate::opinion::SecondOpinion;
use crate::run::spec;
use crate::store::catalog::Catalog;
use crate::store::downtimes::{DownMonitor, Downtimes, known};
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Session;
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
        Ok(Self { consulted, known, told })
    }

    fn step(&self, monitor: MonitorId, incident: Option<&OpenIncident>) -> Step {
        let (consulted, known) = (self.consulted.get(&monitor), self.known.get(&monitor));
        let (Some(consulted), Some(known)) = (consulted, known) else {
            // Nobody wants one, and nobody had one: or there is no such monitor.
            return incident
                .map_or(Step::Leave, |incident| Step::Resolve(incident.id, over(monitor, None, Over::Unwished)));
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
        // Nothing is held back here: who finds no room now may ask at the next look.
        let room = opinion::room(waiting_on(session).await?);
        let wanted = monitors.iter().take(room).filter_map(|monitor| {
            let consulted = self.consulted.get(monitor)?;
            Some((*monitor, consulted, consulted.change))
        });
        ask(session, &wanted.collect::<Vec<_>>()).await.map(|()| vec![])
    }

    fn has_stale_note(&self, monitor: MonitorId) -> bool {
        self.forgets(monitor).is_some()
    }

    /// Unless it was written anew since it was read.
    async fn forget_stale_note(&self, session: &mut Session, monitor: MonitorId) -> Result<(), StoreError> {
        let Some(record) = self.forgets(monitor) else { return Ok(()) };
        let sql = "DELETE FROM komainu_opinion WHERE monitor_id = ? AND beat = ? AND asked_at = ?";
        let values = values![monitor, record.change, record.asked_at];
        session.execute("forget a second opinion", sql, values).await.map(|_| ())
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

    /// When the watchdogs look again after what they said now; `None`: it would change nothing.
    pub(super) fn looks_again_at(&self, monitor: MonitorId, record: &Record, now: Wall) -> Option<Wall> {
        let (consulted, known) = (self.consulted.get(&monitor)?, self.known.get(&monitor)?);
        let case = Case { record: Some(record), ..self.case(monitor, (consulted, known), false) };
        opinion::looks_on(&case).then(|| now + consulted.again())
    }
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
