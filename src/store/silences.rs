//! Silences as they are kept: made, ended, and what each of them holds.
//!
//! A silence that was made holds whatever is claimed after it: the outbox reads those in force together with its queue. How one
//! ends, and that people are told before it does, is [`upkeep`]'s; what is wrong beside them, [`alerts`]'s.

pub mod alerts;
pub mod upkeep;

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::outbox::queue::Queued;
use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::Wall;
use serde_json::json;

use super::audit::{Deed, append_in};
use super::decisions::id_list;
use super::error::StoreError;
use super::pool::{Store, in_transaction};
use super::session::{Session, Sql};
use super::value::{Row, values};
use super::{Page, key_of_cursor};
use crate::silence::window::{MOST_WINDOWS, PublicWords, Window};
use crate::silence::{KIND, Labels, MOST_SILENCES, Matcher, NewSilence, Phase, Recurrence, Silence, holder};

/// As many of what a silence holds are named.
const MOST_NAMED: usize = 100;

pub(super) const COLUMNS: &str = "SELECT id, uid, matchers, starts_at, ends_at, until_resolved, cron, duration_s, time_zone, author, \
     remark, created_at, changed_at, name, subjects, public_title, public_text, managed_by FROM komainu_silence";

/// Silences and maintenance windows that may be in force at one time.
const MOST_IN_FORCE: u32 = MOST_SILENCES + MOST_WINDOWS;

/// What came of making a silence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Made {
    /// It stands.
    Silence(Box<Silence>),
    /// There are [`MOST_SILENCES`] already.
    TooMany,
}

/// What a silence holds at this moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holds {
    /// Open incidents of which something is not told because of it.
    pub incidents: u64,
    /// The first of their keys.
    pub keys: Vec<String>,
}

/// The database's clock.
pub async fn now(store: &Store) -> Result<Wall, StoreError> {
    let act = "read the database's clock";
    now_on(&mut *store.lease(act).await?).await
}

pub(crate) async fn now_on(session: &mut Session) -> Result<Wall, StoreError> {
    let act = "read the database's clock";
    let row = session.row(act, format!("SELECT {} AS now", session.dialect().now_ms()), vec![]).await?;
    row.map_or(Ok(Wall::default()), |row| row.wall("now"))
}

/// Makes a silence. What it says is checked by whoever asks for it.
pub async fn create(store: &Store, new: &NewSilence, by: &str) -> Result<Made, StoreError> {
    let uid = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    create_once(store, (&uid, new), by).await
}

/// The same under a UUID that whoever asks gives it: asked for once more, it stands already.
pub(crate) async fn create_once(store: &Store, (uid, new): (&str, &NewSilence), by: &str) -> Result<Made, StoreError> {
    in_transaction!(store, "make a silence", |session| create_on(session, (uid, new), by).await)
}

async fn create_on(session: &mut Session, (uid, new): (&str, &NewSilence), by: &str) -> Result<Made, StoreError> {
    let act = "make a silence";
    // One after the other: the bound holds for all of them together.
    let sql = format!("SELECT id FROM komainu_cluster WHERE id = 1{}", session.dialect().for_update());
    session.row(act, sql, vec![]).await?;
    if let Some(made) = session.row(act, format!("{COLUMNS} WHERE uid = ?"), values![uid]).await? {
        return Ok(Made::Silence(Box::new(silence(&made)?)));
    }
    let now = session.dialect().now_ms();
    let sql = format!("SELECT COUNT(*) AS there FROM komainu_silence WHERE ends_at > {now} AND name IS NULL");
    let there = session.row(act, sql, vec![]).await?.map_or(Ok(0), |row| row.count("there"))?;
    if there >= u64::from(MOST_SILENCES) {
        return Ok(Made::TooMany);
    }
    let sql = format!(
        "INSERT INTO komainu_silence (uid, matchers, starts_at, ends_at, until_resolved, cron, duration_s, time_zone, author, \
         remark, created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {now}, {now})"
    );
    let matchers = serde_json::to_string(&new.matchers).unwrap_or_default();
    let times = new.recurrence.as_ref();
    let mut values = values![uid, &matchers, new.starts_at, new.ends_at, new.until_resolved];
    values.extend(values![
        times.map(|times| times.cron.clone()),
        times.map(|times| i64::try_from(times.duration_s).unwrap_or(i64::MAX)),
        times.map(|times| times.time_zone.clone()),
        &new.author,
        &new.comment
    ]);
    let id = session.insert(act, sql, values).await?;
    append_in(session, &deed(by, "silence.create", (uid, None, Some(new)))).await?;
    let made = session.row(act, format!("{COLUMNS} WHERE id = ?"), values![id]).await?;
    let made = made.ok_or_else(|| StoreError::unreadable(act, "id", "nothing"))?;
    Ok(Made::Silence(Box::new(silence(&made)?)))
}

