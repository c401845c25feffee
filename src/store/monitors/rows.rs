//! Writing rows: many new ones with few statements, and the columns that changed of those that are there.
//!
//! Judges nothing: what is written here was found right, under the locks of the same transaction.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::opinion::Wish;
use serde_json::{Value as Json, json};

use super::columns::bound;
use super::planning::Update;
use super::tags;
use crate::monitor::Columns;
use crate::store::catalog::Catalog;
use crate::store::cluster;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};

/// Rows of one INSERT.
const ROWS: usize = 500;
/// SQLite takes 32,766 placeholders.
const PLACEHOLDERS: usize = 30_000;
/// Text of one statement, well below MariaDB's smallest usual `max_allowed_packet` (16 MiB) also in hex digits.
const BYTES: usize = 2 * 1024 * 1024;

/// A row to be made.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct NewRow {
    pub(super) columns: Columns,
    pub(super) reference: Option<String>,
    pub(super) channels: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) run_on: Vec<String>,
    pub(super) second_opinion: Option<Wish>,
    pub(super) managed_by: Option<String>,
    pub(super) node_id: Option<NodeId>,
    pub(super) pinned: bool,
}

/// Kuma's UI hides a monitor that belongs to nobody.
pub(super) async fn first_user(session: &mut Session, catalog: &Catalog) -> Result<Option<i64>, StoreError> {
    if !catalog.has_table("user") {
        return Ok(None);
    }
    let row = session.row("look up Kuma's user", "SELECT MIN(id) AS id FROM `user`", vec![]).await?;
    row.map_or(Ok(None), |row| row.maybe_int("id"))
}

/// Makes them all; returns their keys in the same order. Whoever names a node holds the cluster's lock.
pub(super) async fn insert(
    session: &mut Session,
    catalog: &Catalog,
    new: &[NewRow],
    user: Option<i64>,
) -> Result<Vec<MonitorId>, StoreError> {
    let mut ids = vec![MonitorId(0); new.len()];
    for (names, members) in by_columns(new) {
        let made = insert_alike(session, &names, &members, user).await?;
        for ((at, _), id) in members.iter().zip(made) {
            if let Some(place) = ids.get_mut(*at) {
                *place = id;
            }
        }
    }
    let made: Vec<(MonitorId, &NewRow)> = ids.iter().copied().zip(new).collect();
    describe(session, &made).await?;
    let tagged: Vec<(MonitorId, &[String])> = made.iter().map(|(id, row)| (*id, row.tags.as_slice())).collect();
    tags::add(session, catalog, &tagged).await?;
    settle(session, &made).await?;
    Ok(ids)
}

/// One statement writes rows with the same columns.
fn by_columns(new: &[NewRow]) -> BTreeMap<Vec<&str>, Vec<(usize, &NewRow)>> {
    let mut alike: BTreeMap<Vec<&str>, Vec<(usize, &NewRow)>> = BTreeMap::new();
    for (at, row) in new.iter().enumerate() {
        alike.entry(row.columns.keys().map(String::as_str).collect()).or_default().push((at, row));
    }
    alike
}

async fn insert_alike(
    session: &mut Session,
    names: &[&str],
    members: &[(usize, &NewRow)],
    user: Option<i64>,
) -> Result<Vec<MonitorId>, StoreError> {
    let head: Vec<String> = names.iter().copied().chain(["user_id"]).map(|name| format!("`{name}`")).collect();
    let head = format!("INSERT INTO monitor ({})", head.join(", "));
    let rows = members.iter().map(|(_, row)| {
        let values = row.columns.values().map(bound);
        values.chain([Value::from(user)]).collect::<Vec<_>>()
    });
    let shape = format!("({})", vec!["?"; names.len() + 1].join(", "));
    let mut ids = Vec::with_capacity(members.len());
    for part in parts(rows.collect()) {
        let sql = format!("{head} VALUES {} RETURNING id", vec![shape.as_str(); part.len()].join(", "));
        let made = session.rows("make monitors", Sql::Once(sql), part.concat()).await?;
        let mut made = made.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
        // Keys rise with the rows of a statement; in which order they are told is not promised.
        made.sort_unstable();
        ids.extend(made.into_iter().map(MonitorId));
    }
    Ok(ids)
}

