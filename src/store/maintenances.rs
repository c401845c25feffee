//! Maintenance windows as they are kept: rows of the silences that bear a name.
//!
//! What a window holds, and that it is told when it ends, is done as for silences: see [`super::silences`].

pub mod announcing;

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::time::Wall;
use serde_json::{Value as Json, json};

use super::Page;
use super::audit::{Deed, append_in};
use super::dependencies;
use super::error::StoreError;
use super::pool::{Store, in_transaction};
use super::session::Session;
use super::silences::{COLUMNS, list_those, now_on, silence};
use super::value::{Value, values};
use crate::silence::window::{MOST_WINDOWS, NEVER};
use crate::silence::{NewSilence, Phase, Silence};

/// Why nothing was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is none of this name.
    Unknown,
    /// There is one of this name already.
    Taken,
    /// [`MOST_WINDOWS`] are not over.
    TooMany,
    /// Somebody else changed it meanwhile.
    Stale,
    /// It is not on now: nothing can be ended.
    NotOn,
    /// These subjects are not there.
    NoSuch(Vec<String>),
}

/// What a write is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Make one.
    New,
    /// Change the one that looked so: when it was changed last.
    Seen(Wall),
}

const ACT: &str = "write a maintenance window";

/// Makes one, or writes it anew; the row as it is then. What it says is checked by whoever asks for it, but for what must be there. A
/// rehearsal writes nothing.
pub async fn write(
    store: &Store,
    by: &str,
    new: &NewSilence,
    (target, is_rehearsal): (Target, bool),
) -> Result<Result<Option<Silence>, Refusal>, StoreError> {
    in_transaction!(store, ACT, |session| write_on(session, by, new, (target, is_rehearsal)).await)
}

