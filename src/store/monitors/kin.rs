//! Groups that a request names by a ref: of a monitor that is there, or of another item of the same request.
//!
//! An item that is new has no key before it is written; until then it goes by a provisional one below 0. Judges nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;
use serde_json::{Value as Json, json};

use super::rows::{self, NewRow, number};
use super::writing::{Wish, existing};
use crate::monitor::{Columns, FieldFault};
use crate::store::catalog::Catalog;
use crate::store::error::StoreError;
use crate::store::session::Session;

/// By what the item at this place goes until it is written.
pub(super) fn provisional(at: usize) -> MonitorId {
    MonitorId(-1 - i64::try_from(at).unwrap_or(i64::MAX - 1))
}

/// The wishes with keys instead of refs, and those whose ref is nobody's.
pub(super) fn resolved<'a>(
    wishes: &'a [Wish],
    known: &BTreeMap<String, MonitorId>,
) -> (Cow<'a, [Wish]>, Vec<(usize, FieldFault)>) {
    if wishes.iter().all(|wish| wish.draft.parent_ref.is_none()) {
        return (Cow::Borrowed(wishes), vec![]);
    }
    let mut items: BTreeMap<&str, MonitorId> = known.iter().map(|(name, id)| (name.as_str(), *id)).collect();
    items.extend(wishes.iter().enumerate().filter_map(|(at, wish)| {
        let id = existing(wish, known).unwrap_or_else(|| provisional(at));
        Some((wish.draft.reference.as_deref()?, id))
    }));
    let mut faults = vec![];
    let mut resolved = wishes.to_vec();
    for (at, wish) in resolved.iter_mut().enumerate() {
        let Some(name) = &wish.draft.parent_ref else { continue };
        match items.get(name.as_str()) {
            Some(id) => drop(wish.draft.columns.insert("parent".to_owned(), json!(id.0))),
            None => faults.push((at, FieldFault::new("parent_ref", format!("no monitor has the ref {name}")))),
        }
    }
    (Cow::Owned(resolved), faults)
}

/// A fault of a parent, as it was named.
pub(super) fn as_named(fault: FieldFault, wish: &Wish) -> FieldFault {
    match &wish.draft.parent_ref {
        Some(name) if fault.field == "parent" && fault.is_conflict => FieldFault::conflict(
            "parent_ref",
            format!("{name} is this monitor or below it: it would be its own parent"),
        ),
        Some(name) if fault.field == "parent" => {
            FieldFault::new("parent_ref", format!("must be the ref of a monitor of type group; {name} is none"))
        }
        _ => fault,
    }
}

/// Keys of those that were new, by what they went by before.
#[derive(Default)]
pub(super) struct Keys(BTreeMap<i64, MonitorId>);

impl Keys {
    /// Puts the key of a group in the place of what it went by; `false`: the group is yet to be made.
    pub(super) fn settle(&self, columns: &mut Columns) -> bool {
        let Some(parent) = number(columns, "parent").filter(|parent| *parent < 0) else { return true };
        let Some(key) = self.0.get(&parent) else { return false };
        columns.insert("parent".to_owned(), Json::from(key.0));
        true
    }

    /// Of the item at this place; 0: it was not made.
    pub(super) fn of(&self, at: usize) -> MonitorId {
        self.0.get(&provisional(at).0).copied().unwrap_or(MonitorId(0))
    }
}

/// Makes them all, groups before what belongs to them; `new`: with the place of each in the request.
pub(super) async fn insert(
    session: &mut Session,
    catalog: &Catalog,
    new: &mut [(usize, NewRow)],
    user: Option<i64>,
) -> Result<Keys, StoreError> {
    let mut keys = Keys::default();
    let mut left: Vec<&mut (usize, NewRow)> = new.iter_mut().collect();
    while !left.is_empty() {
        let mut later = vec![];
        let (mut places, mut rows) = (vec![], vec![]);
        for one in left {
            if keys.settle(&mut one.1.columns) {
                places.push(one.0);
                rows.push(one.1.clone());
            } else {
                later.push(one);
            }
        }
        if rows.is_empty() {
            return Err(StoreError::Invalid("groups of the request belong to one another".to_owned()));
        }
        let made = rows::insert(session, catalog, &rows, user).await?;
        keys.0.extend(places.into_iter().map(|at| provisional(at).0).zip(made));
        left = later;
    }
    Ok(keys)
}
