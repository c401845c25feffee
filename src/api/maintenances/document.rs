//! What a request may say of a maintenance window, and what an answer shows of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::Type;

use crate::api::openapi::Millis;
use crate::api::request::{Field, Shape, Text, Whole, request};
use crate::heartbeat::name::is_name;
use crate::silence::window::{MOST_SUBJECTS, NEVER, Window, fault_of_subject};
use crate::silence::{NewSilence, Silence};
use crate::store::silences::Holds;

/// Of a name.
const NAME_CHARS: usize = 60;

/// Thirty days, in seconds.
const LONGEST_S: i64 = 30 * 86_400;

/// Seven days, in seconds.
const LONGEST_TIME_S: i64 = 7 * 86_400;

/// A minute is the shortest that makes sense to anybody.
const SHORTEST_S: i64 = 60;

#[derive(Serialize, ToSchema)]
#[schema(as = MaintenanceWindow)]
pub(in crate::api) struct MaintenanceView {
    name: String,
    title: String,
    /// `pending`, `active` or `expired`.
    #[schema(value_type = String)]
    state: &'static str,
    /// `monitor/7`, `check/shop`, `heartbeat/backup`, `node/node1`, `tag/shop`.
    subjects: BTreeSet<String>,
    #[schema(value_type = Millis)]
    starts_at: Wall,
    /// `null`: it comes again until somebody ends it.
    #[schema(required, value_type = Option<Millis>)]
    ends_at: Option<Wall>,
    /// When each time begins; `null`: there is one.
    #[schema(required)]
    cron: Option<String>,
    /// How long each time lasts, in seconds.
    #[schema(required)]
    lasts_s: Option<u64>,
    #[schema(required)]
    time_zone: Option<String>,
    /// When the time that is on began, or the next one begins; `null`: there is none any more.
    #[schema(required, value_type = Option<Millis>)]
    next_from: Option<Wall>,
    /// When that one ends.
    #[schema(required, value_type = Option<Millis>)]
    next_until: Option<Wall>,
    /// What public pages say that show one of its subjects; `null`: nothing.
    #[schema(required)]
    public_title: Option<String>,
    #[schema(required)]
    public_text: Option<String>,
    /// Who wrote it last.
    author: String,
    #[schema(required)]
    managed_by: Option<String>,
    #[schema(value_type = Millis)]
    created_at: Wall,
    #[schema(value_type = Millis)]
    changed_at: Wall,
    /// Open incidents of which something is not told because of it.
    held_incidents: u64,
    /// The first hundred of their keys.
    held_keys: Vec<String>,
}

impl MaintenanceView {
    /// `None`: it is no window.
    pub(super) fn of(silence: Silence, holds: Holds, now: Wall) -> Option<Self> {
        let (state, time) = (silence.made.phase(now).as_str(), silence.made.next_time(now));
        let NewSilence { starts_at, ends_at, recurrence, author, comment, window, .. } = silence.made;
        let Window { name, subjects, public, managed_by } = window?;
        let (public_title, public_text) = public.map(|public| (public.title, public.text)).unzip();
        Some(Self {
            name,
            title: comment,
            state,
            subjects,
            starts_at,
            ends_at: Some(ends_at).filter(|at| *at != NEVER),
            cron: recurrence.as_ref().map(|times| times.cron.clone()),
            lasts_s: recurrence.as_ref().map(|times| times.duration_s),
            time_zone: recurrence.map(|times| times.time_zone),
            next_from: time.map(|time| time.0),
            next_until: time.map(|time| time.1),
            public_title,
            public_text: public_text.filter(|text| !text.is_empty()),
            author,
            managed_by,
            created_at: silence.created_at,
            changed_at: silence.changed_at,
            held_incidents: holds.incidents,
            held_keys: holds.keys,
        })
    }
}

/// What it is called: a word that addresses and shells hold as it is.
pub(in crate::api) struct Name;

impl Field for Name {
    type Value = String;

