//! What is to be done so that what is there becomes what the file says. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::diff::{Change, diff};
use super::document::{Document, Entry};
use super::{FileFault, dependencies};

/// How a group is named that has no id yet.
pub(super) const PARENT_REF: &str = "parent_ref";

/// What is there, as the API shows it.
#[derive(Debug, Default)]
pub(super) struct There {
    pub(super) monitors: Vec<Value>,
    pub(super) heartbeats: Vec<Value>,
    pub(super) checks: Vec<Value>,
    pub(super) pages: Vec<Value>,
    pub(super) dependencies: Vec<Value>,
    pub(super) maintenances: Vec<Value>,
    pub(super) nodes: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Node,
    Monitor,
    Heartbeat,
    Check,
    Page,
    Dependency,
    Maintenance,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Act {
    Create,
    Change,
    /// Nothing differs but what only the watchdog can compare: passwords.
    Compare,
    /// Of what bore this id: it is in the set and no more in the file.
    Delete {
        id: Option<i64>,
    },
}

/// One thing to do.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) act: Act,
    pub(super) changes: Vec<Change>,
    pub(super) secrets: Vec<String>,
    /// What is sent.
    pub(super) fields: Map<String, Value>,
    pub(super) entry: Option<Entry>,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Monitor => "monitor",
            Self::Heartbeat => "heartbeat",
            Self::Check => "check",
            Self::Page => "page",
            Self::Dependency => "dependency",
            Self::Maintenance => "maintenance",
        }
    }

    /// Its section of a file, and its place in the API.
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::Node => "nodes",
            Self::Monitor => "monitors",
            Self::Heartbeat => "heartbeats",
            Self::Check => "checks",
            Self::Page => "pages",
            Self::Dependency => "dependencies",
            Self::Maintenance => "maintenances",
        }
    }

    /// Written by one request for all of them.
    pub(super) fn is_written_together(self) -> bool {
        match self {
            Self::Monitor | Self::Check | Self::Dependency => true,
            Self::Node | Self::Heartbeat | Self::Page | Self::Maintenance => false,
        }
    }

    /// The field that bears its name.
    fn key(self) -> &'static str {
        match self {
            Self::Node => "node_id",
            Self::Monitor => "ref",
            Self::Heartbeat | Self::Check | Self::Maintenance => "name",
            Self::Page => "slug",
            Self::Dependency => "subject",
        }
    }
}

/// Nodes first, so that labels are there before monitors ask for them; deletions last.
pub(super) fn plan(document: &Document, there: &There, prune: bool) -> Result<Vec<Step>, Vec<FileFault>> {
    let mut planning = Planning { manager: document.manager(), steps: vec![], faults: vec![] };
    planning.nodes(document.nodes.as_deref().unwrap_or_default(), &there.nodes);
    planning.monitors(document.monitors.as_deref().unwrap_or_default(), &there.monitors);
    planning.managed(Kind::Heartbeat, document.heartbeats.as_deref().unwrap_or_default(), &there.heartbeats);
    planning.managed(Kind::Check, document.checks.as_deref().unwrap_or_default(), &there.checks);
    planning.managed(Kind::Page, document.pages.as_deref().unwrap_or_default(), &there.pages);
    planning.dependencies(document.dependencies.as_deref().unwrap_or_default(), there);
    planning.maintenances(document.maintenances.as_deref().unwrap_or_default(), there);
    if prune {
        planning.prune(Kind::Monitor, document.monitors.as_deref(), &there.monitors);
        planning.prune(Kind::Heartbeat, document.heartbeats.as_deref(), &there.heartbeats);
        planning.prune(Kind::Check, document.checks.as_deref(), &there.checks);
        planning.prune(Kind::Page, document.pages.as_deref(), &there.pages);
        planning.prune(Kind::Maintenance, document.maintenances.as_deref(), &there.maintenances);
    }
    if planning.faults.is_empty() { Ok(planning.steps) } else { Err(planning.faults) }
}

