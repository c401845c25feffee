//! Which database servers watchdogs and nodes write to, by their own rows, and the incident of there being several.
//!
//! Each process enters the server's own name with what it writes each second or two anyway. Where all go to one, by their URL
//! or by a proxy, there is one name. It decides nothing else: leases, decisions and pushes are safe with two Galera
//! servers for a while, and with two that are no cluster nothing is ([`super::servers`]).

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};

use super::error::StoreError;
use super::incidents::opening::{open_on, resolve_on};
use super::pool::{Store, in_transaction};
use super::value::values;

/// The incident's key and kind.
pub const KEY: &str = "servers";

const ACT: &str = "look who writes to which database server";

/// Rows that are older say nothing of where their process is now; clocks of servers differ by less.
const LATELY_MS: u32 = 10_000;

/// Names of servers, each with who writes there.
pub type Writers = BTreeMap<String, BTreeSet<String>>;

/// As their rows say now.
pub async fn seen(store: &Store) -> Result<Writers, StoreError> {
    let now = store.dialect().now_ms();
    let sql = format!(
        "SELECT watchdog_id AS name, server FROM komainu_watchdog \
         WHERE stopped = 0 AND server IS NOT NULL AND last_seen >= {now} - ? \
         UNION ALL SELECT node_id AS name, server FROM node \
         WHERE incarnation IS NOT NULL AND server IS NOT NULL AND last_seen_ms >= {now} - ?"
    );
    let mut writers = Writers::new();
    for row in store.lease(ACT).await?.rows(ACT, sql, values![LATELY_MS, LATELY_MS]).await? {
        writers.entry(row.text("server")?).or_default().insert(row.text("name")?);
    }
    Ok(writers)
}

/// Opens the incident where there are several, and ends it where there is one; says whether people are told something new.
pub async fn settle(store: &Store, writers: &Writers, routing: &Routing) -> Result<bool, StoreError> {
    if writers.len() < 2 {
        return close(store, writers).await;
    }
    let is_galera = store.server().is_some_and(|server| server.galera.is_some());
    // Two primaries that are no cluster have two truths.
    let severity = if is_galera { Severity::Warning } else { Severity::Critical };
    let alarm = Alarm { key: KEY.to_owned(), severity, summary: summary(writers), votes: (0, 0) };
    let opened =
        in_transaction!(store, ACT, |session| { open_on(session, &alarm, &Subject::of(&alarm), routing).await })?;
    Ok(opened.is_news)
}

async fn close(store: &Store, writers: &Writers) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM komainu_incident WHERE resolved_at IS NULL AND k = ?";
    let Some(row) = store.lease(ACT).await?.row(ACT, sql, values![KEY]).await? else { return Ok(false) };
    let id = row.int("id")?;
    let all =
        writers.keys().next().map_or_else(|| "nobody writes just now".to_owned(), |one| format!("all write to {one}"));
    in_transaction!(store, ACT, |session| resolve_on(session, id, &all).await)
}

fn summary(writers: &Writers) -> String {
    let each = writers.iter().map(|(server, names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("{server} ({})", names.join(", "))
    });
    format!("several database servers are written to: {}", each.collect::<Vec<_>>().join("; "))
}
