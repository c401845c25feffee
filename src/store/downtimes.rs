//! Incidents of monitors: reads what decides about them, opens and resolves them.
//!
//! Whether a state is an incident is [`komainu_watchdogs::downtime`]'s to say; when it is asked is [`super::settling`]'s.

mod relays;
pub(super) mod spells;
mod tags;
mod tail;

pub(super) use tags::tags;
pub use tail::{Change, Mark, Span, changes, ends};

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::downtime::{self, ByKuma, End, Facts, FoundDown, State, Verdict};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::opinion::{self, Admission, Crowd, Record, Remark, Said, Telling, before_telling};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::beats::BeatStatus;
use super::catalog::Catalog;
use super::decisions::id_list;
use super::error::StoreError;
use super::opinions::{self, Consulted, consult};
use super::pool::Store;
use super::session::{Session, Sql};
use super::settling::{self, OpenIncident, Settling, Step};
use super::value::{Row, values};
use super::watch::text_list;
use crate::opinion::SecondOpinion;

/// As much of a beat's message as people are told.
const LONGEST_MESSAGE: usize = 300;

/// The same where a second opinion follows: both are read on a phone.
const LONGEST_BEFORE_OPINION: usize = 200;

/// Who is told by komainu what Kuma used to tell learns why.
const INSTEAD: &str =
    "Kuma's own notifications were not sent: a native node runs it, and no Uptime Kuma node sends them";

/// The next so many monitors after this one that are down or have an open incident.
pub async fn suspects(
    store: &Store,
    after: MonitorId,
    how_many: u32,
) -> Result<(Vec<MonitorId>, MonitorId), StoreError> {
    let act = "look for monitors that are down";
    let hint = store.catalog().await?.stored_hint();
    let sql = format!(
        "SELECT x.id, d.monitor_id AS noted, (SELECT h.status FROM heartbeat h{hint} WHERE h.monitor_id = x.id \
         ORDER BY h.id DESC LIMIT 1) AS status FROM (SELECT id FROM monitor WHERE id > ? \
         ORDER BY id LIMIT ?) x LEFT JOIN komainu_down d ON d.monitor_id = x.id ORDER BY x.id"
    );
    let rows = store.lease(act).await?.rows(act, sql, values![after, how_many]).await?;
    let mut down = vec![];
    for row in &rows {
        if row.maybe_int("noted")?.is_some() || row.maybe_int("status")? == Some(BeatStatus::Down.code()) {
            down.push(MonitorId(row.int("id")?));
        }
    }
    // Fewer than were asked for: the next look begins at the front.
    let is_last = u32::try_from(rows.len()).is_ok_and(|rows| rows < how_many);
    let reached = match rows.last() {
        Some(row) if !is_last => MonitorId(row.int("id")?),
        _ => MonitorId(0),
    };
    Ok((down, reached))
}

/// The next so many open incidents after this key: their monitors, and the key that the look after it begins behind.
pub async fn open(store: &Store, after: &str, how_many: u32) -> Result<(Vec<MonitorId>, String), StoreError> {
    // The latest changes show who is back; this is for what they miss.
    settling::open::<Downtimes>(store, after, how_many).await
}

/// Of these changes the monitors that nobody has settled: what went down has no open incident, what came up has one or is
/// noted as down, or it is none of both.
pub async fn unsettled(store: &Store, changes: &[Change]) -> Result<Vec<MonitorId>, StoreError> {
    let mut unsettled = vec![];
    for part in changes.chunks(settling::TOGETHER) {
        let monitors: Vec<_> = part.iter().map(|change| change.monitor).collect();
        let mut lease = store.lease("look at monitors").await?;
        let open = settling::open_incidents::<Downtimes>(&mut lease, &monitors).await?;
        let noted = noted(&mut lease, &monitors).await?;
        let is_settled = |change: &&Change| match change.state {
            Some(State::Down) => open.contains_key(&change.monitor),
            Some(State::Up) => !open.contains_key(&change.monitor) && !noted.contains(&change.monitor),
            Some(State::Pending | State::Maintenance) | None => false,
        };
        unsettled.extend(part.iter().filter(|change| !is_settled(change)).map(|change| change.monitor));
    }
    Ok(unsettled)
}