/// One silence by its UUID; maintenance windows are none.
pub async fn get(store: &Store, uid: &str) -> Result<Option<Silence>, StoreError> {
    let act = "read a silence";
    let row =
        store.lease(act).await?.row(act, format!("{COLUMNS} WHERE uid = ? AND name IS NULL"), values![uid]).await?;
    row.as_ref().map(silence).transpose()
}

/// Silences, the latest first. With `None`: however far they are.
pub async fn list(
    store: &Store,
    phase: Option<Phase>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Silence>, StoreError> {
    list_those(store, ("name IS NULL", MOST_SILENCES), phase, (cursor, limit)).await
}

/// Those of one sort, of which so many are not over at most.
pub(super) async fn list_those(
    store: &Store,
    (sort, standing): (&'static str, u32),
    phase: Option<Phase>,
    (cursor, limit): (Option<&str>, u32),
) -> Result<Page<Silence>, StoreError> {
    let act = "list silences or maintenance windows";
    let before = key_of_cursor(cursor)?.unwrap_or(i64::MAX);
    let mut lease = store.lease(act).await?;
    let now = now_on(&mut lease).await?;
    let which = match phase {
        Some(Phase::Expired) => format!(" AND ends_at <= {}", now.0),
        Some(Phase::Active | Phase::Pending) => format!(" AND ends_at > {}", now.0),
        None => String::new(),
    };
    // Which of those that are not over is in force is not the database's to say; there are few.
    let most = limit.saturating_add(1).max(standing.saturating_add(1));
    let sql = format!("{COLUMNS} WHERE {sort} AND id < ?{which} ORDER BY id DESC LIMIT ?");
    let rows = lease.rows(act, sql, values![before, most]).await?;
    let found = rows.iter().map(silence).collect::<Result<Vec<_>, _>>()?;
    let items = found.into_iter().filter(|one| phase.is_none_or(|phase| one.made.phase(now) == phase)).collect();
    Ok(Page::cut(items, limit, |silence: &Silence| silence.id.to_string()))
}

/// Those that are in force at this time.
pub(crate) async fn in_force(session: &mut Session, now: Wall) -> Result<Vec<Silence>, StoreError> {
    let sql = format!("{COLUMNS} WHERE ends_at > ? AND starts_at <= ? ORDER BY id LIMIT {MOST_IN_FORCE}");
    let rows = session.rows("read the silences in force", sql, values![now, now]).await?;
    let mut silences = rows.iter().map(silence).collect::<Result<Vec<_>, _>>()?;
    silences.retain(|silence| silence.made.phase(now) == Phase::Active);
    Ok(silences)
}

/// Those that are not over, for a watchdog that may lose the database.
pub async fn remembered(store: &Store) -> Result<Vec<NewSilence>, StoreError> {
    let act = "read the silences";
    let now = store.dialect().now_ms();
    let sql = format!("{COLUMNS} WHERE ends_at > {now} ORDER BY id LIMIT {MOST_IN_FORCE}");
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    rows.iter().map(|row| silence(row).map(|silence| silence.made)).collect()
}

/// What silences compare, of each incident in the queue.
pub(crate) async fn subjects(session: &mut Session, queue: &[Queued]) -> Result<BTreeMap<i64, Subject>, StoreError> {
    let incidents: BTreeSet<i64> = queue.iter().map(|row| row.incident).collect();
    let sql = format!(
        "SELECT id, k, severity, subject_json FROM komainu_incident WHERE id IN ({})",
        id_list(&Vec::from_iter(incidents))
    );
    let rows = session.rows("read what incidents are about", Sql::Once(sql), vec![]).await?;
    rows.iter().map(|row| Ok((row.int("id")?, subject_of(row)?))).collect()
}

/// Notes of each delivery of a channel which silence holds it. `subjects`: of each incident, as it was entered.
pub(crate) fn mark(queue: &mut [Queued], channel: &str, (in_force, subjects): (&[Silence], &BTreeMap<i64, Subject>)) {
    for row in queue {
        let subject = subjects.get(&row.incident);
        row.silenced_by = subject.and_then(|subject| holder(in_force, &labels(subject, row.node.as_ref(), channel)));
    }
}

/// Ends a silence now; `None`: there is no such silence. One that is over stays as it is.
pub async fn expire(store: &Store, uid: &str, by: &str) -> Result<Option<Silence>, StoreError> {
    in_transaction!(store, "end a silence", |session| expire_on(session, uid, by).await)
}

async fn expire_on(session: &mut Session, uid: &str, by: &str) -> Result<Option<Silence>, StoreError> {
    let act = "end a silence";
    let now = session.dialect().now_ms();
    let sql = format!(
        "UPDATE komainu_silence SET ends_at = {now}, starts_at = {}(starts_at, {now}), changed_at = {now}, ended_by = ? \
         WHERE uid = ? AND name IS NULL AND ends_at > {now}",
        session.dialect().least()
    );
    let is_ended = session.execute(act, sql, values![by, uid]).await? > 0;
    let row = session.row(act, format!("{COLUMNS} WHERE uid = ? AND name IS NULL"), values![uid]).await?;
    let found = row.as_ref().map(silence).transpose()?;
    if let Some(silence) = found.as_ref().filter(|_| is_ended) {
        append_in(session, &deed(by, "silence.expire", (uid, Some(&silence.made), None))).await?;
    }
    Ok(found)
}

/// What each of these holds, by its row's key; those that hold nothing are not among them.
pub async fn held_by(store: &Store, silences: &[Silence]) -> Result<BTreeMap<i64, Holds>, StoreError> {
    held_on(&mut *store.lease("read what silences hold").await?, silences).await
}

async fn held_on(session: &mut Session, silences: &[Silence]) -> Result<BTreeMap<i64, Holds>, StoreError> {
    let act = "read what silences hold";
    let mut held = BTreeMap::new();
    let ids: Vec<i64> = silences.iter().map(|silence| silence.id).collect();
    if ids.is_empty() {
        return Ok(held);
    }
    let sql = format!(
        "SELECT DISTINCT silenced_by FROM komainu_delivery WHERE silenced_by IN ({}) AND state = 'held'",
        id_list(&ids)
    );
    for row in session.rows(act, Sql::Once(sql), vec![]).await? {
        let id = row.int("silenced_by")?;
        held.insert(id, holds_on(session, id).await?);
    }
    Ok(held)
}

/// What of that which is open now a silence would hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WouldHold {
    /// How many.
    pub incidents: u64,
    /// The first of their keys.
    pub keys: Vec<String>,
}

/// The latest that are looked at.
const MOST_LOOKED_AT: u32 = 10_000;

/// What a silence of these matchers would hold, where these channels are told.
pub async fn would_hold(store: &Store, matchers: &[Matcher], channels: &[String]) -> Result<WouldHold, StoreError> {
    let act = "look what a silence would hold";
    let sql = format!(
        "SELECT id, k, severity, subject_json FROM komainu_incident WHERE resolved_at IS NULL ORDER BY id DESC LIMIT {MOST_LOOKED_AT}"
    );
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    let nobody = [String::new()];
    let channels = if channels.is_empty() { &nobody } else { channels };
    let mut would = WouldHold::default();
    for row in &rows {
        let subject = subject_of(row)?;
        let takes = |channel: &String| {
            let labels = labels(&subject, None, channel);
            labels.kind() != KIND && matchers.iter().all(|matcher| matcher.takes(&labels))
        };
        if channels.iter().any(takes) {
            would.incidents += 1;
            if would.keys.len() < MOST_NAMED {
                would.keys.push(subject.key);
            }
        }
    }
    would.keys.sort();
    Ok(would)
}

/// What an incident is about, as it was entered.
pub(crate) fn subject_of(row: &Row) -> Result<Subject, StoreError> {
    let severity = Severity::parse(&row.text("severity")?);
    let known = row.maybe_text("subject_json")?.and_then(|text| serde_json::from_str::<Subject>(&text).ok());
    let key = row.text("k")?;
    let bare = || Subject { key: key.clone(), severity, tags: vec![], channels: vec![], node: None };
    Ok(Subject { severity, key: key.clone(), ..known.unwrap_or_else(bare) })
}

/// As silences compare it.
pub(crate) fn labels<'a>(subject: &'a Subject, node: Option<&'a NodeId>, channel: &'a str) -> Labels<'a> {
    Labels {
        key: &subject.key,
        severity: subject.severity,
        tags: &subject.tags,
        node: node.or(subject.node.as_ref()).map(NodeId::as_str),
        channel,
    }
}

