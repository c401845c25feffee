//! Declaring: all of a request or nothing, judged against what stands there, under one lock.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::dependency::{Causes, KINDS, MOST_CAUSES, circle};
use serde_json::json;

use super::{TOGETHER, causes_of, places, subjects};
use crate::store::audit::{Deed, append_in};
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};

/// Declarations, each of one thing and one cause.
pub const MOST_DEPENDENCIES: u32 = 200_000;

/// Wishes of one request.
pub const MOST_TOGETHER: usize = 1_000;

/// As many are looked at when a circle is looked for.
const MOST_WALKED: usize = 10_000;

const ACT: &str = "declare what depends on what";

/// What something is to depend on from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// `check/shop`, `monitor/7`, or `monitor/` and its `ref`.
    pub subject: String,
    /// None: it depends on nothing.
    pub causes: Vec<String>,
}

/// Why nothing of a request was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// What is wrong: which wish, which field, and why.
    Faults(Vec<(usize, &'static str, String)>),
    /// There would be more than [`MOST_DEPENDENCIES`].
    TooMany,
}

/// Says under which key each of these stands now.
pub async fn write(store: &Store, by: &str, wishes: &[Wish]) -> Result<Result<Vec<String>, Refusal>, StoreError> {
    in_transaction!(store, ACT, |session| write_on(session, by, wishes).await)
}

/// Judges, and writes nothing.
pub async fn rehearse(store: &Store, wishes: &[Wish]) -> Result<Result<(), Refusal>, StoreError> {
    in_transaction!(store, ACT, |session| Ok(judge(session, wishes).await?.map(|_| ())))
}

/// What is to stand there, and what does.
struct Judged {
    keys: Vec<String>,
    wanted: Causes,
    before: Causes,
}

async fn write_on(
    session: &mut Session,
    by: &str,
    wishes: &[Wish],
) -> Result<Result<Vec<String>, Refusal>, StoreError> {
    let Judged { keys, wanted, before } = match judge(session, wishes).await? {
        Ok(judged) => judged,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let nothing = BTreeSet::new();
    let is_changed = |child: &String, causes: &BTreeSet<String>| before.get(child).unwrap_or(&nothing) != causes;
    let changed: Causes = wanted.into_iter().filter(|(child, causes)| is_changed(child, causes)).collect();
    let children: Vec<&String> = changed.keys().collect();
    for part in children.chunks(TOGETHER) {
        let sql = format!("DELETE FROM komainu_dependency WHERE child IN ({})", places(part.len()));
        session.execute(ACT, Sql::Once(sql), part.iter().copied().map(Value::from).collect()).await?;
    }
    let rows: Vec<(&String, &String)> =
        changed.iter().flat_map(|(child, causes)| causes.iter().map(move |cause| (child, cause))).collect();
    for part in rows.chunks(TOGETHER) {
        let sql =
            format!("INSERT INTO komainu_dependency (child, cause) VALUES {}", vec!["(?, ?)"; part.len()].join(", "));
        let values = part.iter().flat_map(|(child, cause)| values![*child, *cause]).collect();
        session.execute(ACT, Sql::Once(sql), values).await?;
    }
    for (child, causes) in &changed {
        let shown = |causes: &BTreeSet<String>| Some(json!({"depends_on": causes}).to_string());
        let deed = Deed {
            who: by.to_owned(),
            what: "dependency.edit".to_owned(),
            subject: child.clone(),
            before: before.get(child).and_then(shown),
            after: shown(causes),
        };
        append_in(session, &deed).await?;
    }
    Ok(Ok(keys))
}

async fn judge(session: &mut Session, wishes: &[Wish]) -> Result<Result<Judged, Refusal>, StoreError> {
    // One after the other: what is no circle for each of two would be one for both.
    let sql = format!("SELECT id FROM komainu_cluster WHERE id = 1{}", session.dialect().for_update());
    session.row(ACT, sql, vec![]).await?;
    let said = wishes.iter().flat_map(|wish| wish.causes.iter().chain([&wish.subject])).cloned().collect();
    let there = subjects::found(session, &said).await?;
    let (mut faults, mut keys, mut wanted) = (vec![], vec![], Causes::new());
    for (at, wish) in wishes.iter().enumerate() {
        match read(wish, &there) {
            Ok((child, causes)) => {
                keys.push(child.clone());
                if wanted.insert(child, causes).is_some() {
                    faults.push((at, "subject", "is said twice".to_owned()));
                }
            }
            Err(found) => faults.extend(found.into_iter().map(|(field, why)| (at, field, why))),
        }
    }
    if !faults.is_empty() {
        return Ok(Err(Refusal::Faults(faults)));
    }
    let before = causes_of(session, &keys).await?;
    let faults = circles(session, &keys, &wanted).await?;
    if !faults.is_empty() {
        return Ok(Err(Refusal::Faults(faults)));
    }
    let row = session.row(ACT, "SELECT COUNT(*) AS there FROM komainu_dependency", vec![]).await?;
    let there = row.map_or(Ok(0), |row| row.count("there"))?;
    let count = |causes: &Causes| u64::try_from(causes.values().map(BTreeSet::len).sum::<usize>()).unwrap_or(u64::MAX);
    let would_be = there.saturating_sub(count(&before)).saturating_add(count(&wanted));
    if would_be > u64::from(MOST_DEPENDENCIES) && count(&wanted) > count(&before) {
        return Ok(Err(Refusal::TooMany));
    }
    Ok(Ok(Judged { keys, wanted, before }))
}

type Faults = Vec<(&'static str, String)>;

/// One wish, with everything under the key of its incidents.
fn read(wish: &Wish, there: &BTreeMap<String, String>) -> Result<(String, BTreeSet<String>), Faults> {
    let mut faults = vec![];
    let child = there.get(&wish.subject);
    if child.is_none() {
        faults.push(("subject", unknown(&wish.subject)));
    }
    if wish.causes.len() > MOST_CAUSES {
        faults.push(("depends_on", format!("must have at most {MOST_CAUSES} entries")));
    }
    let mut causes = BTreeSet::new();
    for said in &wish.causes {
        match there.get(said) {
            None => faults.push(("depends_on", unknown(said))),
            Some(cause) if Some(cause) == child => {
                faults.push(("depends_on", format!("{said} cannot depend on itself")));
            }
            Some(cause) => {
                causes.insert(cause.clone());
            }
        }
    }
    match child {
        Some(child) if faults.is_empty() => Ok((child.clone(), causes)),
        _ => Err(faults),
    }
}

fn unknown(said: &str) -> String {
    match said.split_once('/') {
        Some((kind, name)) if KINDS.contains(&kind) && !name.is_empty() => format!("there is no {kind} {name}"),
        _ => format!("\"{said}\" must be monitor/ID, check/NAME, heartbeat/NAME or node/ID"),
    }
}

/// Whatever would depend on itself, by others, by its path.
async fn circles(
    session: &mut Session,
    keys: &[String],
    wanted: &Causes,
) -> Result<Vec<(usize, &'static str, String)>, StoreError> {
    let mut all = wanted.clone();
    let mut next: Vec<String> =
        wanted.values().flatten().filter(|cause| !wanted.contains_key(*cause)).cloned().collect();
    while !next.is_empty() {
        let found = causes_of(session, &next).await?;
        for walked in next {
            all.entry(walked).or_default();
        }
        let causes: BTreeSet<String> = found.values().flatten().cloned().collect();
        all.extend(found);
        next = causes.into_iter().filter(|cause| !all.contains_key(cause)).collect();
        if all.len() > MOST_WALKED.max(2 * wanted.len()) {
            let why = format!("there are more than {MOST_WALKED} causes behind these; declare fewer at once");
            return Ok(vec![(0, "depends_on", why)]);
        }
    }
    let circle = |(at, key): (usize, &String)| {
        let way = circle(&all, key)?;
        Some((at, "depends_on", format!("is a circle: {}", way.join(" depends on "))))
    };
    // One circle is many things' fault; the first few say enough.
    Ok(keys.iter().enumerate().filter_map(circle).take(20).collect())
}
