//! What clients ask of monitors: made and changed, all or nothing, with their row of the audit trail.
//!
//! Everything is looked at again under the locks of the transaction that writes: the row that is edited, what it names,
//! and what the client had seen of it. So two clients, or a client and Kuma's UI, never overwrite what the other changed
//! in other columns.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::ids::MonitorId;

use super::listing::select_on;
use super::rows::{self, Described, NewRow, first_user};
use super::world::{World, by_refs, lock};
use super::{MonitorView, tags, trail};
use crate::monitor::{Columns, Draft, Fault, created, edited};
use crate::store::catalog::Catalog;
use crate::store::cluster;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{ATTEMPTS, Store, in_transaction};
use crate::store::session::{Purpose, Session};

/// Which monitor is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A new one; its ref must be free.
    New,
    /// The one of this key.
    Existing(MonitorId),
    /// The one of the draft's ref; a new one where there is none.
    Named,
}

/// One monitor as a client wants it.
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It is new.
    Created,
    /// Something of it changed.
    Updated,
    /// It was as wished already.
    Unchanged,
}

/// What became of a wish, and of which monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its key.
    pub id: MonitorId,
    /// The name that a client gave it.
    pub reference: Option<String>,
    /// What became of it.
    pub change: Change,
}

/// Why nothing was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// By the wish's place in the request.
    Faults(Vec<(usize, Fault)>),
    /// There is no such monitor.
    Unknown,
    /// It is no longer what the client had seen.
    Stale,
}

