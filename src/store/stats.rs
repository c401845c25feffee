//! Kuma's statistics: per monitor one row a minute, an hour and a day, counted as Kuma counts them.
//!
//! Owns the rules of `UptimeCalculator.update` in Uptime Kuma 2.5.3 (`server/uptime-calculator.js`), pure, and the rows
//! in which they stand. A row is locked and read, counted on, and written in the transaction that stores the beat: two
//! writers lose nothing, and no history is read when a monitor changes its node.
//!
//! On `MariaDB` the columns of pings keep two decimals. An average that is counted on from them alone stands still once a
//! beat weighs less than a hundredth of a millisecond, so the process that writes remembers the exact one ([`Averages`])
//! and goes by it as long as the row still says what it wrote; otherwise the row is right, as it is for Kuma after a start.
//!
//! A beat that says nothing of the target ([`Beat::is_own_trouble`]) is not counted: the node failed, not the target.

use std::collections::{BTreeMap, HashMap};

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;
use serde_json::{Map, Value as Json};

use super::beats::{Beat, BeatStatus};

mod rows;
pub mod series;
pub mod uptime;

pub(super) use rows::{locking, read, tables, writing};

/// How much time a row stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Span {
    Minute,
    Hour,
    Day,
}

impl Span {
    pub(super) const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Minute => "stat_minutely",
            Self::Hour => "stat_hourly",
            Self::Day => "stat_daily",
        }
    }

    /// The largest count that its column takes: of Kuma's three tables, two have a SMALLINT. A row that is full counts no
    /// further: of so many, one more or less changes nothing that is shown, and a number that does not fit would keep
    /// every other beat of its batch out.
    fn most(self) -> u32 {
        match self {
            Self::Minute | Self::Hour => 32_767,
            Self::Day => u32::MAX,
        }
    }

    pub(super) fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The row's `timestamp`: the UTC second at which its time begins.
    pub(super) fn begin(self, at: Wall) -> i64 {
        let second = at.0.div_euclid(1_000);
        second - second.rem_euclid(self.seconds())
    }
}

/// One row's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    pub(super) span: Span,
    pub(super) monitor: MonitorId,
    pub(super) timestamp: i64,
}

/// What stands in one row.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Stat {
    /// The row's key in the table; `None`: there is no row yet.
    pub(super) id: Option<i64>,
    pub(super) up: u32,
    pub(super) down: u32,
    /// Average, milliseconds.
    pub(super) ping: f64,
    pub(super) ping_min: f64,
    pub(super) ping_max: f64,
    /// A JSON object; what it holds besides `maintenance` is left alone.
    pub(super) extras: Option<String>,
}

impl Stat {
    fn count(&mut self, status: BeatStatus, ping_ms: Option<i64>, most: u32) {
        match status {
            BeatStatus::Up => {
                self.up = self.up.saturating_add(1).min(most);
                if let Some(ping) = ping_ms {
                    self.count_ping(real(ping));
                }
            }
            BeatStatus::Down | BeatStatus::Pending => self.down = self.down.saturating_add(1).min(most),
            BeatStatus::Maintenance => self.extras = Some(one_more_maintenance(self.extras.as_deref())),
        }
    }

    /// An answer without a ping before this one weighs as much as the average of then.
    fn count_ping(&mut self, ping: f64) {
        if self.up == 1 {
            (self.ping, self.ping_min, self.ping_max) = (ping, ping, ping);
            return;
        }
        self.ping = (self.ping * f64::from(self.up - 1) + ping) / f64::from(self.up);
        self.ping_min = self.ping_min.min(ping);
        self.ping_max = self.ping_max.max(ping);
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a ping is far below 2^53 ms")]
fn real(ping: i64) -> f64 {
    ping as f64
}

fn one_more_maintenance(extras: Option<&str>) -> String {
    let parsed = extras.and_then(|text| serde_json::from_str::<Map<String, Json>>(text).ok());
    let mut extras = parsed.unwrap_or_default();
    let before = extras.get("maintenance").and_then(Json::as_u64).unwrap_or(0);
    extras.insert("maintenance".to_owned(), Json::from(before + 1));
    Json::Object(extras).to_string()
}

/// The rows that these beats change.
pub(super) fn keys<'a>(beats: impl IntoIterator<Item = &'a Beat>) -> Vec<Key> {
    let counted = beats.into_iter().filter(|beat| !beat.is_own_trouble);
    let mut keys: Vec<_> = counted.flat_map(keys_of).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Kuma goes by the moment at which a run ended.
fn keys_of(beat: &Beat) -> [Key; 3] {
    let monitor = beat.monitor;
    Span::ALL.map(|span| Key { span, monitor, timestamp: span.begin(beat.end_time) })
}

/// The rows after these beats, which come in the order in which they happened; those that did not change are left out.
pub(super) fn counted<'a>(
    mut rows: BTreeMap<Key, Stat>,
    beats: impl IntoIterator<Item = &'a Beat>,
) -> BTreeMap<Key, Stat> {
    let mut changed = BTreeMap::new();
    for beat in beats.into_iter().filter(|beat| !beat.is_own_trouble) {
        for key in keys_of(beat) {
            let stat = changed.entry(key).or_insert_with(|| rows.remove(&key).unwrap_or_default());
            stat.count(beat.status, beat.ping_ms, key.span.most());
        }
    }
    changed
}

/// The exact averages of the rows that this process wrote last.
#[derive(Debug, Default)]
pub(super) struct Averages {
    monitors: HashMap<MonitorId, OfMonitor>,
    /// The latest day of a row: what is of an earlier one is not counted on any more.
    day: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct OfMonitor {
    minute: Option<Exact>,
    hour: Option<Exact>,
    day: Option<Exact>,
}

impl OfMonitor {
    fn of(&self, span: Span) -> Option<Exact> {
        match span {
            Span::Minute => self.minute,
            Span::Hour => self.hour,
            Span::Day => self.day,
        }
    }

    fn of_mut(&mut self, span: Span) -> &mut Option<Exact> {
        match span {
            Span::Minute => &mut self.minute,
            Span::Hour => &mut self.hour,
            Span::Day => &mut self.day,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Exact {
    timestamp: i64,
    up: u32,
    ping: f64,
}

/// Two decimals, kept in single precision.
const ROUNDED_BY: f64 = 0.01;

impl Averages {
    /// Gives back to rows as they were read the decimals that their columns dropped.
    pub(super) fn refine(&self, rows: &mut BTreeMap<Key, Stat>) {
        for (key, stat) in rows {
            let Some(exact) = self.monitors.get(&key.monitor).and_then(|averages| averages.of(key.span)) else {
                continue;
            };
            let slack = ROUNDED_BY.max(stat.ping * 1e-6);
            let is_ours = exact.timestamp == key.timestamp && exact.up == stat.up;
            if is_ours && (exact.ping - stat.ping).abs() <= slack {
                stat.ping = exact.ping;
            }
        }
    }

    /// These rows were committed.
    pub(super) fn remember(&mut self, rows: &BTreeMap<Key, Stat>) {
        for (key, stat) in rows {
            let exact = Exact { timestamp: key.timestamp, up: stat.up, ping: stat.ping };
            *self.monitors.entry(key.monitor).or_default().of_mut(key.span) = Some(exact);
        }
        let latest = rows.keys().filter(|key| key.span == Span::Day).map(|key| key.timestamp).max();
        if let Some(latest) = latest.filter(|latest| *latest > self.day) {
            self.day = latest;
            // Those of monitors that left go once a day.
            self.monitors.retain(|_, averages| averages.day.is_some_and(|day| day.timestamp >= latest));
        }
    }
}