/// Those of these monitors that a native node found down, as far as nobody has found them up since.
async fn noted(session: &mut Session, monitors: &[MonitorId]) -> Result<BTreeSet<MonitorId>, StoreError> {
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    let sql = format!("SELECT monitor_id FROM komainu_down WHERE monitor_id IN ({})", id_list(&ids));
    let rows = session.rows("look for monitors noted as down", Sql::Once(sql), vec![]).await?;
    rows.iter().map(|row| Ok(MonitorId(row.int("monitor_id")?))).collect()
}

pub(super) fn monitor_of(key: &str) -> Option<MonitorId> {
    settling::monitor_of::<Downtimes>(key)
}

/// Opens and resolves what is to be opened and resolved of these monitors; says how many of each.
pub async fn settle(
    store: &Store,
    monitors: &[MonitorId],
    with: (&Routing, &SecondOpinion),
) -> Result<(u32, u32), StoreError> {
    settling::settle::<Downtimes>(store, monitors, with).await
}

/// How some monitors are.
pub(super) struct Downtimes {
    known: BTreeMap<MonitorId, DownMonitor>,
    /// Of those that are to be told, and that somebody wants a second opinion on.
    consulted: BTreeMap<MonitorId, Consulted>,
    /// What the watchdogs say of other monitors of a node, of which some wait in line.
    crowds: BTreeMap<NodeId, Crowd>,
}

impl Settling for Downtimes {
    const KIND: &'static str = "monitor";

    type With = SecondOpinion;

    async fn look(
        session: &mut Session,
        catalog: &Catalog,
        with: &Self::With,
        monitors: &[MonitorId],
    ) -> Result<Self, StoreError> {
        let known = known(session, catalog, monitors).await?;
        let is_told = |known: &DownMonitor| downtime::decide(Some(&known.facts), false) == Verdict::Open;
        let told: Vec<_> = known.iter().filter(|(_, known)| is_told(known)).map(|(monitor, _)| *monitor).collect();
        let consulted = consult(session, catalog, with, &told).await?;
        let in_line = consulted.iter().filter(|(_, consulted)| consulted.in_line().is_some());
        let nodes = in_line.filter_map(|(monitor, _)| known.get(monitor)?.node.clone()).collect();
        let crowds = opinions::crowds(session, &nodes).await?;
        Ok(Self { known, consulted, crowds })
    }

    fn step(&self, monitor: MonitorId, incident: Option<&OpenIncident>) -> Step {
        let known = self.known.get(&monitor);
        match (downtime::decide(known.map(|known| &known.facts), incident.is_some()), known, incident) {
            (Verdict::Open, Some(known), _) => match self.telling(monitor) {
                Telling::Ask => Step::Ask,
                Telling::Wait | Telling::Withhold => Step::Leave,
                Telling::Tell(remark) => {
                    let (alarm, subject) = told(monitor, known, (remark, self.consulted.get(&monitor)));
                    Step::Open(alarm, subject)
                }
            },
            (Verdict::Resolve(end), _, Some(incident)) => Step::Resolve(incident.id, summary(monitor, known, end)),
            (Verdict::Leave | Verdict::Open | Verdict::Resolve(_), _, _) => Step::Leave,
        }
    }

    fn has_stale_note(&self, monitor: MonitorId) -> bool {
        self.known.get(&monitor).is_some_and(|known| downtime::is_note_stale(Some(&known.facts)))
    }

    async fn ask(
        &self,
        session: &mut Session,
        monitors: &[MonitorId],
    ) -> Result<Vec<(MonitorId, Alarm, Subject)>, StoreError> {
        if monitors.is_empty() {
            return Ok(vec![]);
        }
        let consulted = |monitor: &MonitorId| Some((*monitor, self.consulted.get(monitor)?));
        let mut wanted: Vec<_> = monitors.iter().filter_map(consulted).collect();
        wanted.sort_by_key(|(monitor, consulted)| (opinion::rank(&consulted.chosen), *monitor));
        let (watchdogs, mut asked) = (opinions::watchdogs_on(session).await?, opinions::asked_on(session).await?);
        let (mut admitted, mut crowded) = (vec![], vec![]);
        for (monitor, consulted) in wanted {
            match asked.admit(consulted.wish(), watchdogs) {
                Admission::Dropped => crowded.push((monitor, consulted)),
                admission @ (Admission::Asked | Admission::Waits) => admitted.push((monitor, consulted, admission)),
            }
        }
        opinions::ask(session, &admitted).await?;
        let told = crowded.iter().filter_map(|(monitor, consulted)| {
            let known = self.known.get(monitor)?;
            let (alarm, subject) = told(*monitor, known, (Remark::Crowded, Some(*consulted)));
            Some((*monitor, alarm, subject))
        });
        Ok(told.collect())
    }

