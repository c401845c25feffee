//! `[routing]`: what becomes of what no route matches. Nothing is told to nobody unless somebody said so.

use komainu_notifiers::Kind;
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::routing::{Routing, is_told_unasked};
use serde::Deserialize;

use super::fault::Faults;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    unmatched: Option<Unmatched>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Unmatched {
    /// Nobody is told.
    Drop,
}

impl Section {
    /// Says whether what no route matches is dropped, knowingly.
    pub(super) fn resolve(&self, routing: &Routing, faults: &mut Faults) -> bool {
        if matches!(self.unmatched, Some(Unmatched::Drop)) {
            return true;
        }
        // A faulty route is told by itself.
        if !routing.has_catch_all() && !faults.concern("route") {
            let unheard = unheard(routing).unwrap_or_else(|| "kinds that later versions tell of".to_owned());
            let remedy = "add a [[route]] without match and active, whose channels hear of everything, or write unmatched = \"drop\"";
            faults.add("routing", "unmatched", format!("nobody would hear of {unheard}: {remedy}"));
        }
        false
    }
}

/// Of which kinds nobody would hear, for people; what bears a tag or names channels of its own aside.
pub(super) fn unheard(routing: &Routing) -> Option<String> {
    let kinds =
        || Kind::ALL.into_iter().filter(|kind| !kind.is_note()).map(Kind::as_str).filter(|kind| is_told_unasked(kind));
    let unheard = routing.unheard(kinds());
    let of = |severity: Severity| -> Vec<&str> {
        unheard.iter().filter(|(_, wanted)| *wanted == severity).map(|(kind, _)| *kind).collect()
    };
    let (critical, warning) = (of(Severity::Critical), of(Severity::Warning));
    let all = kinds().count();
    let shown = |kinds: &[&str]| if kinds.len() == all { "any kind".to_owned() } else { kinds.join(", ") };
    match (critical.is_empty(), warning.is_empty()) {
        (true, true) => None,
        _ if critical == warning => Some(shown(&critical)),
        (false, true) => Some(format!("{} when critical", shown(&critical))),
        (true, false) => Some(format!("{} as a warning", shown(&warning))),
        (false, false) => Some(format!("{} when critical, and of {} as a warning", shown(&critical), shown(&warning))),
    }
}
