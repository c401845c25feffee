//! What explains what waits for a channel, as the tables have it: incidents that the channel knows of.
//!
//! Which of them explains a delivery is [`komainu_watchdogs::outbox`]'s to say.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::outbox::queue::{Parent, Queued, SETTLES_WITHIN};
use komainu_watchdogs::time::Wall;

use crate::store::decisions::id_list;
use crate::store::dependencies;
use crate::store::error::StoreError;
use crate::store::incidents::bulk::by_key;
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, Value, values};

const ACT: &str = "look what explains others";

/// Keys, or incidents, of one statement.
const TOGETHER: usize = 1_000;

/// All that may explain something in this queue, which learns what its incidents depend on.
pub(super) async fn parents(
    session: &mut Session,
    channel: &str,
    (now, queue): (Wall, &mut [Queued]),
    has_dependencies: bool,
) -> Result<Vec<Parent>, StoreError> {
    // One statement where nothing was declared: the database may be a second away.
    let mut parents = known(session, channel, None).await?;
    if !has_dependencies || queue.is_empty() {
        return Ok(parents);
    }
    let mut incidents = declare(session, (now, queue)).await?;
    for parent in &parents {
        incidents.remove(&parent.incident);
    }
    for part in Vec::from_iter(incidents).chunks(TOGETHER) {
        parents.extend(known(session, channel, Some(part)).await?);
    }
    Ok(parents)
}

/// Notes on each row what it depends on, as far as that is wrong, or was until a moment ago; says all of these incidents.
async fn declare(session: &mut Session, (now, queue): (Wall, &mut [Queued])) -> Result<BTreeSet<i64>, StoreError> {
    let children: BTreeSet<String> = queue.iter().map(|row| row.key.clone()).collect();
    let declared = dependencies::causes_of(session, &Vec::from_iter(children)).await?;
    let keys: BTreeSet<&String> = declared.values().flatten().collect();
    let mut incidents: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for part in Vec::from_iter(keys).chunks(TOGETHER) {
        // Times are compared where the row is judged, too: a clock may jump between.
        let sql = format!(
            "SELECT id, k FROM komainu_incident{} WHERE k IN ({}) AND (resolved_at IS NULL OR resolved_at > {} - {})",
            by_key(session.dialect()),
            vec!["?"; part.len()].join(", "),
            now.0,
            SETTLES_WITHIN.as_millis()
        );
        let values = part.iter().copied().map(Value::from).collect();
        for row in session.rows(ACT, Sql::Once(sql), values).await? {
            incidents.entry(row.text("k")?).or_default().push(row.int("id")?);
        }
    }
    for row in queue {
        let causes = declared.get(&row.key).into_iter().flatten();
        row.causes = causes.filter_map(|cause| incidents.get(cause)).flatten().copied().collect();
    }
    Ok(incidents.into_values().flatten().collect())
}

/// Those of these that the channel was told of, is about to be told of, or is not told of because something explains them; `None`: of all that
/// explain without being declared.
async fn known(session: &mut Session, channel: &str, incidents: Option<&[i64]>) -> Result<Vec<Parent>, StoreError> {
    let which = incidents.map_or_else(
        || "i.resolved_at IS NULL AND (i.k IN ('database', 'nodes') OR i.k LIKE 'node/%')".to_owned(),
        |incidents| format!("i.id IN ({})", id_list(incidents)),
    );
    let sql = format!(
        "SELECT i.id, i.k, i.severity, i.resolved_at, \
         MAX(CASE WHEN d.state = 'sent' AND e.kind <> 'resolved' THEN d.event_id END) AS told, \
         MAX(CASE WHEN d.state = 'sent' AND e.kind = 'resolved' THEN d.event_id END) AS ended, \
         MAX(CASE WHEN e.kind <> 'resolved' AND d.state = 'waiting' THEN 1 ELSE 0 END) AS waits, \
         MAX(CASE WHEN d.held_by IS NOT NULL AND d.silenced_by IS NULL AND d.state IN ('held', 'cancelled') THEN 1 ELSE 0 END) \
         AS is_explained \
         FROM komainu_incident i JOIN komainu_delivery d ON d.incident_id = i.id JOIN komainu_event e ON e.id = d.event_id \
         WHERE {which} AND d.channel = ? GROUP BY i.id, i.k, i.severity, i.resolved_at ORDER BY i.id"
    );
    let rows = match incidents {
        None => session.rows(ACT, sql, values![channel]).await?,
        Some(_) => session.rows(ACT, Sql::Once(sql), values![channel]).await?,
    };
    let parents = rows.iter().map(parent).collect::<Result<Vec<_>, _>>()?;
    Ok(parents.into_iter().flatten().collect())
}

fn parent(row: &Row) -> Result<Option<Parent>, StoreError> {
    let (told, over) = (row.maybe_int("told")?, row.maybe_int("ended")?);
    let ended_at = row.maybe_wall("resolved_at")?;
    // Of one that is over it does not matter whether the channel heard so yet.
    let is_told = told.is_some() && (told > over || ended_at.is_some());
    let is_coming = ended_at.is_none() && row.flag("waits")?;
    let is_known = is_told || is_coming || row.flag("is_explained")?;
    Ok(is_known.then_some(Parent {
        incident: row.int("id")?,
        key: row.text("k")?,
        severity: Severity::parse(&row.text("severity")?),
        is_told: is_told || ended_at.is_some(),
        ended_at,
    }))
}
