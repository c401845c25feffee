//! What a caller is told when a hand's wish is refused: why, and the way out.

use crate::api::problem::{ApiError, FieldError};
use crate::store::hands::{MonitorFault, PinnedMonitor, Refusal, WhyNot};
use crate::store::nodes::Deletion;

/// Faults that a sentence names; `errors` lists all.
const NAMED: usize = 3;

pub(in crate::api) fn refused(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Observing => {
            let detail = "komainu only observes this cluster: `komainu adopt` lets monitors be moved";
            ApiError::Conflict { detail: detail.to_owned(), errors: Vec::new() }
        }
        Refusal::Frozen => {
            let detail = "the cluster is frozen: `komainu cluster thaw` first, or look with dry_run=true";
            ApiError::Conflict { detail: detail.to_owned(), errors: Vec::new() }
        }
        Refusal::Outdated => {
            let detail = "monitors are on the move just now, so the plan was outdated each time: try again";
            ApiError::Conflict { detail: detail.to_owned(), errors: Vec::new() }
        }
        Refusal::NoSuchNode(node) => {
            ApiError::field("node_id", format!("there is no node {node}; `komainu nodes list` shows them"))
        }
        Refusal::Draining(node) => {
            ApiError::conflict("node_id", format!("{node} is being drained; `komainu nodes resume {node}` ends that"))
        }
        Refusal::Impossible(faults) => impossible(&faults),
        Refusal::Pinned(pinned) => {
            let detail = format!(
                "{} pinned there ({}): move or unpin them, or take them along with \"move_pinned\": true \
                 (`komainu nodes drain … --move-pinned`)",
                monitors(pinned.len()),
                named(&pinned)
            );
            ApiError::Pinned { detail, pinned }
        }
    }
}

fn named(pinned: &[PinnedMonitor]) -> String {
    let named: Vec<String> = pinned.iter().take(NAMED).map(|one| format!("{} {}", one.id, one.name)).collect();
    named.join(", ") + if pinned.len() > NAMED { ", …" } else { "" }
}

fn impossible(faults: &[MonitorFault]) -> ApiError {
    let errors: Vec<FieldError> =
        faults.iter().map(|fault| FieldError::new(format!("monitor/{}", fault.monitor), why(&fault.why))).collect();
    let detail = match errors.as_slice() {
        [only] => format!("{}: {}", only.field, only.message),
        many => format!("{} monitors cannot be there; nothing was changed", many.len()),
    };
    ApiError::Conflict { detail, errors }
}

fn why(why: &WhyNot) -> String {
    match why {
        WhyNot::Unknown => "there is no such monitor".to_owned(),
        WhyNot::Kind { kind, node } => format!("{node} does not run monitors of type {kind}"),
        WhyNot::Labels { missing, node } => {
            format!("{node} lacks what the monitor's run_on asks for: {}", missing.join(", "))
        }
        WhyNot::Nowhere => "nobody runs it, nor has it a home; name a node".to_owned(),
    }
}

/// Why a node stays; `None`: it is gone.
pub(super) fn not_deleted(node: &str, deletion: Deletion) -> Option<ApiError> {
    let conflict = |detail: String| Some(ApiError::Conflict { detail, errors: Vec::new() });
    match deletion {
        Deletion::Deleted => None,
        Deletion::Unknown => Some(ApiError::not_found("node", node)),
        Deletion::Alive => {
            conflict(format!("{node} is alive: stop its process first, and empty it by `komainu nodes drain {node}`"))
        }
        Deletion::TakesTraffic => {
            conflict(format!("all traffic of people is pinned to {node}: `komainu routing unpin`"))
        }
        Deletion::Runs(count) => conflict(format!("{} at {node}: `komainu nodes drain {node} --wait`", counted(count))),
        Deletion::RunsPinned(count, pinned) => {
            let detail = format!(
                "{} at {node}, {} of them pinned ({}): move or unpin these, then `komainu nodes drain {node} --wait`; \
                 or take them along with `--move-pinned`",
                counted(count),
                pinned.len(),
                named(&pinned)
            );
            Some(ApiError::Pinned { detail, pinned })
        }
        Deletion::IsHome(count) => conflict(format!(
            "{} at home on {node}: `komainu nodes drain {node} --wait`, then `komainu nodes delete {node} --rehome` \
             (`?rehome=true`) leaves them where they run",
            counted(count)
        )),
        Deletion::HasPins(count) => conflict(format!("{} pinned to {node}: move or unpin them first", counted(count))),
    }
}

fn counted(count: u32) -> String {
    monitors(usize::try_from(count).unwrap_or(usize::MAX))
}

fn monitors(count: usize) -> String {
    if count == 1 { "1 monitor is".to_owned() } else { format!("{count} monitors are") }
}
