//! What the watchdogs see of monitors' targets, while it matters: rows of `komainu_opinion`, and what decides about them.
//!
//! Whether anybody is asked, and what follows, is [`komainu_watchdogs::opinion`]'s to say; what is told of a monitor that is down is
//! [`super::downtimes`]'s, and that they contradict a node is told by `disputes`.

mod disputes;
mod line;
mod questions;
mod sampling;

pub(super) use disputes::forget;
pub use disputes::{open, settle};
pub(super) use line::{asked_on, crowds, watchdogs_on};
pub use line::{late, leave_line};
pub(super) use questions::ask;
pub use questions::{Answered, Claimed, Which, answer, claim, page, renew, waiting};
pub use sampling::{Sampled, Wished, drawn, ends, next_wished, sampled, suspect};

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::opinion::{self, Chosen, Line, Record, Seen, Wish};
use komainu_watchdogs::time::Wall;

use super::catalog::Catalog;
use super::decisions::id_list;
use super::downtimes;
use super::error::StoreError;
use super::monitors::columns::SpecColumns;
use super::pool::Store;
use super::session::{Session, Sql};
use super::value::{Row, Value};
use crate::opinion::{LeftOut, SecondOpinion, left_out};
use crate::run::spec;
use crate::store::MonitorSpec;

/// The columns of a record, of a row called `o`.
pub(super) const RECORD: &str = "o.beat AS o_beat, o.asked_at AS o_asked_at, o.seen AS o_seen, o.votes_bad AS o_votes_bad, o.votes_of AS o_votes_of, \
     o.words AS o_words, o.clear_at AS o_clear_at, o.down_since AS o_down_since, o.line AS o_line";

/// `line` of a question that waits until there is room for it, and of one that did.
const WAITS: i64 = 1;
const LEFT: i64 = 2;

/// Everything about a second opinion on one monitor, read at one moment.
pub(super) struct Consulted {
    pub(super) spec: MonitorSpec,
    pub(super) chosen: Chosen,
    pub(super) left_out: Option<LeftOut>,
    pub(super) record: Option<Record>,
    /// The last change of its state: the beat that stored it.
    pub(super) change: i64,
    pub(super) now: Wall,
}

impl Consulted {
    /// Off where no watchdog can look.
    pub(super) fn wish(&self) -> Wish {
        if self.left_out.is_some() { Wish::Off } else { self.chosen.wish }
    }

    pub(super) fn patience(&self) -> Duration {
        opinion::patience(spec::timeout(&self.spec))
    }

    /// Its question, where that found no room when it was asked, and nobody has answered it yet.
    pub(super) fn in_line(&self) -> Option<&Record> {
        self.record
            .as_ref()
            .filter(|record| record.change == self.change && record.seen.is_none() && record.line != Line::None)
    }

    pub(super) fn again(&self) -> Duration {
        opinion::again(spec::interval(&self.spec))
    }
}

/// Of those of these monitors on which somebody wants a second opinion, or has had one.
pub(super) async fn consult(
    session: &mut Session,
    catalog: &Catalog,
    settings: &SecondOpinion,
    monitors: &[MonitorId],
) -> Result<BTreeMap<MonitorId, Consulted>, StoreError> {
    if monitors.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    let (wanted, values) = wanted(catalog, settings);
    let sql = format!(
        "SELECT {spec}, k.second_opinion, {RECORD}, (SELECT MAX(c.id) FROM heartbeat c{changes} WHERE c.monitor_id = m.id \
         AND c.important = 1) AS changed_by, {now} AS now_ms FROM monitor m LEFT JOIN komainu_monitor k ON k.monitor_id = m.id \
         LEFT JOIN komainu_opinion o ON o.monitor_id = m.id WHERE m.id IN ({ids}){wanted}",
        spec = SpecColumns::of(catalog).selected(),
        changes = catalog.change_hint(),
        now = session.dialect().now_ms(),
        ids = id_list(&ids)
    );
    let rows = session.rows("look who wants a second opinion", Sql::Once(sql), values).await?;
    let found = rows.iter().map(|row| row.int("id").map(MonitorId)).collect::<Result<Vec<_>, _>>()?;
    let mut tags = downtimes::tags(session, catalog, &found).await?;
    let mut consulted = BTreeMap::new();
    for (row, monitor) in rows.iter().zip(found) {
        let tags = tags.remove(&monitor).unwrap_or_default();
        match read(row, settings, &tags) {
            Ok(read) => drop(consulted.insert(monitor, read)),
            // A row that says nonsense keeps nobody from being told of it, or of others.
            Err(error) => tracing::debug!(%error, monitor.id = %monitor, "no second opinion: its row cannot be read"),
        }
    }
    Ok(consulted)
}

/// Leaves out, already in the database, whoever wants none.
fn wanted(catalog: &Catalog, settings: &SecondOpinion) -> (String, Vec<Value>) {
    if settings.choice.default != Wish::Off {
        return (String::new(), vec![]);
    }
    if !catalog.has_table("monitor_tag") {
        return (" AND (k.second_opinion IS NOT NULL OR o.monitor_id IS NOT NULL)".to_owned(), vec![]);
    }
    let tags = settings.choice.tags();
    let sql = format!(
        " AND (k.second_opinion IS NOT NULL OR o.monitor_id IS NOT NULL OR EXISTS (SELECT 1 FROM monitor_tag x \
         JOIN tag t ON t.id = x.tag_id WHERE x.monitor_id = m.id AND t.name IN ({})))",
        vec!["?"; tags.len()].join(", ")
    );
    (sql, tags.into_iter().map(Value::from).collect())
}

fn read(row: &Row, settings: &SecondOpinion, tags: &[String]) -> Result<Consulted, StoreError> {
    let spec = SpecColumns::read(row)?;
    let own = row.maybe_text("second_opinion")?.and_then(|text| Wish::parse(&text));
    Ok(Consulted {
        chosen: settings.choice.of(own, tags),
        left_out: left_out(&spec, &settings.guard),
        record: record(row)?,
        // Beats that are old enough are deleted, also the one that told the last change.
        change: row.maybe_int("changed_by")?.unwrap_or(0).max(1),
        now: row.wall("now_ms")?,
        spec,
    })
}

/// By the columns of [`RECORD`].
pub(super) fn record(row: &Row) -> Result<Option<Record>, StoreError> {
    let Some(change) = row.maybe_int("o_beat")? else { return Ok(None) };
    Ok(Some(Record {
        change,
        asked_at: row.wall("o_asked_at")?,
        seen: row.maybe_text("o_seen")?.and_then(|text| Seen::parse(&text)),
        votes: (row.small("o_votes_bad")?, row.small("o_votes_of")?),
        words: row.maybe_text("o_words")?.unwrap_or_default(),
        clear_at: row.maybe_wall("o_clear_at")?,
        down_since: row.maybe_wall("o_down_since")?,
        line: match row.int("o_line")? {
            WAITS => Line::Waits,
            LEFT => Line::Left,
            _ => Line::None,
        },
    }))
}

/// What a watchdog looks at: the settings of one monitor, read now, for whoever asks by its key alone.
pub async fn target(store: &Store, monitor: MonitorId) -> Result<Option<MonitorSpec>, StoreError> {
    let act = "read a monitor to look at";
    let catalog = store.catalog().await?;
    let sql = format!("SELECT {} FROM monitor m WHERE m.id = ?", SpecColumns::of(&catalog).selected());
    let row = store.lease(act).await?.row(act, sql, vec![Value::from(monitor)]).await?;
    row.as_ref().map(SpecColumns::read).transpose()
}
