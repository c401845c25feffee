//! What clients ask of monitors: made and changed, all or nothing, with their row of the audit trail.
//!
//! Everything is looked at again under the locks of the transaction that writes: the row that is edited, what it names,
//! and what the client had seen of it. So two clients, or a client and Kuma's UI, never overwrite what the other changed
//! in other columns.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::ids::MonitorId;

use super::kin::{self, Keys, provisional};
use super::listing::select_on;
use super::planning::{Plan, Planning, Update};
use super::rows::{self, NewRow, first_user, number};
use super::world::{World, by_refs, lock};
use super::{MonitorView, tags, trail};
use crate::monitor::{Draft, FieldFault};
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

impl Change {
    /// As the API and the command line say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What became of a wish, and of which monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The monitor's key.
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
    Faults(Vec<(usize, FieldFault)>),
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
            Ok(WriteOutcome::Done(written)) => return Ok(Ok(written)),
            Ok(WriteOutcome::Refused(refusal)) => return Ok(Err(refusal)),
            Ok(WriteOutcome::Settles) => order.settles = true,
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
        WriteOutcome::Done(written) => Ok(Ok(written)),
        WriteOutcome::Refused(refusal) => Ok(Err(refusal)),
        WriteOutcome::Settles => Err(StoreError::Invalid("a rehearsal gives nothing a home".to_owned())),
    }
}

/// How an attempt ended.
enum WriteOutcome {
    Done(Vec<Written>),
    Refused(Refusal),
    /// Something new gets a home: that needs the cluster's lock.
    Settles,
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
    async fn carry_out(&self, session: &mut Session) -> Result<WriteOutcome, StoreError> {
        if self.settles {
            cluster::lock(session).await?;
        }
        let named = |wish: &'_ Wish| [wish.draft.reference.clone(), wish.draft.parent_ref.clone()];
        let refs: BTreeSet<String> = self.wishes.iter().flat_map(named).flatten().collect();
        let refs = refs.iter().map(String::as_str).collect();
        let mut known = by_refs(session, &refs).await?;
        let views = self.lock_and_read(session, &known).await?;
        // Kuma's UI deletes monitors and leaves what komainu knew of them.
        let gone: Vec<MonitorId> = known.values().filter(|id| !views.contains_key(id)).copied().collect();
        known.retain(|_, id| views.contains_key(id));
        if !self.settles && !self.is_rehearsal && self.wishes.iter().any(|wish| makes_with_home(wish, &known)) {
            return Ok(WriteOutcome::Settles);
        }
        let (wishes, orphans) = kin::resolved(self.wishes, &known);
        let drafts: Vec<&Draft> = wishes.iter().map(|wish| &wish.draft).collect();
        let mut world = World::read(session, self.catalog, &drafts, !self.is_rehearsal).await?;
        for (at, wish) in wishes.iter().enumerate() {
            let view = existing(wish, &known).and_then(|id| views.get(&id));
            let before = view.and_then(|view| number(&view.columns, "parent"));
            world.foresee(view.map_or(provisional(at), |view| view.spec.id), before, &wish.draft.columns);
        }
        let planning = Planning { catalog: self.catalog, known: &known, views, world, faults: orphans };
        match planning.plan(&wishes) {
            Ok(plans) if self.is_rehearsal => Ok(WriteOutcome::Done(self.written(&plans, &Keys::default()))),
            Ok(plans) => {
                rows::forget(session, &gone).await?;
                self.write(session, plans).await.map(WriteOutcome::Done)
            }
            Err(refusal) => Ok(WriteOutcome::Refused(refusal)),
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

    async fn write(&self, session: &mut Session, mut plans: Vec<Plan>) -> Result<Vec<Written>, StoreError> {
        let made =
            |(at, plan): (usize, &Plan)| if let Plan::Create(row) = plan { Some((at, (**row).clone())) } else { None };
        let mut new: Vec<(usize, NewRow)> = plans.iter().enumerate().filter_map(made).collect();
        let user = if new.is_empty() { None } else { first_user(session, self.catalog).await? };
        let keys = kin::insert(session, self.catalog, &mut new, user).await?;
        let new: Vec<NewRow> = new.into_iter().map(|(_, row)| row).collect();
        let written = self.written(&plans, &keys);
        let updates: Vec<&Update> = plans
            .iter_mut()
            .filter_map(|plan| if let Plan::Update(update) = plan { Some(&mut **update) } else { None })
            .map(|update| {
                keys.settle(&mut update.columns);
                &*update
            })
            .collect();
        self.update(session, &updates).await?;
        trail::note(session, self.by, &trail::Story { written: &written, new: &new, updates: &updates }).await?;
        Ok(written)
    }

    /// What becomes of each wish; `keys`: of those that are new.
    fn written(&self, plans: &[Plan], keys: &Keys) -> Vec<Written> {
        let wished = plans.iter().zip(self.wishes).enumerate();
        let written = wished.map(|(at, (plan, wish))| {
            let (id, change, before) = match plan {
                Plan::Create(_) => (keys.of(at), Change::Created, None),
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

pub(super) fn existing(wish: &Wish, known: &BTreeMap<String, MonitorId>) -> Option<MonitorId> {
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

/// Whether it is what the client had seen; `*`: whatever there is.
pub(super) fn matches(if_match: &[String], view: &MonitorView) -> bool {
    if_match.is_empty() || if_match.iter().any(|tag| tag == "*" || *tag == view.etag())
}