    async fn taken_meanwhile(
        &self,
        session: &mut Session,
        monitors: &[MonitorId],
    ) -> Result<BTreeSet<MonitorId>, StoreError> {
        let wanted = |monitor: &&MonitorId| self.known.get(*monitor).is_some_and(DownMonitor::is_instead_of_kuma);
        let beat_of = |monitor: &MonitorId| Some((*monitor, self.known.get(monitor)?.changed_by?));
        let wanted: BTreeMap<_, _> = monitors.iter().filter(wanted).filter_map(beat_of).collect();
        relays::take(session, &wanted).await
    }

    /// Unless it was written anew since it was read.
    async fn forget_stale_notes(&self, session: &mut Session, monitors: &[MonitorId]) -> Result<(), StoreError> {
        let crowded = monitors.iter().filter_map(|monitor| Some((*monitor, self.crowded(*monitor)?)));
        opinions::forget(session, &crowded.collect::<Vec<_>>()).await?;
        let stale = monitors
            .iter()
            .filter(|monitor| downtime::is_note_stale(self.known.get(monitor).map(|known| &known.facts)));
        let (mut each, mut values) = (vec![], vec![]);
        for monitor in stale {
            if let Some(noted_at) = self.known.get(monitor).and_then(|known| known.noted_at) {
                each.push("(monitor_id = ? AND at = ?)");
                values.extend(values![*monitor, noted_at]);
            } else {
                each.push("monitor_id = ?");
                values.extend(values![*monitor]);
            }
        }
        if each.is_empty() {
            return Ok(());
        }
        let sql = format!("DELETE FROM komainu_down WHERE {}", each.join(" OR "));
        session.execute("forget that monitors were down", Sql::Once(sql), values).await.map(|_| ())
    }
}

impl Downtimes {
    fn telling(&self, monitor: MonitorId) -> Telling {
        let Some(consulted) = self.consulted.get(&monitor) else { return Telling::Tell(Remark::Unasked) };
        let about = (consulted.change, consulted.record.as_ref());
        let node = self.known.get(&monitor).and_then(|known| known.node.as_ref());
        let crowd = node.and_then(|node| self.crowds.get(node)).copied().unwrap_or_default();
        before_telling(consulted.now, consulted.wish(), about, (consulted.patience(), crowd))
    }

    /// A question that waits in line, or did, and that is told now all the same: nobody needs its answer.
    fn crowded(&self, monitor: MonitorId) -> Option<&Record> {
        let known = self.known.get(&monitor)?;
        let is_told = downtime::decide(Some(&known.facts), false) == Verdict::Open;
        let is_crowded = is_told && self.telling(monitor) == Telling::Tell(Remark::Crowded);
        self.consulted.get(&monitor)?.in_line().filter(|_| is_crowded)
    }
}

/// A monitor and what is told of it.
pub(super) struct DownMonitor {
    pub(super) facts: Facts,
    pub(super) name: String,
    pub(super) node: Option<NodeId>,
    channels: Vec<String>,
    pub(super) message: String,
    noted_at: Option<Wall>,
    /// The beat of its last change, where Kuma's notifications are to tell it.
    changed_by: Option<i64>,
}

impl DownMonitor {
    /// A native node found it down, and none of those who send Kuma's notifications tells it.
    fn is_instead_of_kuma(&self) -> bool {
        self.facts.by_kuma == ByKuma::Cannot && self.noted_at.is_some()
    }

