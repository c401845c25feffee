//! What the tables know of something, for whoever asks who is told of it and what holds that.

use std::collections::BTreeSet;

use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::Wall;

use super::downtimes::monitor_of;
use super::error::StoreError;
use super::incidents::{self, Story};
use super::outbox::reminders::subjects;
use super::pool::Store;
use super::session::Session;
use super::value::values;
use super::{checks, dependencies, silences};
use crate::silence::Silence;

const ACT: &str = "look who is told of something";

/// What is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// As it would be entered now.
    pub subject: Subject,
    /// It is open.
    pub story: Option<Story>,
    /// By the database's clock.
    pub now: Wall,
    /// Silences and windows in force at the time that was asked for.
    pub in_force: Vec<Silence>,
    /// What explains it at this moment: what it depends on and is critical, and the node that runs it.
    pub causes: Vec<String>,
}

/// What is known of this key. `at`: when, for what is silenced then; `None`: now.
pub async fn known(store: &Store, key: &str, at: Option<Wall>) -> Result<Known, StoreError> {
    let mut lease = store.lease(ACT).await?;
    let now = silences::now_on(&mut lease).await?;
    let in_force = silences::in_force(&mut lease, at.unwrap_or(now)).await?;
    let sql = "SELECT id, k, severity, subject_json FROM komainu_incident WHERE k = ? AND resolved_at IS NULL";
    let open = lease.row(ACT, sql, values![key]).await?;
    let bare =
        Subject { key: key.to_owned(), severity: Severity::Critical, tags: vec![], channels: vec![], node: None };
    let mut subject = open.as_ref().map_or(Ok(bare), silences::subject_of)?;
    if let Some(monitor) = monitor_of(key) {
        subject.node = node_of(&mut lease, monitor).await?.or(subject.node);
    }
    let causes = causes(&mut lease, &subject).await?;
    drop(lease);
    subjects::renew(store, vec![&mut subject]).await?;
    if let Some(check) = key.strip_prefix("check/")
        && let Some(check) = checks::get(store, check).await?
    {
        (subject.tags, subject.channels) = (check.definition.tags.clone(), check.definition.channels.clone());
    }
    let found = match open {
        Some(row) => incidents::get(store, row.int("id")?).await?,
        None => None,
    };
    Ok(Known { subject, story: found, now, in_force, causes })
}

async fn node_of(session: &mut Session, monitor: MonitorId) -> Result<Option<NodeId>, StoreError> {
    let sql = "SELECT effective_node FROM komainu_assignment WHERE monitor_id = ?";
    let row = session.row(ACT, sql, values![monitor.0]).await?;
    Ok(row.map(|row| row.maybe_text("effective_node")).transpose()?.flatten().map(|node| NodeId::from(node.as_str())))
}

/// What explains it, as long as people know of that.
async fn causes(session: &mut Session, subject: &Subject) -> Result<Vec<String>, StoreError> {
    let declared = dependencies::causes_of(session, std::slice::from_ref(&subject.key)).await?;
    let mut keys: BTreeSet<String> = declared.into_values().flatten().collect();
    keys.extend(subject.node.iter().map(|node| format!("node/{node}")).filter(|key| *key != subject.key));
    let mut open = vec![];
    for key in keys {
        let sql = "SELECT 1 AS one FROM komainu_incident WHERE k = ? AND resolved_at IS NULL AND severity = 'critical'";
        if session.row(ACT, sql, values![&key]).await?.is_some() {
            open.push(key);
        }
    }
    Ok(open)
}
