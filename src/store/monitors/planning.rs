//! What becomes of each wish, and everything that is wrong with all of them. Reads and writes nothing.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;

use super::MonitorView;
use super::kin::{as_named, provisional};
use super::rows::{Described, NewRow};
use super::world::World;
use super::writing::{Refusal, Wish, existing, matches};
use crate::monitor::{Columns, Draft, FieldFault, created, edited};
use crate::store::catalog::Catalog;

/// What is written for one wish.
pub(super) enum Plan {
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

/// What wishes are judged by.
pub(super) struct Planning<'a> {
    pub(super) catalog: &'a Catalog,
    /// Whose refs are known.
    pub(super) known: &'a BTreeMap<String, MonitorId>,
    /// What is there, under lock.
    pub(super) views: BTreeMap<MonitorId, MonitorView>,
    pub(super) world: World,
    /// Found so far, by the wish's place.
    pub(super) faults: Vec<(usize, FieldFault)>,
}

impl Planning<'_> {
    pub(super) fn plan(mut self, wishes: &[Wish]) -> Result<Vec<Plan>, Refusal> {
        let mut plans = vec![];
        let mut refs: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, wish) in wishes.iter().enumerate() {
            if let Some(first) = wish.draft.reference.as_deref().and_then(|name| refs.insert(name, at)) {
                let words = format!("item {first} of this request has the same ref");
                self.faults.push((at, FieldFault::conflict("ref", words)));
                continue;
            }
            let planned = match existing(wish, self.known) {
                Some(id) => match self.views.remove(&id) {
                    Some(view) => self.update(wish, view)?,
                    None => return Err(Refusal::Unknown),
                },
                None if !wish.if_match.is_empty() => return Err(Refusal::Stale),
                None => self.creation(at, wish),
            };
            match planned {
                Ok(plan) => plans.push(plan),
                Err(found) => self.faults.extend(found.into_iter().map(|fault| (at, as_named(fault, wish)))),
            }
        }
        self.faults.sort_by_key(|(at, _)| *at);
        if self.faults.is_empty() { Ok(plans) } else { Err(Refusal::Faults(self.faults)) }
    }

    fn creation(&mut self, at: usize, wish: &Wish) -> Result<Plan, Vec<FieldFault>> {
        let draft = &wish.draft;
        let mut faults = vec![];
        if let Some(reference) = draft.reference.as_ref().filter(|reference| self.known.contains_key(*reference)) {
            faults.push(FieldFault::conflict("ref", format!("there is a monitor with ref {reference} already")));
        }
        // 190 bits from the system's generator.
        let token = hex::encode(rand::random::<[u8; 16]>());
        let columns = match created(draft, self.catalog.monitor(), &token) {
            Ok(columns) => columns,
            // What it names is judged all the same.
            Err(found) => {
                faults.extend(found);
                draft.columns.clone()
            }
        };
        faults.extend(self.world.judge(provisional(at), &columns));
        let run_on = draft.run_on.clone().unwrap_or_default();
        let kind = columns.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
        if !kind.is_empty() {
            faults.extend(draft.node_id.as_ref().and_then(|node| self.world.home_fault(node, kind, &run_on)));
        }
        let pinned = draft.pinned.unwrap_or_default();
        if pinned && draft.node_id.is_none() {
            faults.push(FieldFault::new("pinned", "needs node_id: a monitor is pinned to a node"));
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
            second_opinion: draft.second_opinion.flatten(),
            managed_by: draft.managed_by.clone().flatten(),
            node_id: draft.node_id.clone(),
            pinned,
        })))
    }

    /// The outer error ends the whole request.
    fn update(&mut self, wish: &Wish, before: MonitorView) -> Result<Result<Plan, Vec<FieldFault>>, Refusal> {
        if !matches(&wish.if_match, &before) {
            return Err(Refusal::Stale);
        }
        let (draft, id) = (&wish.draft, before.spec.id);
        let mut faults = vec![];
        if let Some(owner) =
            draft.reference.as_ref().and_then(|reference| self.known.get(reference)).filter(|owner| **owner != id)
        {
            faults.push(FieldFault::conflict("ref", format!("monitor {owner} has it already")));
        }
        let columns = match edited(draft, &before.columns, self.catalog.monitor()) {
            Ok(columns) => columns,
            // What it names is judged all the same.
            Err(found) => {
                faults.extend(found);
                draft.columns.clone()
            }
        };
        faults.extend(self.world.judge(id, &columns));
        faults.extend(moved(draft, &before));
        if !faults.is_empty() {
            return Ok(Err(faults));
        }
        let described = Described {
            reference: draft.reference.clone().filter(|reference| before.reference.as_ref() != Some(reference)),
            channels: draft.channels.clone().filter(|channels| sorted(&before.channels) != *channels),
            run_on: draft.run_on.clone().filter(|run_on| sorted(&before.run_on) != *run_on),
            second_opinion: draft.second_opinion.filter(|wish| before.second_opinion != *wish),
            managed_by: draft.managed_by.clone().filter(|set| before.managed_by != *set),
        };
        let tags = draft.tags.clone().filter(|tags| sorted(&before.tags) != *tags);
        if columns.is_empty() && tags.is_none() && described == Described::default() {
            return Ok(Ok(Plan::Nothing(id)));
        }
        Ok(Ok(Plan::Update(Box::new(Update { before, columns, described, tags }))))
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

/// A move is a deed of its own: it waits for acknowledgements.
fn moved(draft: &Draft, before: &MonitorView) -> Vec<FieldFault> {
    let id = before.spec.id;
    let mut faults = vec![];
    if let Some(node) = draft.node_id.as_ref().filter(|node| before.node_id.as_ref() != Some(node)) {
        let home = before.node_id.as_ref().map_or("no node", |home| home.as_str());
        let message = format!("it is at home on {home}; POST /api/v1/monitors/{id}/move moves it to {node}");
        faults.push(FieldFault::conflict("node_id", message));
    }
    if draft.pinned.is_some_and(|pinned| pinned != before.pinned) {
        let message = format!("PUT and DELETE /api/v1/monitors/{id}/pin change it");
        faults.push(FieldFault::conflict("pinned", message));
    }
    faults
}