async fn holds_on(session: &mut Session, id: i64) -> Result<Holds, StoreError> {
    let act = "read what a silence holds";
    let of = "FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
         WHERE d.silenced_by = ? AND d.state = 'held' AND i.resolved_at IS NULL";
    let row = session.row(act, format!("SELECT COUNT(DISTINCT i.id) AS incidents {of}"), values![id]).await?;
    let incidents = row.map_or(Ok(0), |row| row.count("incidents"))?;
    let sql = format!("SELECT DISTINCT i.k {of} ORDER BY i.k LIMIT {MOST_NAMED}");
    let keys = session.rows(act, sql, values![id]).await?.iter().map(|row| row.text("k")).collect::<Result<_, _>>()?;
    Ok(Holds { incidents, keys })
}

pub(super) fn silence(row: &Row) -> Result<Silence, StoreError> {
    let text = row.text("matchers")?;
    let unreadable = |_| StoreError::unreadable("read a silence", "matchers", &text);
    let matchers: Vec<Matcher> = serde_json::from_str(&text).map_err(unreadable)?;
    let recurrence = match (row.maybe_text("cron")?, row.maybe_int("duration_s")?, row.maybe_text("time_zone")?) {
        (Some(cron), Some(duration_s), Some(time_zone)) => {
            Some(Recurrence { cron, duration_s: u64::try_from(duration_s).unwrap_or(0), time_zone })
        }
        _ => None,
    };
    Ok(Silence {
        id: row.int("id")?,
        uid: row.text("uid")?,
        made: NewSilence {
            matchers,
            starts_at: row.wall("starts_at")?,
            ends_at: row.wall("ends_at")?,
            until_resolved: row.flag("until_resolved")?,
            recurrence,
            author: row.text("author")?,
            comment: row.text("remark")?,
            window: window(row)?,
        },
        created_at: row.wall("created_at")?,
        changed_at: row.wall("changed_at")?,
    })
}