struct Planning {
    manager: Option<String>,
    steps: Vec<Step>,
    faults: Vec<FileFault>,
}

impl Planning {
    fn nodes(&mut self, wanted: &[Entry], there: &[Value]) {
        let known = by_key(Kind::Node, there);
        for entry in wanted {
            match known.get(entry.name.as_str()) {
                Some(found) => self.step(Kind::Node, entry, entry.fields.clone(), Some(found)),
                None => self.faults.push(FileFault::new(
                    entry.line,
                    format!("nodes.{}", entry.name),
                    format!("there is no such node; `komainu nodes add {}` enters it", entry.name),
                )),
            }
        }
    }

    fn monitors(&mut self, wanted: &[Entry], there: &[Value]) {
        let ids: BTreeMap<&str, &Value> =
            by_key(Kind::Monitor, there).into_iter().filter_map(|(name, one)| Some((name, one.get("id")?))).collect();
        let groups: BTreeSet<&str> = wanted
            .iter()
            .filter(|entry| entry.fields.get("type").and_then(Value::as_str) == Some("group"))
            .map(|entry| entry.name.as_str())
            .collect();
        let mut resolved = wanted.to_vec();
        let mut parents = BTreeMap::new();
        for entry in &mut resolved {
            // A text is a ref; a number is the id of a group that somebody else made.
            let Some(parent) = entry.fields.get("parent").and_then(Value::as_str).map(str::to_owned) else { continue };
            if let Some(id) = ids.get(parent.as_str()) {
                entry.fields.insert("parent".to_owned(), (*id).clone());
            } else if groups.contains(parent.as_str()) {
                entry.fields.remove("parent");
                parents.insert(entry.name.clone(), parent);
            } else {
                let field = format!("monitors.{}.parent", entry.name);
                let words = format!("there is no group with the ref {parent}, neither in the file nor in the cluster");
                self.faults.push(FileFault::new(entry.line_of("parent"), field, words));
            }
        }
        let first = self.steps.len();
        self.managed(Kind::Monitor, &resolved, there);
        for (name, parent) in parents {
            self.below(first, &name, parent, wanted);
        }
    }

    /// A monitor whose group is made in the same run: it names it by its ref, which is known before its id.
    fn below(&mut self, first: usize, name: &str, parent: String, wanted: &[Entry]) {
        let change = Change { field: "parent".to_owned(), before: Value::Null, after: Value::from(parent.clone()) };
        let steps = self.steps.iter_mut().skip(first);
        if let Some(step) = steps.into_iter().find(|step| step.name == name) {
            step.changes.push(change);
            step.act = if step.act == Act::Create { Act::Create } else { Act::Change };
            step.fields.insert(PARENT_REF.to_owned(), parent.into());
        } else if let Some(entry) = wanted.iter().find(|entry| entry.name == name) {
            let fields = [("ref", Value::from(name)), (PARENT_REF, Value::from(parent))];
            let fields = Map::from_iter(fields.map(|(field, value)| (field.to_owned(), value)));
            self.steps.push(Step {
                kind: Kind::Monitor,
                name: name.to_owned(),
                act: Act::Change,
                changes: vec![change],
                secrets: vec![],
                fields,
                entry: Some(entry.clone()),
            });
        }
    }

    fn managed(&mut self, kind: Kind, wanted: &[Entry], there: &[Value]) {
        let known = by_key(kind, there);
        for entry in wanted {
            let found = known.get(entry.name.as_str()).copied();
            let mut fields = entry.fields.clone();
            if let Some(manager) = self.manager.clone() {
                let other = found.and_then(manager_of).filter(|other| *other != manager);
                if let Some(other) = other {
                    let path = format!("{}.{}", kind.section(), entry.name);
                    self.faults.push(FileFault::new(
                        entry.line,
                        path,
                        format!("belongs to {other}; one set says what it is"),
                    ));
                    continue;
                }
                fields.insert("managed_by".to_owned(), manager.into());
            }
            self.step(kind, entry, fields, found);
        }
    }