/// What komainu knows of a monitor beside Kuma's row.
async fn describe(session: &mut Session, made: &[(MonitorId, &NewRow)]) -> Result<(), StoreError> {
    let rows = made.iter().map(|(id, row)| {
        let (channels, run_on) = (list(&row.channels), labels(&row.run_on));
        values![*id, row.reference.clone(), channels, run_on, said(row.second_opinion), row.managed_by.clone(), "api"]
    });
    let head = "INSERT INTO komainu_monitor (monitor_id, ref, channels, run_on, second_opinion, managed_by, made_by, created_at, \
         updated_at)";
    let now = session.dialect().now_ms();
    insert_rows(session, head, &format!("(?, ?, ?, ?, ?, ?, ?, {now}, {now})"), rows.collect()).await
}

/// Homes that the client named; the leader finds one for the others.
async fn settle(session: &mut Session, made: &[(MonitorId, &NewRow)]) -> Result<(), StoreError> {
    let homes: Vec<_> = made.iter().filter_map(|(id, row)| Some((*id, row.node_id.as_ref()?, row.pinned))).collect();
    if homes.is_empty() {
        return Ok(());
    }
    let placed = u32::try_from(homes.len()).unwrap_or(u32::MAX);
    let generation = cluster::raise_generation(session, "operator", placed).await?.generation;
    let rows = homes.into_iter().map(|(id, node, pinned)| values![id, node, pinned, "operator", generation]).collect();
    let head = "INSERT INTO komainu_assignment (monitor_id, node_id, pinned, reason, generation, changed_at)";
    let now = session.dialect().now_ms();
    insert_rows(session, head, &format!("(?, ?, ?, ?, ?, {now})"), rows).await
}

pub(super) async fn insert_rows(
    session: &mut Session,
    head: &str,
    shape: &str,
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    for part in parts(rows) {
        let sql = format!("{head} VALUES {}", vec![shape; part.len()].join(", "));
        session.execute("make monitors", Sql::Once(sql), part.concat()).await?;
    }
    Ok(())
}

/// As much as one statement takes.
fn parts(rows: Vec<Vec<Value>>) -> Vec<Vec<Vec<Value>>> {
    let mut parts: Vec<Vec<Vec<Value>>> = vec![];
    let mut bytes = 0;
    for row in rows {
        let size: usize = row.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 8 }).sum();
        let has_room = |part: &Vec<Vec<Value>>| {
            part.len() < ROWS && (part.len() + 1) * row.len() <= PLACEHOLDERS && bytes + size <= BYTES
        };
        if let Some(part) = parts.last_mut().filter(|part| has_room(part)) {
            bytes += size;
            part.push(row);
        } else {
            bytes = size;
            parts.push(vec![row]);
        }
    }
    parts
}

/// Writes what changes, of rows that the caller has locked.
pub(super) async fn update(session: &mut Session, updates: &[&Update]) -> Result<(), StoreError> {
    let columns = updates.iter().filter(|update| !update.columns.is_empty()).map(|update| changed(update));
    session.execute_many("change monitors", columns.collect()).await?;
    let now = session.dialect().now_ms();
    let described = updates.iter().map(|update| {
        let (id, new) = (update.before.spec.id, &update.described);
        if update.before.updated_at.is_some() { described_again(id, new, now) } else { first_described(id, new, now) }
    });
    session.execute_many("describe monitors", described.collect()).await
}

