//! Messages that are about nothing that is wrong: a drill, which shows that a channel works, and the line that says once a week that all is
//! watched.
//!
//! They go the way of every message: an event with a delivery, claimed, sent and noted as any other. Their incident is over when it is made, so
//! nothing holds or explains it, no ladder climbs, nobody is reminded, and no list of what is wrong has it. A delivery of theirs goes
//! alone, for it may be taken back.

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::time::Wall;

use super::entry::{self, Happening};
use crate::heartbeat::schedule::Schedule;
use crate::store::audit::{Deed, append_in};
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::silences::now_on;
use crate::store::value::values;

/// What a note is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// A test of the whole way.
    Drill,
    /// That all is watched.
    Weekly,
}

impl Note {
    /// The kind of its incident.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Drill => "drill",
            Self::Weekly => "weekly",
        }
    }

    /// The note whose incident has this key.
    pub fn of_key(key: &str) -> Option<Self> {
        let (kind, _) = key.split_once('/')?;
        [Self::Drill, Self::Weekly].into_iter().find(|note| note.kind() == kind)
    }

    /// Where it stands when it was entered last.
    fn column(self) -> &'static str {
        match self {
            Self::Drill => "drilled_at",
            Self::Weekly => "weekly_at",
        }
    }
}

/// What no list of incidents has, unless it is asked for.
pub(in crate::store) const IS_NO_NOTE: &str =
    "NOT (k >= 'drill/' AND k < 'drill0') AND NOT (k >= 'weekly/' AND k < 'weekly0')";

/// A week is looked back at; whatever a clock says, not more than a month.
const LONGEST_LOOK_MS: i64 = 31 * 86_400_000;

const ACT: &str = "enter a note";

/// Enters a drill that somebody asked for, and says its incident; `None`: one is on its way through this channel.
pub async fn drill(store: &Store, channel: &str, by: &str) -> Result<Option<i64>, StoreError> {
    in_transaction!(store, ACT, |session| drill_on(session, channel, by).await)
}

async fn drill_on(session: &mut Session, channel: &str, by: &str) -> Result<Option<i64>, StoreError> {
    standing(session, channel).await?;
    if is_under_way(session, Note::Drill, channel).await? {
        return Ok(None);
    }
    let incident = enter(session, Note::Drill, channel, drill_words(channel, by)).await?;
    let deed = Deed {
        who: by.to_owned(),
        what: "channel.drill".to_owned(),
        subject: format!("channel/{channel}"),
        before: None,
        after: None,
    };
    append_in(session, &deed).await?;
    Ok(Some(incident))
}

fn drill_words(channel: &str, by: &str) -> String {
    format!("this is only a drill ({by}): a test message went all the way to channel {channel}; nothing is wrong")
}

/// Enters what the calendar of a channel says is due, once for all watchdogs: who comes second finds it entered. What was missed while nobody
/// was there is entered once, late. One that is on its way still is not followed by another. Says whether it did.
pub async fn enter_due(store: &Store, channel: &str, note: Note, calendar: &Schedule) -> Result<bool, StoreError> {
    // Nearly always nothing is due: no lock is taken for that.
    let mut lease = store.lease(ACT).await?;
    let now = now_on(&mut lease).await?;
    let sql = format!("SELECT {} AS at FROM komainu_channel WHERE name = ?", note.column());
    let row = lease.row(ACT, sql, values![channel]).await?;
    let last = row.map_or(Ok(None), |row| row.maybe_wall("at"))?;
    drop(lease);
    if last.is_some_and(|last| !is_due(calendar, last, now)) {
        return Ok(false);
    }
    in_transaction!(store, ACT, |session| due_on(session, channel, note, calendar).await)
}

/// A time that stands ahead was written by a clock that jumped since.
fn is_due(calendar: &Schedule, last: Wall, now: Wall) -> bool {
    calendar.next_due(last.min(now)).is_some_and(|due| due <= now)
}

async fn due_on(session: &mut Session, channel: &str, note: Note, calendar: &Schedule) -> Result<bool, StoreError> {
    let (drilled_at, weekly_at) = standing(session, channel).await?;
    let now = now_on(session).await?;
    let last = match note {
        Note::Drill => drilled_at,
        Note::Weekly => weekly_at,
    };
    // Seen for the first time, it counts from now.
    let is_due = last.is_some_and(|last| is_due(calendar, last, now));
    if last.is_some() && !is_due {
        return Ok(false);
    }
    let sql = format!("UPDATE komainu_channel SET {} = ? WHERE name = ?", note.column());
    session.execute(ACT, sql, values![now, channel]).await?;
    if !is_due || is_under_way(session, note, channel).await? {
        return Ok(false);
    }
    let words = match note {
        Note::Drill => drill_words(channel, "by its schedule"),
        Note::Weekly => weekly_words(session, last.unwrap_or(now), now).await?,
    };
    enter(session, note, channel, words).await?;
    Ok(true)
}

/// When each was entered last; locked, and made where nobody used the channel yet.
async fn standing(session: &mut Session, channel: &str) -> Result<(Option<Wall>, Option<Wall>), StoreError> {
    let tail = session.dialect().or_update("name", &["name"]);
    let sql = format!("INSERT INTO komainu_channel (name) VALUES (?){tail}");
    session.execute(ACT, sql, values![channel]).await?;
    let lock = session.dialect().for_update();
    let sql = format!("SELECT drilled_at, weekly_at FROM komainu_channel WHERE name = ?{lock}");
    let row = session.row(ACT, sql, values![channel]).await?;
    row.map_or(Ok((None, None)), |row| Ok((row.maybe_wall("drilled_at")?, row.maybe_wall("weekly_at")?)))
}

