//! Making, changing, replacing and deleting checks: all that is asked for, or nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::time::Wall;

use super::columns::{COLUMNS, SELECT, Stamp, check, written};
use super::{Change, Check, Refusal, trail};
use crate::check::{self, Definition, Draft, Guard};
use crate::monitor::FieldFault;
use crate::store::dependencies;
use crate::store::error::StoreError;
use crate::store::incidents::opening::{latest, resolve_on};
use crate::store::insert::inserted;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Purpose, Session, Sql};
use crate::store::value::{Value, values};

/// Of one cluster: all of them are in the memory of every watchdog, and looked at by each.
pub const MOST_CHECKS: usize = 10_000;

/// Rows of one statement.
const MANY: usize = 500;

/// Which check is meant, and what is to become of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A new one; its name must be free.
    New,
    /// The one of this name, in what the draft names.
    Existing,
    /// The same; a new one where there is none.
    Named,
    /// What the draft says and nothing else, whether there is one or not.
    Whole,
}

/// One check as a client wants it.
#[derive(Clone, PartialEq, Debug)]
pub struct Wish {
    /// Which one.
    pub target: Target,
    /// What of it.
    pub draft: Draft,
    /// What the client had seen: one of these; empty: whatever is there.
    pub if_match: Vec<String>,
}

/// What became of a wish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Of the check.
    pub name: String,
    /// What became of it.
    pub change: Change,
}

/// Does all that is wished, or nothing. `by`: as the audit trail names who asks.
pub async fn write(
    store: &Store,
    by: &str,
    wishes: &[Wish],
    guard: &Guard,
) -> Result<Result<Vec<Written>, Refusal>, StoreError> {
    in_transaction!(store, "write checks", |session| write_in(session, by, wishes, guard).await)
}

/// Judges what is wished as [`write`] would now, and neither writes nor locks anything.
pub async fn rehearse(
    store: &Store,
    wishes: &[Wish],
    guard: &Guard,
) -> Result<Result<Vec<Written>, Refusal>, StoreError> {
    let act = "judge checks";
    let mut lease = store.lease(act).await?;
    lease.begin(act, Purpose::Snapshot).await?;
    let there = read(&mut lease, wishes).await;
    let there = lease.end(act, there).await?;
    Ok(there.plan(wishes, guard).map(|plans| plans.iter().map(Plan::written).collect()))
}

