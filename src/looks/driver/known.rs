//! What the loop goes by: the tables as they were read last, by this process or by one before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use komainu_watchdogs::check::{CheckName, Input, Known};
use komainu_watchdogs::facts::IncidentRow;
use komainu_watchdogs::ids::WatchdogId;

use super::Driver;
use crate::state_dir::StateDir;
use crate::store::checks::Check;

/// What an earlier process left: the checks, how they were, and where peers answer.
#[derive(Debug, Default)]
pub struct LastKnown {
    members: BTreeMap<WatchdogId, String>,
    clock_ahead_ms: i64,
    checks: Vec<Arc<Check>>,
    verdicts: Vec<Known>,
    open: Vec<IncidentRow>,
}

impl LastKnown {
    /// From the disk.
    pub async fn read(state: &StateDir) -> Self {
        let known = state.known().await;
        let (verdicts, open) = state.verdicts().await;
        let checks = state.checks().await;
        Self { members: known.members, clock_ahead_ms: known.clock_ahead_ms, checks, verdicts, open }
    }
}

impl Driver {
    /// Until the tables can be read what was known last stands.
    pub(in crate::looks) fn go_by(&mut self, known: LastKnown) {
        let LastKnown { members, clock_ahead_ms, checks, verdicts, open } = known;
        (self.members, self.clock_ahead_ms) = (members, clock_ahead_ms);
        if checks.is_empty() {
            return;
        }
        tracing::debug!(checks = checks.len(), "going by the checks as they were known last");
        self.define(checks);
        self.handle(Input::Stored(verdicts));
        self.shared.tables().open = Arc::new(open);
    }

    pub(super) fn clock_ahead_ms(&self) -> i64 {
        let contact = self.contact.borrow();
        if contact.members.is_empty() { self.clock_ahead_ms } else { contact.clock_ahead_ms }
    }

    /// Registered watchdogs, and where they answer.
    pub(super) fn members(&self) -> BTreeMap<WatchdogId, String> {
        let contact = self.contact.borrow();
        if contact.members.is_empty() { self.members.clone() } else { contact.members.clone() }
    }

    pub(super) fn define(&mut self, checks: Vec<Arc<Check>>) {
        let spec = |check: Arc<Check>| {
            let name = CheckName::from(check.definition.name.as_str());
            let known = self.checks.get(&name).filter(|(known, _)| known.revision == check.revision);
            let spec = known.map_or_else(|| Arc::new(check.definition.spec()), |(_, spec)| Arc::clone(spec));
            (name, (check, spec))
        };
        self.checks = checks.into_iter().map(spec).collect();
        let checks = &self.checks;
        self.under_way.retain(|name, look| {
            let is_there = checks.contains_key(name);
            if !is_there {
                look.abort();
            }
            is_there
        });
        self.shared.tables().checks =
            self.checks.iter().map(|(name, (check, _))| (name.clone(), Arc::clone(check))).collect();
        let definitions = self.checks.values().map(|(check, _)| check.definition.judged()).collect();
        self.handle(Input::Defined(definitions));
    }

    /// What was read is for those who tell people while nothing can be read, and for the next process.
    pub(super) fn note_tables(&self, input: &Input) {
        match input {
            Input::Incidents(open) => {
                // When one was seen bad last is of no use to anybody later, and changes all the time.
                let lasting = |row: &IncidentRow| IncidentRow { last_bad_at: row.opened_at, ..row.clone() };
                let open = Arc::new(open.iter().map(lasting).collect::<Vec<_>>());
                self.shared.tables().open = Arc::clone(&open);
                self.kept.send_if_modified(|kept| std::mem::replace(&mut kept.open, Arc::clone(&open)) != open);
            }
            Input::Stored(known) => self.kept.send_modify(|kept| kept.verdicts = Arc::new(known.clone())),
            Input::Defined(_)
            | Input::Members(_)
            | Input::Looked { .. }
            | Input::Heard(_)
            | Input::Asked { .. }
            | Input::Canary { .. }
            | Input::Told { .. }
            | Input::Tick => {}
        }
    }
}
