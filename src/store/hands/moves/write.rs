//! The statements of a move by hand: as few as there are kinds of it, and one row in the audit trail.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::{Generation, NodeId};
use serde_json::{Value as Json, json};

use super::{Planned, Todo};
use crate::store::audit;
use crate::store::cluster;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::hands::deed;
use crate::store::monitors::places;
use crate::store::only_kuma;
use crate::store::session::{Session, Sql};
use crate::store::value::values;

/// Monitors of one statement.
const BATCH: usize = 10_000;

/// Rows that change alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    /// `None`: its place stays.
    to: Option<NodeId>,
    pinned: bool,
    has_row: bool,
}

pub(in crate::store::hands) async fn write(
    session: &mut Session,
    planned: &[Planned],
    (what, by): (&str, &str),
) -> Result<(), StoreError> {
    let changed: Vec<&Planned> = planned.iter().filter(|one| one.todo == Todo::Write).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let how_many = u32::try_from(changed.len()).unwrap_or(u32::MAX);
    let stamp = cluster::raise_generation(session, "operator", how_many).await?;
    let mut kinds: BTreeMap<Kind, Vec<i64>> = BTreeMap::new();
    for one in &changed {
        let kind = Kind { to: one.to.clone(), pinned: one.pinned, has_row: one.stood.has_row };
        kinds.entry(kind).or_default().push(one.stood.id.0);
    }
    for (kind, ids) in &kinds {
        for part in ids.chunks(BATCH) {
            change(session, kind, part, stamp.generation).await?;
            // Where an operator sends it, it is tried anew.
            only_kuma::forget(session, part).await?;
        }
    }
    audit::append_in(session, &told(&changed, what, by)).await
}

async fn change(session: &mut Session, kind: &Kind, ids: &[i64], at: Generation) -> Result<(), StoreError> {
    let act = "move by hand";
    let (now, ids) = (session.dialect().now_ms(), id_list(ids));
    let by_primary = session.dialect().by_primary();
    let kept = places::kept(session.dialect());
    let stamped = format!("pinned = ?, reason = 'operator', generation = ?, changed_at = {now}");
    let (sql, values) = match &kind.to {
        None => {
            let sql =
                format!("UPDATE komainu_assignment{by_primary} SET {kept}, {stamped} WHERE monitor_id IN ({ids})");
            (sql, values![kind.pinned, at])
        }
        Some(to) if kind.has_row => {
            // MariaDB assigns from left to right: the home that counts until now is read off before it changes.
            let effective = "COALESCE(assigned_node, node_id, '')";
            let sql = format!(
                "UPDATE komainu_assignment{by_primary} SET {kept}, asked = CASE WHEN {effective} = ? THEN 0 ELSE 1 END, \
                 assigned_node = CASE WHEN {effective} = ? THEN NULL ELSE {effective} END, node_id = ?, {stamped} \
                 WHERE monitor_id IN ({ids})"
            );
            (sql, values![to, to, to, kind.pinned, at])
        }
        // Nobody ever ran it, so nobody has to stop.
        Some(to) => {
            let sql = format!(
                "INSERT INTO komainu_assignment (monitor_id, node_id, pinned, reason, generation, changed_at) \
                 SELECT m.id, ?, ?, 'operator', ?, {now} FROM monitor m WHERE m.id IN ({ids}) ORDER BY m.id"
            );
            (sql, values![to, kind.pinned, at])
        }
    };
    session.execute(act, Sql::Once(sql), values).await.map(|_| ())
}

/// What stood and what stands; monitors that were alike are told together.
fn told(changed: &[&Planned], what: &str, by: &str) -> audit::Deed {
    let stood = |one: &Planned| json!({"node_id": one.stood.home, "effective_node": one.stood.effective, "pinned": one.stood.pinned});
    let stands = |one: &Planned| json!({"node_id": one.to.as_ref().or(one.stood.home.as_ref()), "pinned": one.pinned});
    if let [one] = changed {
        let subject = format!("monitor/{}", one.stood.id);
        return deed(by, what, &subject, Some(stood(one)), Some(stands(one)));
    }
    let before = together(changed, stood);
    let after = together(changed, stands);
    deed(by, what, "monitors", Some(before), Some(after))
}

fn together(changed: &[&Planned], state: impl Fn(&Planned) -> Json) -> Json {
    let mut alike: BTreeMap<String, (Json, Vec<i64>)> = BTreeMap::new();
    for one in changed {
        let state = state(one);
        alike.entry(state.to_string()).or_insert_with(|| (state, vec![])).1.push(one.stood.id.0);
    }
    let items = alike.into_values().map(|(mut state, ids)| {
        if let Json::Object(fields) = &mut state {
            fields.insert("ids".to_owned(), json!(ids));
        }
        state
    });
    Json::Array(items.collect())
}