fn window(row: &Row) -> Result<Option<Window>, StoreError> {
    let Some(name) = row.maybe_text("name")? else { return Ok(None) };
    let text = row.maybe_text("subjects")?.unwrap_or_default();
    let unreadable = |_| StoreError::unreadable("read a maintenance window", "subjects", &text);
    let subjects = serde_json::from_str(&text).map_err(unreadable)?;
    let text = row.maybe_text("public_text")?.unwrap_or_default();
    let public = row.maybe_text("public_title")?.map(|title| PublicWords { title, text });
    Ok(Some(Window { name, subjects, public, managed_by: row.maybe_text("managed_by")? }))
}

fn deed(by: &str, what: &str, (uid, before, after): (&str, Option<&NewSilence>, Option<&NewSilence>)) -> Deed {
    let shown = |silence: &NewSilence| {
        let matchers: Vec<_> = silence.matchers.iter().map(ToString::to_string).collect();
        json!({
            "matchers": matchers,
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
            "until_resolved": silence.until_resolved,
            "recurrence": silence.recurrence,
            "author": silence.author,
            "comment": silence.comment,
        })
        .to_string()
    };
    Deed {
        who: by.to_owned(),
        what: what.to_owned(),
        subject: format!("silence/{uid}"),
        before: before.map(shown),
        after: after.map(shown),
    }
}