async fn write_in(
    session: &mut Session,
    by: &str,
    wishes: &[Wish],
    guard: &Guard,
) -> Result<Result<Vec<Written>, Refusal>, StoreError> {
    let (revision, now) = lock(session).await?;
    let there = read(session, wishes).await?;
    let plans = match there.plan(wishes, guard) {
        Ok(plans) => plans,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let changed: Vec<&Plan> = plans.iter().filter(|plan| plan.change != Change::Unchanged).collect();
    if !changed.is_empty() {
        let stamp = Stamp { revision: revision + 1, now, by };
        store_all(session, &changed, &stamp).await?;
        raise(session, stamp.revision).await?;
        let told: Vec<_> = changed.iter().map(|plan| (plan.before.as_ref(), &plan.after)).collect();
        trail::note(session, by, &told).await?;
    }
    Ok(Ok(plans.iter().map(Plan::written).collect()))
}

/// Keeps all other writers out until the transaction ends; says where they have come to, and the database's clock.
async fn lock(session: &mut Session) -> Result<(u64, Wall), StoreError> {
    let act = "lock the checks";
    let (now, lock) = (session.dialect().now_ms(), session.dialect().for_update());
    let sql = format!("SELECT revision, {now} AS now_ms FROM komainu_check_revision WHERE id = 1{lock}");
    let row = session.row(act, sql, vec![]).await?;
    let row = row.ok_or_else(|| StoreError::unreadable(act, "revision", "nothing"))?;
    Ok((row.count("revision")?, row.wall("now_ms")?))
}

async fn raise(session: &mut Session, revision: u64) -> Result<(), StoreError> {
    let sql = "UPDATE komainu_check_revision SET revision = ? WHERE id = 1";
    session.execute("raise the checks' revision", sql, values![revision]).await.map(|_| ())
}

/// What is there of what is wished.
struct There {
    checks: BTreeMap<String, Check>,
    /// Of all.
    count: usize,
}

async fn read(session: &mut Session, wishes: &[Wish]) -> Result<There, StoreError> {
    let act = "read checks";
    let names: BTreeSet<&str> = wishes.iter().filter_map(|wish| wish.draft.name.as_deref()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut checks = BTreeMap::new();
    for part in names.chunks(MANY) {
        let sql = format!("{SELECT} WHERE c.name IN ({})", places(part.len()));
        let rows = session.rows(act, Sql::Once(sql), part.iter().map(|name| Value::from(*name)).collect()).await?;
        for row in &rows {
            let check = check(row)?;
            checks.insert(check.definition.name.clone(), check);
        }
    }
    let row = session.row(act, "SELECT COUNT(*) AS checks FROM komainu_check", vec![]).await?;
    let count = row.map_or(Ok(0), |row| row.count("checks"))?;
    Ok(There { checks, count: usize::try_from(count).unwrap_or(usize::MAX) })
}

/// What is to become of one wish.
struct Plan {
    before: Option<Check>,
    after: Definition,
    change: Change,
}

impl Plan {
    fn written(&self) -> Written {
        Written { name: self.after.name.clone(), change: self.change }
    }
}

impl There {
    fn plan(&self, wishes: &[Wish], guard: &Guard) -> Result<Vec<Plan>, Refusal> {
        let (mut plans, mut faults, mut seen) = (vec![], vec![], BTreeSet::new());
        for (at, wish) in wishes.iter().enumerate() {
            if let Some(name) = &wish.draft.name
                && !seen.insert(name)
            {
                faults.push((at, FieldFault::new("name", format!("{name} stands in this request already"))));
                continue;
            }
            match self.plan_one(wish, guard)? {
                Ok(plan) => plans.push(plan),
                Err(found) => faults.extend(found.into_iter().map(|fault| (at, fault))),
            }
        }
        let new = plans.iter().filter(|plan| plan.change == Change::Created).count();
        if faults.is_empty() && new > 0 && self.count + new > MOST_CHECKS {
            let message = format!("a cluster has at most {MOST_CHECKS} checks, and there are {}", self.count);
            faults.push((0, FieldFault::conflict("name", message)));
        }
        if faults.is_empty() { Ok(plans) } else { Err(Refusal::Faults(faults)) }
    }

    /// What is wrong with its fields is told together with that of others.
    fn plan_one(&self, wish: &Wish, guard: &Guard) -> Result<Result<Plan, Vec<FieldFault>>, Refusal> {
        let before = wish.draft.name.as_ref().and_then(|name| self.checks.get(name));
        if !is_met(&wish.if_match, before) {
            return Err(Refusal::Stale);
        }
        let made = match (wish.target, before) {
            (Target::New, Some(before)) => {
                let message = format!("there is a check {} already", before.definition.name);
                Err(vec![FieldFault::conflict("name", message)])
            }
            (Target::Existing, None) => return Err(Refusal::Unknown),
            (Target::Existing | Target::Named, Some(before)) => check::edited(&wish.draft, &before.definition, guard),
            (Target::Whole, Some(before)) => check::replaced(&wish.draft, &before.definition, guard),
            (Target::New | Target::Named | Target::Whole, None) => check::created(&wish.draft, guard),
        };
        let change = |after: &Definition| match before {
            None => Change::Created,
            Some(before) if before.definition == *after => Change::Unchanged,
            Some(_) => Change::Updated,
        };
        Ok(made.map(|after| Plan { before: before.cloned(), change: change(&after), after }))
    }
}

/// Whether it is what the client had seen; `*`: whatever there is, but something.
fn is_met(if_match: &[String], there: Option<&Check>) -> bool {
    let etag = there.map(Check::etag);
    if_match.is_empty() || etag.is_some_and(|etag| if_match.iter().any(|tag| tag == "*" || *tag == etag))
}

/// Rows that are there are written anew: all of their columns may change.
async fn store_all(session: &mut Session, plans: &[&Plan], stamp: &Stamp<'_>) -> Result<(), StoreError> {
    let act = "write checks";
    for part in plans.chunks(MANY) {
        let old = part.iter().filter(|plan| plan.before.is_some());
        let old: Vec<Value> = old.map(|plan| Value::from(&plan.after.name)).collect();
        if !old.is_empty() {
            let sql = format!("DELETE FROM komainu_check WHERE name IN ({})", places(old.len()));
            session.execute(act, Sql::Once(sql), old).await?;
        }
        let rows = part.iter().map(|plan| written(&plan.after, plan.before.as_ref(), stamp)).collect();
        let (sql, values) = inserted(session.dialect(), "komainu_check", &COLUMNS, rows);
        session.execute(act, Sql::Once(sql), values).await?;
    }
    Ok(())
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Deletes one with what was known of it, and ends its incidents.
pub async fn delete(
    store: &Store,
    by: &str,
    name: &str,
    if_match: &[String],
) -> Result<Result<(), Refusal>, StoreError> {
    in_transaction!(store, "delete a check", |session| delete_in(session, by, name, if_match).await)
}

async fn delete_in(
    session: &mut Session,
    by: &str,
    name: &str,
    if_match: &[String],
) -> Result<Result<(), Refusal>, StoreError> {
    let act = "delete a check";
    let (revision, _) = lock(session).await?;
    let row = session.row(act, format!("{SELECT} WHERE c.name = ?"), values![name]).await?;
    let Some(gone) = row.as_ref().map(check).transpose()? else { return Ok(Err(Refusal::Unknown)) };
    if !is_met(if_match, Some(&gone)) {
        return Ok(Err(Refusal::Stale));
    }
    // Whoever enters a verdict comes before this or after it, and then finds no check.
    session.execute(act, "UPDATE komainu_check_revision SET revision = revision + 1 WHERE id = 2", vec![]).await?;
    for table in ["komainu_check", "komainu_check_state", "komainu_check_transition"] {
        session.execute(act, Sql::Once(format!("DELETE FROM {table} WHERE name = ?")), values![name]).await?;
    }
    // What was counted of it goes later, in small parts.
    session.execute(act, "UPDATE komainu_check_series SET name = NULL WHERE name = ?", values![name]).await?;
    raise(session, revision + 1).await?;
    let (whole, part) = (format!("check/{name}"), format!("partial/{name}"));
    let open = latest(session, &[&whole, &part]).await?;
    for incident in open.values().filter(|incident| incident.is_open) {
        resolve_on(session, incident.id, "the check was deleted").await?;
    }
    dependencies::forget(session, &whole).await?;
    trail::note_deletion(session, by, &gone.definition).await?;
    Ok(Ok(()))
}