fn changed(update: &Update) -> (String, Vec<Value>) {
    let sets: Vec<String> = update.columns.keys().map(|name| format!("`{name}` = ?")).collect();
    let sql = format!("UPDATE monitor SET {} WHERE id = ?", sets.join(", "));
    (sql, update.columns.values().map(bound).chain([Value::from(update.before.spec.id)]).collect())
}

/// Forgets what was known of monitors that are gone.
pub(super) async fn forget(session: &mut Session, gone: &[MonitorId]) -> Result<(), StoreError> {
    let ids: Vec<i64> = gone.iter().map(|id| id.0).collect();
    for part in ids.chunks(500) {
        let sql = format!("DELETE FROM komainu_monitor WHERE monitor_id IN ({})", id_list(part));
        session.execute("forget monitors that are gone", Sql::Once(sql), vec![]).await?;
    }
    Ok(())
}

/// What changes of komainu's own row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Described {
    pub(super) reference: Option<String>,
    pub(super) channels: Option<Vec<String>>,
    pub(super) run_on: Option<Vec<String>>,
    #[expect(clippy::option_option, reason = "not named, named as none, named")]
    pub(super) second_opinion: Option<Option<Wish>>,
    #[expect(clippy::option_option, reason = "not named, named as none, named")]
    pub(super) managed_by: Option<Option<String>>,
}

fn described_again(id: MonitorId, new: &Described, now: &str) -> (String, Vec<Value>) {
    let mut sets = vec![format!("updated_at = {now}")];
    let mut values = vec![];
    let pairs = [
        ("ref", new.reference.clone().map(Value::from)),
        ("channels", new.channels.as_ref().map(|channels| Value::from(list(channels)))),
        ("run_on", new.run_on.as_ref().map(|run_on| Value::from(labels(run_on)))),
        ("second_opinion", new.second_opinion.map(|wish| Value::from(said(wish)))),
        ("managed_by", new.managed_by.clone().map(Value::from)),
    ];
    for (column, value) in pairs {
        if let Some(value) = value {
            sets.push(format!("{column} = ?"));
            values.push(value);
        }
    }
    values.push(Value::from(id));
    (format!("UPDATE komainu_monitor SET {} WHERE monitor_id = ?", sets.join(", ")), values)
}

/// Where Kuma's UI made the monitor, komainu knew nothing of it.
fn first_described(id: MonitorId, new: &Described, now: &str) -> (String, Vec<Value>) {
    let sql = format!(
        "INSERT INTO komainu_monitor (monitor_id, ref, channels, run_on, second_opinion, managed_by, made_by, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, 'kuma', {now}, {now})"
    );
    let (channels, run_on) = (list(new.channels.as_deref().unwrap_or_default()), new.run_on.as_deref());
    let managed_by = new.managed_by.clone().flatten();
    let second_opinion = said(new.second_opinion.flatten());
    (sql, values![id, new.reference.clone(), channels, run_on.and_then(labels), second_opinion, managed_by])
}

fn list(texts: &[String]) -> String {
    json!(texts).to_string()
}

/// NULL: its tags or the configuration say.
fn said(wish: Option<Wish>) -> Option<&'static str> {
    wish.map(Wish::as_str)
}

/// NULL: any node.
fn labels(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| list(texts))
}

/// Keys of rows that a draft may name.
pub(super) async fn existing(
    session: &mut Session,
    table: &str,
    ids: &BTreeSet<i64>,
) -> Result<BTreeSet<i64>, StoreError> {
    let ids: Vec<i64> = ids.iter().copied().collect();
    let sql = format!("SELECT id FROM `{table}` WHERE id IN ({})", id_list(&ids));
    let rows = session.rows("look up what a monitor names", Sql::Once(sql), vec![]).await?;
    rows.iter().map(|row| row.int("id")).collect()
}

/// A whole number of a draft's column.
pub(super) fn number(columns: &Columns, column: &str) -> Option<i64> {
    columns.get(column).and_then(Json::as_i64)
}