    /// After everything that they may name. What depends on nothing, and did on nothing, needs no step.
    fn dependencies(&mut self, wanted: &[Entry], there: &There) {
        let (known, ids) = (by_key(Kind::Dependency, &there.dependencies), dependencies::ids(&there.monitors));
        for entry in wanted {
            let said = entry.fields.get("depends_on").cloned().unwrap_or_else(|| json!([]));
            let after = dependencies::all_shown(&said, &ids);
            let found = known.get(dependencies::shown(&entry.name, &ids).as_str()).copied();
            let before = found.and_then(|found| found.get("depends_on")).cloned().unwrap_or_else(|| json!([]));
            let fields = Map::from_iter([("depends_on".to_owned(), after)]);
            let changes = diff(&fields, &json!({ "depends_on": before })).changes;
            if changes.is_empty() {
                continue;
            }
            self.steps.push(Step {
                kind: Kind::Dependency,
                name: entry.name.clone(),
                act: if found.is_some() { Act::Change } else { Act::Create },
                changes,
                secrets: vec![],
                fields: Map::from_iter([("depends_on".to_owned(), said)]),
                entry: Some(entry.clone()),
            });
        }
    }

    /// Compared by the ids of monitors that the file names by their refs.
    fn maintenances(&mut self, wanted: &[Entry], there: &There) {
        let ids = dependencies::ids(&there.monitors);
        let mut wanted = wanted.to_vec();
        for subjects in wanted.iter_mut().filter_map(|entry| entry.fields.get_mut("subjects")) {
            *subjects = dependencies::all_shown(subjects, &ids);
        }
        self.managed(Kind::Maintenance, &wanted, &there.maintenances);
    }

    fn step(&mut self, kind: Kind, entry: &Entry, fields: Map<String, Value>, found: Option<&Value>) {
        let found_or_nothing = found.cloned().unwrap_or_else(|| json!({}));
        let difference = diff(&fields, &found_or_nothing);
        let act = match found {
            None => Act::Create,
            Some(_) if !difference.changes.is_empty() => Act::Change,
            Some(_) if !difference.secrets.is_empty() => Act::Compare,
            Some(_) => return,
        };
        let mut fields = fields;
        if kind.is_written_together() || act == Act::Create {
            fields.insert(kind.key().to_owned(), entry.name.clone().into());
        }
        self.steps.push(Step {
            kind,
            name: entry.name.clone(),
            act,
            changes: difference.changes,
            secrets: difference.secrets,
            fields,
            entry: Some(entry.clone()),
        });
    }

    /// Only of this set, and only where the file has the section.
    fn prune(&mut self, kind: Kind, wanted: Option<&[Entry]>, there: &[Value]) {
        let (Some(wanted), Some(manager)) = (wanted, &self.manager) else { return };
        let kept: BTreeSet<&str> = wanted.iter().map(|entry| entry.name.as_str()).collect();
        for one in there.iter().filter(|one| manager_of(one) == Some(manager)) {
            let name = one.get(kind.key()).and_then(Value::as_str).unwrap_or_default();
            if kept.contains(name) {
                continue;
            }
            self.steps.push(Step {
                kind,
                name: name.to_owned(),
                act: Act::Delete { id: one.get("id").and_then(Value::as_i64) },
                changes: vec![],
                secrets: vec![],
                fields: Map::new(),
                entry: None,
            });
        }
    }
}

fn by_key(kind: Kind, there: &[Value]) -> BTreeMap<&str, &Value> {
    there.iter().filter_map(|one| Some((one.get(kind.key())?.as_str()?, one))).collect()
}

fn manager_of(one: &Value) -> Option<&str> {
    one.get("managed_by").and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