    /// What its node says; `change`: by which change of its state.
    pub(super) fn said(&self, change: i64) -> Said {
        match self.facts.state {
            _ if !self.facts.is_active => Said::Paused,
            Some(State::Down) => Said::Down(change),
            // Its node lost its own network after it had found it down.
            Some(State::Pending) if self.noted_at.is_some() => Said::Down(change),
            Some(State::Up) => Said::Up,
            Some(State::Pending | State::Maintenance) | None => Said::Neither,
        }
    }
}

pub(super) async fn known(
    session: &mut Session,
    catalog: &Catalog,
    monitors: &[MonitorId],
) -> Result<BTreeMap<MonitorId, DownMonitor>, StoreError> {
    if monitors.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    // One jump per monitor through the index on its id. The last change by time is asked for only where a native node of
    // an earlier komainu notes nothing.
    let sql = format!(
        "SELECT m.id, m.name, m.active, k.made_by, k.channels, a.effective_node, a.changed_at, h.status, h.msg, \
         d.at AS noted_at, CASE WHEN {notes_nothing} AND h.status = 0 THEN (SELECT {time} FROM heartbeat c{changes} \
         WHERE c.monitor_id = m.id AND c.important = 1 ORDER BY c.time DESC, c.id DESC LIMIT 1) END AS unnoted_at, \
         n.runner{of_kuma} FROM monitor m LEFT JOIN komainu_monitor k ON k.monitor_id = m.id \
         LEFT JOIN komainu_assignment a ON a.monitor_id = m.id LEFT JOIN node n ON n.node_id = a.effective_node \
         LEFT JOIN komainu_down d ON d.monitor_id = m.id \
         LEFT JOIN heartbeat h ON h.id = (SELECT l.id FROM heartbeat l{stored} WHERE l.monitor_id = m.id \
         ORDER BY l.id DESC LIMIT 1) WHERE m.id IN ({ids})",
        notes_nothing =
            "n.runner = 'native' AND (n.noting_incarnation IS NULL OR n.noting_incarnation <> n.incarnation)",
        time = session.dialect().datetime_ms("c.time"),
        changes = catalog.change_hint(),
        stored = catalog.stored_hint(),
        of_kuma = relays::columns(catalog, session.dialect()),
        ids = id_list(&ids)
    );
    let rows = session.rows("look at monitors", Sql::Once(sql), vec![]).await?;
    rows.iter().map(|row| Ok((MonitorId(row.int("id")?), read(row)?))).collect()
}

/// What the column `status` of a beat says.
fn state_of(row: &Row) -> Result<Option<State>, StoreError> {
    Ok(row.maybe_int("status")?.and_then(BeatStatus::from_code).map(|status| match status {
        BeatStatus::Down => State::Down,
        BeatStatus::Up => State::Up,
        BeatStatus::Pending => State::Pending,
        BeatStatus::Maintenance => State::Maintenance,
    }))
}

fn read(row: &Row) -> Result<DownMonitor, StoreError> {
    let state = state_of(row)?;
    let noted_at = row.maybe_wall("noted_at")?;
    let moved_at = row.maybe_wall("changed_at")?;
    let unnoted_at = row.maybe_wall("unnoted_at")?;
    let is_api_made = row.maybe_text("made_by")?.as_deref() == Some("api");
    let facts = Facts {
        is_active: row.flag("active")?,
        is_api_made,
        by_kuma: if is_api_made { ByKuma::No } else { relays::by_kuma(row)? },
        by_native: match (noted_at, unnoted_at) {
            (Some(_), _) => FoundDown::Noted,
            (None, Some(down_at)) if downtime::went_down_since(moved_at, down_at) => FoundDown::Unnoted,
            (None, _) => FoundDown::No,
        },
        state,
    };
    Ok(DownMonitor {
        facts,
        name: row.text("name")?,
        node: row.maybe_node("effective_node")?,
        channels: text_list(&row.text("channels")?),
        message: row.text("msg")?,
        noted_at,
        changed_by: row.maybe_int("changed_by")?,
    })
}