async fn is_under_way(session: &mut Session, note: Note, channel: &str) -> Result<bool, StoreError> {
    let sql = "SELECT d.id FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
         WHERE d.state = 'waiting' AND d.channel = ? AND i.k = ? LIMIT 1";
    let key = format!("{}/{channel}", note.kind());
    Ok(session.row(ACT, sql, values![channel, key]).await?.is_some())
}

async fn enter(session: &mut Session, note: Note, channel: &str, summary: String) -> Result<i64, StoreError> {
    let now = session.dialect().now_ms();
    let severity = Severity::Warning.as_str();
    let sql = format!(
        "INSERT INTO komainu_incident (severity, summary, votes_bad, votes_of, k, opened_at, last_bad_at, resolved_at, resolved_by) \
         VALUES (?, ?, 0, 0, ?, {now}, {now}, {now}, 'itself')"
    );
    let key = format!("{}/{channel}", note.kind());
    let incident_id = session.insert(ACT, sql, values![severity, &summary, &key]).await?;
    let severity = severity.to_owned();
    let happening = Happening { incident_id, event: Event::Opened, severity, summary, votes: (0, 0) };
    let event = entry::enter_event(session, &happening).await?;
    let sql = format!(
        "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, group_wait_ms, due_at, created_at, company) \
         VALUES (?, ?, ?, 'waiting', 0, {now}, {now}, 1)"
    );
    session.execute(ACT, sql, values![event, incident_id, channel]).await?;
    Ok(incident_id)
}

/// What happened since.
async fn weekly_words(session: &mut Session, since: Wall, now: Wall) -> Result<String, StoreError> {
    let since = Wall(since.0.max(now.0.saturating_sub(LONGEST_LOOK_MS)));
    let counted = async |session: &mut Session, sql: String| -> Result<u64, StoreError> {
        session.row(ACT, sql, values![since]).await?.map_or(Ok(0), |row| row.count("there"))
    };
    let sql = format!("SELECT COUNT(*) AS there FROM komainu_incident WHERE opened_at > ? AND {IS_NO_NOTE}");
    let incidents = counted(session, sql).await?;
    let sql = "SELECT COUNT(*) AS there FROM komainu_incident WHERE resolved_at IS NULL";
    let open = session.row(ACT, sql, vec![]).await?.map_or(Ok(0), |row| row.count("there"))?;
    let sent = "FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
         WHERE d.created_at > ? AND d.state = 'sent' AND";
    let of_news = IS_NO_NOTE.replace("k ", "i.k ");
    let messages = counted(session, format!("SELECT COUNT(DISTINCT d.notice_id) AS there {sent} {of_news}")).await?;
    let sql = format!("SELECT d.channel, d.sent_at - d.due_at AS late {sent} {of_news} ORDER BY late DESC LIMIT 1");
    let slowest = session.row(ACT, sql, values![since]).await?;
    let slowest = slowest.map(|row| Ok::<_, StoreError>((row.text("channel")?, row.int("late")?))).transpose()?;
    Ok(weekly_line((incidents, open, messages), slowest, now.since(since).as_secs().div_ceil(86_400)))
}

fn weekly_line((incidents, open, messages): (u64, u64, u64), slowest: Option<(String, i64)>, days: u64) -> String {
    let counted = |count: u64, noun: &str| if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") };
    let late = |ms: i64| format!("{}.{} s", ms.max(0) / 1_000, ms.max(0) % 1_000 / 100);
    let slowest = slowest.map_or_else(String::new, |(channel, ms)| {
        format!(", the slowest {} after it was due (channel {channel})", late(ms))
    });
    format!(
        "alive: {} in {}, {} open now; {}{slowest}",
        counted(incidents, "incident"),
        counted(days, "day"),
        open,
        counted(messages, "message")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weekly_line_is_one_sentence() {
        assert_eq!(weekly_line((0, 0, 0), None, 7), "alive: 0 incidents in 7 days, 0 open now; 0 messages");
        let slowest = Some(("ops".to_owned(), 4_260));
        let line =
            "alive: 1 incident in 7 days, 1 open now; 3 messages, the slowest 4.2 s after it was due (channel ops)";
        assert_eq!(weekly_line((1, 1, 3), slowest, 7), line);
    }

    #[test]
    fn what_is_due_is_due_once_and_a_clock_that_jumps_silences_nothing() {
        let at = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let calendar = Schedule::cron("0 9 * * 1", "Europe/Berlin", at("2026-01-01T00:00:00Z")).unwrap();
        let last = at("2026-01-05T08:00:01Z");
        assert!(!is_due(&calendar, last, at("2026-01-12T07:59:59Z")));
        assert!(is_due(&calendar, last, at("2026-01-12T08:00:00Z")));
        assert!(is_due(&calendar, last, at("2026-02-20T00:00:00Z")), "what was missed is made up for");
        assert!(!is_due(&calendar, at("2026-01-12T08:00:00Z"), at("2026-01-12T08:00:00Z")));
        assert!(!is_due(&calendar, at("2099-01-01T00:00:00Z"), at("2026-01-12T08:00:00Z")), "it counts from now");
    }
}
