//! What a message tells, read when it is about to leave.

use std::collections::BTreeMap;

use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::time::Wall;

use super::claim::Claim;
use super::naming::names;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, values};

/// What one delivery tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// Of which incident.
    pub incident: i64,
    /// What happened to it.
    pub event: Event,
    /// Kind and subject.
    pub key: String,
    /// What people call the monitor.
    pub name: Option<String>,
    /// `critical` or `warning`.
    pub severity: String,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// Watchdogs that see it, of how many that may vote.
    pub votes: (u32, u32),
    /// When the incident opened.
    pub opened_at: Wall,
    /// When one that came back opened for the first time.
    pub first_opened_at: Option<Wall>,
    /// When the event happened.
    pub at: Wall,
    /// Of a node's incident: its monitors that others run, by node.
    pub elsewhere: Vec<(String, u64)>,
    /// What the vendor calls the message that this channel was told first of this incident.
    pub thread: Option<String>,
    /// The channel that did not take it.
    pub instead_of: Option<String>,
    /// Who takes care of it, as the audit trail calls them, while it is open.
    pub acknowledged_by: Option<String>,
    /// Readers who have it.
    pub told_to: Vec<String>,
}

/// What a claimed message tells, in the order of entering.
pub async fn facts(store: &Store, claim: &Claim) -> Result<Vec<Fact>, StoreError> {
    let act = "read what a message tells";
    let mut lease = store.lease(act).await?;
    let sql = format!(
        "SELECT e.kind, e.severity, e.summary, e.votes_bad, e.votes_of, e.at, i.id, i.k, i.opened_at, i.first_opened_at, \
         CASE WHEN i.resolved_at IS NULL THEN i.acknowledged_by END AS acknowledged_by, d.instead_of, d.told_to \
         FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id \
         JOIN komainu_incident i ON i.id = d.incident_id WHERE d.id IN ({}) ORDER BY d.id",
        id_list(&claim.deliveries)
    );
    let rows = lease.rows(act, Sql::Once(sql), vec![]).await?;
    let mut facts = rows.iter().map(fact).collect::<Result<Vec<_>, _>>()?;
    let names = names(&mut lease, facts.iter().map(|fact| fact.key.as_str())).await?;
    for fact in &mut facts {
        fact.name = names.get(&fact.key).cloned();
        if let Some(node) = fact.key.strip_prefix("node/") {
            fact.elsewhere = elsewhere(&mut lease, node).await?;
        }
    }
    let mut threads = threads(&mut lease, &facts, &claim.channel).await?;
    for fact in &mut facts {
        fact.thread = threads.remove(&fact.incident);
    }
    Ok(facts)
}

fn fact(row: &Row) -> Result<Fact, StoreError> {
    Ok(Fact {
        incident: row.int("id")?,
        event: Event::parse(&row.text("kind")?).unwrap_or(Event::Opened),
        key: row.text("k")?,
        name: None,
        severity: row.text("severity")?,
        summary: row.text("summary")?,
        votes: (row.small("votes_bad")?, row.small("votes_of")?),
        opened_at: row.wall("opened_at")?,
        first_opened_at: row.maybe_wall("first_opened_at")?,
        at: row.wall("at")?,
        elsewhere: vec![],
        thread: None,
        instead_of: row.maybe_text("instead_of")?,
        acknowledged_by: row.maybe_text("acknowledged_by")?,
        // Whoever cannot be read is told again.
        told_to: row.maybe_text("told_to")?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
    })
}

async fn elsewhere(session: &mut Session, node: &str) -> Result<Vec<(String, u64)>, StoreError> {
    let sql = "SELECT effective_node, COUNT(*) AS monitors FROM komainu_assignment \
         WHERE node_id = ? AND effective_node NOT IN ('', ?) GROUP BY effective_node ORDER BY effective_node";
    let rows = session.rows("count a node's monitors", sql, values![node, node]).await?;
    rows.iter().map(|row| Ok((row.text("effective_node")?, row.count("monitors")?))).collect()
}

async fn threads(session: &mut Session, facts: &[Fact], channel: &str) -> Result<BTreeMap<i64, String>, StoreError> {
    let incidents: Vec<i64> = facts.iter().map(|fact| fact.incident).collect();
    if incidents.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = format!(
        "SELECT incident_id, vendor_ref FROM komainu_delivery WHERE incident_id IN ({}) AND channel = ? \
         AND state = 'sent' AND vendor_ref IS NOT NULL ORDER BY id",
        id_list(&incidents)
    );
    let mut threads = BTreeMap::new();
    for row in session.rows("look for threads", Sql::Once(sql), values![channel]).await? {
        let first = row.text("vendor_ref")?;
        threads.entry(row.int("incident_id")?).or_insert(first);
    }
    Ok(threads)
}