/// Does all that is wished, or nothing. `by`: as the audit trail names who asks.
pub async fn write(store: &Store, by: &str, wishes: &[Wish]) -> Result<Result<Vec<Written>, Refusal>, StoreError> {
    let catalog = store.catalog().await?;
    let mut order = Order { catalog: &catalog, by, wishes, is_rehearsal: false, settles: false };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let outcome = in_transaction!(store, "write monitors", |session| order.carry_out(session).await);
        match outcome {
            Ok(Outcome::Done(written)) => return Ok(Ok(written)),
            Ok(Outcome::Refused(refusal)) => return Ok(Err(refusal)),
            Ok(Outcome::Settles) => order.settles = true,
            // Another one took the ref after it was looked up: this time it is found.
            Err(error) if error.is_duplicate() && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

/// Judges what is wished as [`write`] would now, and neither writes nor locks anything. What would be new has the key 0.
pub async fn rehearse(store: &Store, wishes: &[Wish]) -> Result<Result<Vec<Written>, Refusal>, StoreError> {
    let act = "judge monitors";
    let catalog = store.catalog().await?;
    let order = Order { catalog: &catalog, by: "", wishes, is_rehearsal: true, settles: false };
    let mut lease = store.lease(act).await?;
    lease.begin(act, Purpose::Snapshot).await?;
    let outcome = order.carry_out(&mut lease).await;
    match lease.end(act, outcome).await? {
        Outcome::Done(written) => Ok(Ok(written)),
        Outcome::Refused(refusal) => Ok(Err(refusal)),
        Outcome::Settles => Err(StoreError::Invalid("a rehearsal gives nothing a home".to_owned())),
    }
}

/// How an attempt ended.
enum Outcome {
    Done(Vec<Written>),
    Refused(Refusal),
    /// Something new gets a home: that needs the cluster's lock.
    Settles,
}

/// What is written for one wish.
enum Plan {
    Create(Box<NewRow>),
    Update(Box<Update>),
    Nothing(MonitorId),
}

/// What changes of one monitor.
pub(super) struct Update {
    pub(super) before: MonitorView,
    pub(super) columns: Columns,
    pub(super) described: Described,
    pub(super) tags: Option<Vec<String>>,
}

struct Order<'a> {
    catalog: &'a Catalog,
    by: &'a str,
    wishes: &'a [Wish],
    /// Nothing is written.
    is_rehearsal: bool,
    /// The cluster's row is locked before anything else, as by everybody who changes an assignment. Not for mere edits:
    /// many of them take longer than a decision can wait.
    settles: bool,
}

impl Order<'_> {
    async fn carry_out(&self, session: &mut Session) -> Result<Outcome, StoreError> {
        if self.settles {
            cluster::lock(session).await?;
        }
        let refs = self.wishes.iter().filter_map(|wish| wish.draft.reference.as_deref()).collect();
        let mut known = by_refs(session, &refs).await?;
        let views = self.lock_and_read(session, &known).await?;
        // Kuma's UI deletes monitors and leaves what komainu knew of them.
        let gone: Vec<MonitorId> = known.values().filter(|id| !views.contains_key(id)).copied().collect();
        known.retain(|_, id| views.contains_key(id));
        if !self.settles && !self.is_rehearsal && self.wishes.iter().any(|wish| makes_with_home(wish, &known)) {
            return Ok(Outcome::Settles);
        }
        let drafts: Vec<&Draft> = self.wishes.iter().map(|wish| &wish.draft).collect();
        let world = World::read(session, self.catalog, &drafts, !self.is_rehearsal).await?;
        match self.plan(&known, views, world) {
            Ok(plans) if self.is_rehearsal => Ok(Outcome::Done(self.written(&plans, vec![]))),
            Ok(plans) => {
                rows::forget(session, &gone).await?;
                self.write(session, plans).await.map(Outcome::Done)
            }
            Err(refusal) => Ok(Outcome::Refused(refusal)),
        }
    }

    /// The monitors that are there, as nobody can change them any more.
    async fn lock_and_read(
        &self,
        session: &mut Session,
        known: &BTreeMap<String, MonitorId>,
    ) -> Result<BTreeMap<MonitorId, MonitorView>, StoreError> {
        let named = self.wishes.iter().filter_map(|wish| existing(wish, known));
        let ids: BTreeSet<MonitorId> = named.chain(known.values().copied()).collect();
        if !self.is_rehearsal {
            lock(session, &ids).await?;
        }
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let mut views = BTreeMap::new();
        for part in ids.chunks(500) {
            let condition = format!(" AND m.id IN ({})", id_list(part));
            let read = select_on(session, self.catalog, &condition, vec![], u32::MAX).await?;
            views.extend(read.into_iter().map(|view| (view.spec.id, view)));
        }
        Ok(views)
    }

    fn plan(
        &self,
        known: &BTreeMap<String, MonitorId>,
        mut views: BTreeMap<MonitorId, MonitorView>,
        mut world: World,
    ) -> Result<Vec<Plan>, Refusal> {
        let mut faults: Vec<(usize, Fault)> = vec![];
        let mut plans = vec![];
        let mut refs: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, wish) in self.wishes.iter().enumerate() {
            if let Some(first) = wish.draft.reference.as_deref().and_then(|name| refs.insert(name, at)) {
                faults.push((at, Fault::conflict("ref", format!("item {first} of this request has the same ref"))));
                continue;
            }
            let planned = match existing(wish, known) {
                Some(id) => match views.remove(&id) {
                    Some(view) => plan_update(wish, view, known, &mut world, self.catalog)?,
                    None => return Err(Refusal::Unknown),
                },
                None if !wish.if_match.is_empty() => return Err(Refusal::Stale),
                None => plan_creation(wish, known, &mut world, self.catalog),
            };
            match planned {
                Ok(plan) => plans.push(plan),
                Err(found) => faults.extend(found.into_iter().map(|fault| (at, fault))),
            }
        }
        if faults.is_empty() { Ok(plans) } else { Err(Refusal::Faults(faults)) }
    }

    async fn write(&self, session: &mut Session, plans: Vec<Plan>) -> Result<Vec<Written>, StoreError> {
        let new: Vec<NewRow> = plans
            .iter()
            .filter_map(|plan| if let Plan::Create(row) = plan { Some((**row).clone()) } else { None })
            .collect();
        let user = if new.is_empty() { None } else { first_user(session, self.catalog).await? };
        let ids = rows::insert(session, self.catalog, &new, user).await?;
        let written = self.written(&plans, ids);
        let updates: Vec<&Update> = plans
            .iter()
            .filter_map(|plan| if let Plan::Update(update) = plan { Some(&**update) } else { None })
            .collect();
        self.update(session, &updates).await?;
        trail::note(session, self.by, &trail::Story { written: &written, new: &new, updates: &updates }).await?;
        Ok(written)
    }

    /// What becomes of each wish; `ids`: of those that are new.
    fn written(&self, plans: &[Plan], ids: Vec<MonitorId>) -> Vec<Written> {
        let mut ids = ids.into_iter();
        let wished = plans.iter().zip(self.wishes);
        let written = wished.map(|(plan, wish)| {
            let (id, change, before) = match plan {
                Plan::Create(_) => (ids.next().unwrap_or(MonitorId(0)), Change::Created, None),
                Plan::Update(update) => (update.before.spec.id, Change::Updated, update.before.reference.clone()),
                Plan::Nothing(id) => (*id, Change::Unchanged, None),
            };
            Written { id, reference: wish.draft.reference.clone().or(before), change }
        });
        written.collect()
    }

    async fn update(&self, session: &mut Session, updates: &[&Update]) -> Result<(), StoreError> {
        rows::update(session, updates).await?;
        for update in updates {
            if let Some(after) = &update.tags {
                tags::replace(session, self.catalog, update.before.spec.id, &update.before.tags, after).await?;
            }
        }
        Ok(())
    }
}

fn existing(wish: &Wish, known: &BTreeMap<String, MonitorId>) -> Option<MonitorId> {
    match wish.target {
        Target::New => None,
        Target::Existing(id) => Some(id),
        Target::Named => wish.draft.reference.as_ref().and_then(|reference| known.get(reference)).copied(),
    }
}