async fn write_on(
    session: &mut Session,
    by: &str,
    new: &NewSilence,
    (target, is_rehearsal): (Target, bool),
) -> Result<Result<Option<Silence>, Refusal>, StoreError> {
    let before = match judge(session, new, target).await? {
        Ok(before) => before,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(mut window) = new.window.clone() else { return Ok(Err(Refusal::Unknown)) };
    let found = dependencies::subjects::found(session, &named(&window.subjects)).await?;
    let missing: Vec<String> = named(&window.subjects).into_iter().filter(|one| !found.contains_key(one)).collect();
    if !missing.is_empty() {
        return Ok(Err(Refusal::NoSuch(missing)));
    }
    if is_rehearsal {
        return Ok(Ok(None));
    }
    // A monitor may be named by its ref: incidents bear its id.
    window.subjects = window.subjects.iter().map(|one| found.get(one).unwrap_or(one).clone()).collect();
    let new = NewSilence { window: Some(window), ..new.clone() };
    match &before {
        None => insert(session, &new).await?,
        Some(before) => update(session, before.id, &new).await?,
    }
    let name = new.window.as_ref().map(|window| window.name.clone()).unwrap_or_default();
    let what = if before.is_none() { "maintenance.create" } else { "maintenance.edit" };
    append_in(session, &deed(by, what, (&name, before.as_ref().map(|before| &before.made), Some(&new)))).await?;
    find(session, &name).await.map(Ok)
}

/// What must be said of what is there: tags are wherever somebody bears them.
fn named(subjects: &BTreeSet<String>) -> BTreeSet<String> {
    subjects.iter().filter(|subject| !subject.starts_with("tag/")).cloned().collect()
}

/// What stands there, if it may be written.
async fn judge(
    session: &mut Session,
    new: &NewSilence,
    target: Target,
) -> Result<Result<Option<Silence>, Refusal>, StoreError> {
    // One after the other: the bound holds for all of them together.
    let sql = format!("SELECT id FROM komainu_cluster WHERE id = 1{}", session.dialect().for_update());
    session.row(ACT, sql, vec![]).await?;
    let name = new.window.as_ref().map_or("", |window| &window.name);
    let before = find(session, name).await?;
    match (target, &before) {
        (Target::New, Some(_)) => return Ok(Err(Refusal::Taken)),
        (Target::Seen(_), None) => return Ok(Err(Refusal::Unknown)),
        (Target::Seen(at), Some(before)) if before.changed_at != at => return Ok(Err(Refusal::Stale)),
        (Target::New, None) | (Target::Seen(_), Some(_)) => {}
    }
    let now = session.dialect().now_ms();
    let sql = format!("SELECT COUNT(*) AS there FROM komainu_silence WHERE ends_at > {now} AND name <> ?");
    let there = session.row(ACT, sql, values![name]).await?.map_or(Ok(0), |row| row.count("there"))?;
    Ok(if there < u64::from(MOST_WINDOWS) { Ok(before) } else { Err(Refusal::TooMany) })
}

const SET: [&str; 14] = [
    "starts_at",
    "ends_at",
    "cron",
    "duration_s",
    "time_zone",
    "author",
    "remark",
    "subjects",
    "public_title",
    "public_text",
    "managed_by",
    "matchers",
    "warned_at",
    "ended_by",
];

fn stored(new: &NewSilence) -> Vec<Value> {
    let times = new.recurrence.as_ref();
    let window = new.window.as_ref();
    let public = window.and_then(|window| window.public.as_ref());
    values![
        new.starts_at,
        new.ends_at,
        times.map(|times| times.cron.clone()),
        times.map(|times| i64::try_from(times.duration_s).unwrap_or(i64::MAX)),
        times.map(|times| times.time_zone.clone()),
        &new.author,
        &new.comment,
        window.and_then(|window| serde_json::to_string(&window.subjects).ok()),
        public.map(|public| public.title.clone()),
        public.map(|public| public.text.clone()),
        window.and_then(|window| window.managed_by.clone()),
        "[]",
        // Of the end that it has now nobody was told yet.
        None::<i64>,
        None::<String>,
    ]
}

async fn insert(session: &mut Session, new: &NewSilence) -> Result<(), StoreError> {
    let now = session.dialect().now_ms();
    let sql = format!(
        "INSERT INTO komainu_silence ({}, uid, name, created_at, changed_at) VALUES ({}?, ?, {now}, {now})",
        SET.join(", "),
        "?, ".repeat(SET.len())
    );
    let uid = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let mut values = stored(new);
    values.extend(values![uid, new.window.as_ref().map(|window| window.name.clone())]);
    session.execute(ACT, sql, values).await.map(|_| ())
}

async fn update(session: &mut Session, id: i64, new: &NewSilence) -> Result<(), StoreError> {
    let now = session.dialect().now_ms();
    let sets = SET.map(|column| format!("{column} = ?")).join(", ");
    // Two edits of one millisecond differ, so that whoever saw the first is not taken for having seen the second.
    let greater = session.dialect().greatest();
    let sql = format!("UPDATE komainu_silence SET {sets}, changed_at = {greater}(changed_at + 1, {now}) WHERE id = ?");
    let mut values = stored(new);
    values.push(id.into());
    session.execute(ACT, sql, values).await.map(|_| ())
}

async fn find(session: &mut Session, name: &str) -> Result<Option<Silence>, StoreError> {
    let row = session.row("read a maintenance window", format!("{COLUMNS} WHERE name = ?"), values![name]).await?;
    row.as_ref().map(silence).transpose()
}

/// One by its name.
pub async fn get(store: &Store, name: &str) -> Result<Option<Silence>, StoreError> {
    find(&mut *store.lease("read a maintenance window").await?, name).await
}

/// Windows by the order of their making, the latest first. With `None`: however far they are.
pub async fn list(
    store: &Store,
    phase: Option<Phase>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Silence>, StoreError> {
    list_those(store, ("name IS NOT NULL", MOST_WINDOWS), phase, (cursor, limit)).await
}

/// Those that are not over; for what looks after them.
pub(in crate::store) async fn standing(session: &mut Session, now: Wall) -> Result<Vec<Silence>, StoreError> {
    let act = "read the maintenance windows";
    let sql = format!("{COLUMNS} WHERE name IS NOT NULL AND ends_at > ? ORDER BY id LIMIT {MOST_WINDOWS}");
    session.rows(act, sql, values![now]).await?.iter().map(silence).collect()
}

/// Ends the time that is on: a window that comes again does so, another one is over.
pub async fn end(store: &Store, by: &str, name: &str) -> Result<Result<Silence, Refusal>, StoreError> {
    in_transaction!(store, "end a maintenance", |session| end_on(session, by, name).await)
}

async fn end_on(session: &mut Session, by: &str, name: &str) -> Result<Result<Silence, Refusal>, StoreError> {
    let act = "end a maintenance";
    let sql = format!("SELECT id FROM komainu_cluster WHERE id = 1{}", session.dialect().for_update());
    session.row(act, sql, vec![]).await?;
    let now = now_on(session).await?;
    let Some(before) = find(session, name).await? else { return Ok(Err(Refusal::Unknown)) };
    let is_on = before.made.phase(now) == Phase::Active;
    let Some((_, ends_at)) = before.made.next_time(now).filter(|_| is_on) else { return Ok(Err(Refusal::NotOn)) };
    // One that comes again goes on where the time that is on would have been over.
    let comes_again = before.made.recurrence.is_some() && ends_at < before.made.ends_at;
    let (column, at) = if comes_again { ("starts_at", ends_at) } else { ("ends_at", now) };
    let (greater, clock) = (session.dialect().greatest(), session.dialect().now_ms());
    let sql = format!(
        "UPDATE komainu_silence SET {column} = ?, changed_at = {greater}(changed_at + 1, {clock}), ended_by = ? WHERE id = ?"
    );
    session.execute(act, sql, values![at, by, before.id]).await?;
    let Some(after) = find(session, name).await? else { return Ok(Err(Refusal::Unknown)) };
    append_in(session, &deed(by, "maintenance.end", (name, Some(&before.made), Some(&after.made)))).await?;
    Ok(Ok(after))
}

/// Takes one away; what it held and is still bad is told.
pub async fn delete(store: &Store, by: &str, name: &str) -> Result<Result<(), Refusal>, StoreError> {
    in_transaction!(store, "delete a maintenance window", |session| delete_on(session, by, name).await)
}

async fn delete_on(session: &mut Session, by: &str, name: &str) -> Result<Result<(), Refusal>, StoreError> {
    let Some(before) = find(session, name).await? else { return Ok(Err(Refusal::Unknown)) };
    let sql = "DELETE FROM komainu_silence WHERE id = ?";
    session.execute("delete a maintenance window", sql, values![before.id]).await?;
    append_in(session, &deed(by, "maintenance.delete", (name, Some(&before.made), None))).await?;
    Ok(Ok(()))
}

/// What people said of a window, under the names of the API: what an edit begins with, and what the trail shows.
pub fn shown(made: &NewSilence) -> BTreeMap<&'static str, Json> {
    let times = made.recurrence.as_ref();
    let window = made.window.as_ref();
    let public = window.and_then(|window| window.public.as_ref());
    BTreeMap::from([
        ("title", json!(made.comment)),
        ("subjects", json!(window.map(|window| &window.subjects))),
        ("starts_at", json!(made.starts_at)),
        ("ends_at", if made.ends_at == NEVER { Json::Null } else { json!(made.ends_at) }),
        ("cron", json!(times.map(|times| &times.cron))),
        ("lasts_s", json!(times.map(|times| times.duration_s))),
        ("time_zone", json!(times.map(|times| &times.time_zone))),
        ("public_title", json!(public.map(|public| &public.title))),
        ("public_text", json!(public.map(|public| &public.text).filter(|text| !text.is_empty()))),
        ("managed_by", json!(window.and_then(|window| window.managed_by.as_ref()))),
    ])
}

fn deed(by: &str, what: &str, (name, before, after): (&str, Option<&NewSilence>, Option<&NewSilence>)) -> Deed {
    let text = |made: &NewSilence| json!(shown(made)).to_string();
    Deed {
        who: by.to_owned(),
        what: what.to_owned(),
        subject: format!("maintenance/{name}"),
        before: before.map(text),
        after: after.map(text),
    }
}