    fn read(sent: &Value) -> Result<String, String> {
        let name = sent.as_str().filter(|name| is_name(name) && name.len() <= NAME_CHARS);
        let words = || format!("must be 1 to {NAME_CHARS} of A-Z a-z 0-9 . _ -, the first a letter or a digit");
        name.map(str::to_owned).ok_or_else(words)
    }

    fn shape() -> Shape {
        Shape::one(Type::String, |text| text.min_length(Some(1)).max_length(Some(NAME_CHARS)))
    }
}

/// What is worked on.
pub(in crate::api) struct Subjects;

impl Field for Subjects {
    type Value = BTreeSet<String>;

    fn read(sent: &Value) -> Result<BTreeSet<String>, String> {
        let items = sent.as_array().filter(|items| (1..=MOST_SUBJECTS).contains(&items.len()));
        let items = items.ok_or_else(|| format!("must be a list of 1 to {MOST_SUBJECTS} texts like check/shop"))?;
        let read = items.iter().map(|item| {
            let subject = item.as_str().ok_or_else(|| "must be a list of texts like check/shop".to_owned())?;
            fault_of_subject(subject).map_or_else(|| Ok(subject.to_owned()), Err)
        });
        read.collect()
    }

    fn shape() -> Shape {
        let text = ObjectBuilder::new().schema_type(Type::String);
        Shape::list(text, |list| list.min_items(Some(1)).max_items(Some(MOST_SUBJECTS)))
    }
}

/// A time: milliseconds, or RFC 3339 with its offset.
pub(in crate::api) struct Time;

impl Field for Time {
    type Value = Wall;

    fn read(sent: &Value) -> Result<Wall, String> {
        let written = || sent.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
        let at = sent.as_i64().or_else(written).filter(|at| (0..=NEVER.0).contains(at));
        at.map(Wall)
            .ok_or_else(|| "must be milliseconds, or a time with its offset: 2027-03-01T03:00:00+01:00".to_owned())
    }

    fn shape() -> Shape {
        Shape::Any
    }
}

request! {
    /// When it is, and what the public reads of it.
    pub(in crate::api) struct WindowTimes {
        /// From when: milliseconds or RFC 3339; now, unless it says so.
        pub(super) starts_at: Option<Time>,
        /// Until when: of one that is once 30 days after its start at the latest.
        pub(super) ends_at: Option<Time>,
        /// For how long from its start.
        pub(super) duration_s: Option<Whole<SHORTEST_S, LONGEST_S>>,
        /// It begins again at these times: five fields as in crontab(5).
        pub(super) cron: Option<Text<1, 200>>,
        /// So long each time.
        pub(super) lasts_s: Option<Whole<SHORTEST_S, LONGEST_TIME_S>>,
        /// Of the cron times; UTC, unless it says so.
        pub(super) time_zone: Option<Text<1, 60>>,
        /// Public pages that show one of its monitors, checks, heartbeats or tags say this, a week before it begins.
        pub(super) public_title: Option<Text<1, 200>>,
        /// And this, with more words.
        pub(super) public_text: Option<Text<1, 5_000>>,
        /// The set of a file that it belongs to.
        pub(super) managed_by: Option<Text<1, 190>>,
    }
}

request! {
    /// One that is once has `ends_at` or `duration_s`; one that comes again has `cron` and `lasts_s`.
    pub(in crate::api) struct NewMaintenanceWindow {
        /// It keeps it.
        pub(super) name: Name,
        /// What is done, for people; public pages do not show it.
        pub(super) title: Text<1, 200>,
        /// `monitor/7`, `monitor/REF`, `check/shop`, `heartbeat/backup`, `node/node1`, `tag/shop`: any of them is enough.
        pub(super) subjects: Subjects,
        ..pub(super) times: WindowTimes,
    }
}

request! {
    /// What is named changes.
    pub(in crate::api) struct MaintenanceWindowFields {
        /// What is done, for people.
        pub(super) title: Option<Text<1, 200>>,
        /// Any of them is enough.
        pub(super) subjects: Option<Subjects>,
        ..pub(super) times: WindowTimes,
    }
}