/// Whether it makes a monitor that begins at home.
fn makes_with_home(wish: &Wish, known: &BTreeMap<String, MonitorId>) -> bool {
    wish.draft.node_id.is_some() && existing(wish, known).is_none()
}

fn plan_creation(
    wish: &Wish,
    known: &BTreeMap<String, MonitorId>,
    world: &mut World,
    catalog: &Catalog,
) -> Result<Plan, Vec<Fault>> {
    let draft = &wish.draft;
    let mut faults = vec![];
    if let Some(reference) = draft.reference.as_ref().filter(|reference| known.contains_key(*reference)) {
        faults.push(Fault::conflict("ref", format!("there is a monitor with ref {reference} already")));
    }
    // 190 bits from the system's generator.
    let token = hex::encode(rand::random::<[u8; 16]>());
    let columns = match created(draft, catalog.monitor(), &token) {
        Ok(columns) => columns,
        Err(found) => {
            faults.extend(found);
            Columns::new()
        }
    };
    faults.extend(world.judge(None, &columns));
    let run_on = draft.run_on.clone().unwrap_or_default();
    let kind = columns.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
    if !columns.is_empty() {
        faults.extend(draft.node_id.as_ref().and_then(|node| world.home_fault(node, kind, &run_on)));
    }
    let pinned = draft.pinned.unwrap_or_default();
    if pinned && draft.node_id.is_none() {
        faults.push(Fault::new("pinned", "needs node_id: a monitor is pinned to a node"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Plan::Create(Box::new(NewRow {
        columns,
        reference: draft.reference.clone(),
        channels: draft.channels.clone().unwrap_or_default(),
        tags: draft.tags.clone().unwrap_or_default(),
        run_on,
        managed_by: draft.managed_by.clone().flatten(),
        node_id: draft.node_id.clone(),
        pinned,
    })))
}

/// The outer error ends the whole request.
fn plan_update(
    wish: &Wish,
    before: MonitorView,
    known: &BTreeMap<String, MonitorId>,
    world: &mut World,
    catalog: &Catalog,
) -> Result<Result<Plan, Vec<Fault>>, Refusal> {
    if !matches(&wish.if_match, &before) {
        return Err(Refusal::Stale);
    }
    let (draft, id) = (&wish.draft, before.spec.id);
    let mut faults = vec![];
    if let Some(owner) =
        draft.reference.as_ref().and_then(|reference| known.get(reference)).filter(|owner| **owner != id)
    {
        faults.push(Fault::conflict("ref", format!("monitor {owner} has it already")));
    }
    let columns = match edited(draft, &before.columns, catalog.monitor()) {
        Ok(columns) => columns,
        Err(found) => {
            faults.extend(found);
            Columns::new()
        }
    };
    world.will_change(id, &columns);
    faults.extend(world.judge(Some(id), &columns));
    faults.extend(moved(draft, &before));
    if !faults.is_empty() {
        return Ok(Err(faults));
    }
    let described = Described {
        reference: draft.reference.clone().filter(|reference| before.reference.as_ref() != Some(reference)),
        channels: draft.channels.clone().filter(|channels| sorted(&before.channels) != *channels),
        run_on: draft.run_on.clone().filter(|run_on| sorted(&before.run_on) != *run_on),
        managed_by: draft.managed_by.clone().filter(|set| before.managed_by != *set),
    };
    let tags = draft.tags.clone().filter(|tags| sorted(&before.tags) != *tags);
    if columns.is_empty() && tags.is_none() && described == Described::default() {
        return Ok(Ok(Plan::Nothing(id)));
    }
    Ok(Ok(Plan::Update(Box::new(Update { before, columns, described, tags }))))
}

/// Whether it is what the client had seen; `*`: whatever there is.
pub(super) fn matches(if_match: &[String], view: &MonitorView) -> bool {
    if_match.is_empty() || if_match.iter().any(|tag| tag == "*" || *tag == view.etag())
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

/// A move is a deed of its own: it waits for acknowledgements.
fn moved(draft: &Draft, before: &MonitorView) -> Vec<Fault> {
    let id = before.spec.id;
    let mut faults = vec![];
    if let Some(node) = draft.node_id.as_ref().filter(|node| before.node_id.as_ref() != Some(node)) {
        let home = before.node_id.as_ref().map_or("no node", |home| home.as_str());
        let message = format!("it is at home on {home}; POST /api/v1/monitors/{id}/move moves it to {node}");
        faults.push(Fault::conflict("node_id", message));
    }
    if draft.pinned.is_some_and(|pinned| pinned != before.pinned) {
        let message = format!("PUT and DELETE /api/v1/monitors/{id}/pin change it");
        faults.push(Fault::conflict("pinned", message));
    }
    faults
}