/// With what the watchdogs see of it, or why nobody knows.
fn told(
    monitor: MonitorId,
    known: &DownMonitor,
    (remark, consulted): (Remark, Option<&Consulted>),
) -> (Alarm, Subject) {
    let record = consulted.and_then(|consulted| consulted.record.as_ref());
    let line = opinion::line(remark, record.map_or("", |record| &record.words));
    let longest = if line.is_some() { LONGEST_BEFORE_OPINION } else { LONGEST_MESSAGE };
    let message: String = known.message.chars().take(longest).collect();
    let message = if known.facts.by_kuma == ByKuma::Cannot { format!("{message} ({INSTEAD})") } else { message };
    let line = line.map(|line| format!("; {line}")).unwrap_or_default();
    let alarm = Alarm {
        key: settling::key::<Downtimes>(monitor),
        severity: Severity::Critical,
        summary: format!("monitor {} is down: {message}{line}", known.name),
        votes: record.filter(|_| remark == Remark::Seen).map_or((0, 0), |record| record.votes),
    };
    let subject = Subject { channels: known.channels.clone(), node: known.node.clone(), ..Subject::of(&alarm) };
    (alarm, subject)
}

fn summary(monitor: MonitorId, known: Option<&DownMonitor>, end: End) -> String {
    let name = known.map_or_else(|| monitor.to_string(), |known| known.name.clone());
    let what = match end {
        End::Up => "is up again",
        End::Paused => "was paused",
        End::Deleted => "was deleted",
    };
    format!("monitor {name} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DatabaseUrl;
    use crate::store::migrate::{self, MigrateOptions};
    use crate::store::session::Purpose;

    async fn settle(session: &mut Session, catalog: &Catalog, monitors: &[MonitorId]) -> (u64, (u32, u32)) {
        let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![] };
        let before = session.statements();
        session.begin("test", Purpose::Write).await.unwrap();
        let with = (&routing, &SecondOpinion::default());
        let settled = settling::settle_on::<Downtimes>(session, catalog, monitors, with).await;
        let settled = session.end("test", settled).await.unwrap();
        (session.statements() - before, settled)
    }

    #[tokio::test]
    async fn a_mass_outage_takes_no_more_statements_than_a_small_one() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::connect(&DatabaseUrl::sqlite(folder.path().join("komainu.db"))).await.unwrap();
        migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
        let catalog = store.catalog().await.unwrap();
        let mut lease = store.lease("test").await.unwrap();
        let all: Vec<_> = (1..=210).map(MonitorId).collect();
        for MonitorId(id) in &all {
            let sql = format!(
                "INSERT INTO monitor (id, name, active, type) VALUES ({id}, 'm{id}', 1, 'http'); \
                 INSERT INTO komainu_monitor (monitor_id, channels, made_by, created_at, updated_at) \
                 VALUES ({id}, '[]', 'api', 0, 0); \
                 INSERT INTO heartbeat (important, monitor_id, status, msg, time, duration) \
                 VALUES (1, {id}, 0, 'refused', '2026-01-01 00:00:00', 60)"
            );
            lease.batch("test", &sql).await.unwrap();
        }
        let (few, opened) = settle(&mut lease, &catalog, &all[..10]).await;
        assert_eq!(opened, (10, 0));
        let (many, opened) = settle(&mut lease, &catalog, &all[10..]).await;
        assert_eq!((many, opened), (few, (200, 0)));
        lease.batch("test", "UPDATE heartbeat SET status = 1").await.unwrap();
        let (few, resolved) = settle(&mut lease, &catalog, &all[..10]).await;
        assert_eq!(resolved, (0, 10));
        let (many, resolved) = settle(&mut lease, &catalog, &all[10..]).await;
        assert_eq!((many, resolved), (few, (0, 200)));
        // And they are back: the same incidents, open again.
        lease.batch("test", "UPDATE heartbeat SET status = 0").await.unwrap();
        let (few, returned) = settle(&mut lease, &catalog, &all[..10]).await;
        assert_eq!(returned, (10, 0));
        let (many, returned) = settle(&mut lease, &catalog, &all[10..]).await;
        assert_eq!((many, returned), (few, (200, 0)));
        let sql = "SELECT COUNT(*) AS n, SUM(flaps) AS flaps FROM komainu_incident WHERE resolved_at IS NULL";
        let row = lease.row("test", sql, vec![]).await.unwrap().unwrap();
        assert_eq!((row.int("n").unwrap(), row.int("flaps").unwrap()), (210, 210));
    }
}
