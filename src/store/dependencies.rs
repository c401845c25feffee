//! What depends on what: the declarations, as people make and see them.
//!
//! Owns the rows. Which declarations are refused is [`komainu_watchdogs::dependency`]'s to say, what they hold
//! [`komainu_watchdogs::outbox`]'s. Both sides of a row are keys of incidents, so whoever tells people joins them as they are. What
//! is deleted declares nothing any more; others may still name it, and that is shown: it may come again under its name.

pub(in crate::store) mod subjects;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::io::Severity;
use serde::{Deserialize, Serialize};

use super::Page;
use super::error::StoreError;
use super::pool::Store;
use super::session::{Session, Sql};
use super::value::{Row, Value, values};

pub use self::writing::{MOST_DEPENDENCIES, MOST_TOGETHER, Refusal, Wish, rehearse, write};

/// Keys of one statement.
const TOGETHER: usize = 500;

/// As many as a watchdog remembers for the time in which the database is dead.
const MOST_REMEMBERED: u32 = 20_000;

/// What one thing depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependency {
    /// `check/shop`.
    pub subject: String,
    /// In alphabetical order.
    pub causes: Vec<String>,
    /// Of these, what is not there.
    pub missing: Vec<String>,
}

/// Which declarations; `None`: whatever it says there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DependencyFilter {
    /// Of this.
    pub subject: Option<String>,
    /// That name this.
    pub cause: Option<String>,
}

/// Declarations in the order of what they are about; all filters must hold.
pub async fn list(
    store: &Store,
    filter: &DependencyFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Dependency>, StoreError> {
    let act = "read dependencies";
    let (mut condition, mut values) = (String::new(), values![cursor.unwrap_or_default()]);
    for (sql, wanted) in [(" AND child = ?", &filter.subject), (" AND cause = ?", &filter.cause)] {
        if let Some(wanted) = wanted {
            condition.push_str(sql);
            values.push(Value::from(wanted));
        }
    }
    values.push(Value::from(limit.saturating_add(1)));
    let mut lease = store.lease(act).await?;
    let sql =
        format!("SELECT DISTINCT child FROM komainu_dependency WHERE child > ?{condition} ORDER BY child LIMIT ?");
    let rows = lease.rows(act, sql, values).await?;
    let children = rows.iter().map(|row| row.text("child")).collect::<Result<Vec<_>, _>>()?;
    let page = Page::cut(children, limit, Clone::clone);
    let found = causes_of(&mut lease, &page.items).await?;
    let all: BTreeSet<String> = found.values().flatten().cloned().collect();
    let there = subjects::found(&mut lease, &all).await?;
    let items = found.into_iter().map(|(subject, causes)| {
        let missing = causes.iter().filter(|cause| !there.contains_key(*cause)).cloned().collect();
        Dependency { subject, causes: Vec::from_iter(causes), missing }
    });
    Ok(Page { items: items.collect(), next: page.next })
}

/// What one thing depends on; `None`: on nothing that anybody declared.
pub async fn get(store: &Store, subject: &str) -> Result<Option<Dependency>, StoreError> {
    let filter = DependencyFilter { subject: Some(subject.to_owned()), cause: None };
    Ok(list(store, &filter, None, 1).await?.items.into_iter().next())
}

/// What a watchdog knows of dependencies of checks while it cannot ask: nothing else can be found bad then.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// What each depends on.
    pub causes: BTreeMap<String, BTreeSet<String>>,
    /// Of causes that were critical, the channels that knew of them.
    pub told: BTreeMap<String, BTreeSet<String>>,
    /// Of what was bad, the channels that were not told of it because of its cause.
    pub held: BTreeMap<String, BTreeSet<String>>,
}

impl Remembered {
    /// Whether something that this depends on was critical and known to the channel when the tables were read last; `is_asked`: which
    /// causes are meant.
    pub fn was_explained(&self, key: &str, channel: &str, is_asked: impl Fn(&str) -> bool) -> bool {
        let mut causes = self.causes.get(key).into_iter().flatten().filter(|cause| is_asked(cause));
        causes.any(|cause| self.told.get(cause).is_some_and(|told| told.contains(channel)))
    }

    /// The channel was not told that this opened.
    pub fn is_held(&self, key: &str, channel: &str) -> bool {
        self.held.get(key).is_some_and(|held| held.contains(channel))
    }
}

/// It, as it is now.
pub async fn remembered(store: &Store) -> Result<Remembered, StoreError> {
    let act = "read dependencies";
    let mut lease = store.lease(act).await?;
    if !is_any(&mut lease).await? {
        return Ok(Remembered::default());
    }
    let sql = format!(
        "SELECT child, cause FROM komainu_dependency WHERE child >= 'check/' AND child < 'check0' \
         ORDER BY child, cause LIMIT {MOST_REMEMBERED}"
    );
    let causes = pairs(&lease.rows(act, sql, vec![]).await?, ("child", "cause"))?;
    let sql = format!(
        "SELECT DISTINCT i.k, d.channel FROM komainu_incident i JOIN komainu_delivery d ON d.incident_id = i.id \
         JOIN komainu_event e ON e.id = d.event_id WHERE i.resolved_at IS NULL AND i.severity = ? AND d.state = 'sent' \
         AND e.kind <> 'resolved' AND EXISTS (SELECT 1 FROM komainu_dependency c WHERE c.cause = i.k) LIMIT {MOST_REMEMBERED}"
    );
    let told = pairs(&lease.rows(act, sql, values![Severity::Critical.as_str()]).await?, ("k", "channel"))?;
    let sql = format!(
        "SELECT DISTINCT i.k, d.channel FROM komainu_delivery d{} JOIN komainu_incident i ON i.id = d.incident_id \
         JOIN komainu_event e ON e.id = d.event_id WHERE d.silenced_by IS NULL AND d.state = 'held' AND e.kind = 'opened' \
         AND i.k >= 'check/' AND i.k < 'check0' LIMIT {MOST_REMEMBERED}",
        lease.dialect().by_index("komainu_delivery_silenced")
    );
    let held = pairs(&lease.rows(act, sql, vec![]).await?, ("k", "channel"))?;
    Ok(Remembered { causes, told, held })
}

fn pairs(rows: &[Row], (one, other): (&str, &str)) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        found.entry(row.text(one)?).or_default().insert(row.text(other)?);
    }
    Ok(found)
}

/// Whether anybody declared anything: most clusters need not look further.
async fn is_any(session: &mut Session) -> Result<bool, StoreError> {
    let sql = "SELECT 1 AS one FROM komainu_dependency LIMIT 1";
    Ok(session.row("look for dependencies", sql, vec![]).await?.is_some())
}

/// What each of these depends on.
pub(crate) async fn causes_of(
    session: &mut Session,
    children: &[String],
) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for part in children.chunks(TOGETHER) {
        let sql = format!("SELECT child, cause FROM komainu_dependency WHERE child IN ({})", places(part.len()));
        let values = part.iter().map(Value::from).collect();
        found.extend(pairs(&session.rows("read dependencies", Sql::Once(sql), values).await?, ("child", "cause"))?);
    }
    Ok(found)
}

/// It is deleted, and depends on nothing any more. What depends on it says so still.
pub(crate) async fn forget(session: &mut Session, subject: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM komainu_dependency WHERE child = ?";
    session.execute("forget what something depends on", sql, values![subject]).await.map(|_| ())
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}
