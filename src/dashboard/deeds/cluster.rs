//! What is done to the cluster as a whole.

use std::collections::BTreeMap;

use komainu_watchdogs::view::View;
use serde_json::Value;

use super::{Deed, Rehearsal, Scene, Wish, one};
use crate::dashboard::words::counted;
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Option<Deed> {
    match verb {
        "freeze" => Some(freeze()),
        "thaw" => Some(thaw(scene.view)),
        "rebalance" => Some(rebalance()),
        _ => None,
    }
}

fn freeze() -> Deed {
    Deed {
        title: "Freeze the cluster?".to_owned(),
        button: "Freeze",
        is_grave: true,
        consequences: [
            one("Nothing moves by itself until somebody thaws it: what a lost node ran is not watched meanwhile."),
            one("What you ask for by hand is done. /status is degraded."),
        ]
        .concat(),
        done: "Frozen: nothing moves by itself.".to_owned(),
        ..Deed::asking("cluster.freeze", Scope::Admin, Wish::post("/cluster/freeze"))
    }
}

fn thaw(view: &View) -> Deed {
    Deed {
        title: "Thaw the cluster?".to_owned(),
        button: "Thaw",
        consequences: [one("Automation acts again, at once."), waiting(view)].concat(),
        done: "Thawed: automation acts again.".to_owned(),
        ..Deed::asking("cluster.thaw", Scope::Admin, Wish::post("/cluster/thaw"))
    }
}

fn rebalance() -> Deed {
    Deed {
        title: "Spread the monitors evenly?".to_owned(),
        button: "Rebalance",
        consequences: one("Monitors that are pinned, or asked for elsewhere, stay where they are."),
        rehearsal: Some(Rehearsal { wish: Wish::post("/cluster/rebalance?dry_run=true"), told: planned }),
        done: "Monitors are being spread evenly.".to_owned(),
        ..Deed::asking("cluster.rebalance", Scope::Admin, Wish::post("/cluster/rebalance"))
    }
}

/// What automation does as soon as it may.
fn waiting(view: &View) -> Vec<String> {
    let moves: u32 = view.would_move.iter().map(|would| would.monitors).sum();
    if moves == 0 { vec![] } else { vec![format!("{} will be moved then.", counted(moves.into(), "monitor"))] }
}

/// How many monitors a plan moves between which nodes; `None`: it could not be read.
fn planned(body: &Value) -> Option<Vec<String>> {
    let moves = body.get("moves")?.as_array()?;
    if moves.is_empty() {
        return Some(one("Nothing would move: they are spread evenly."));
    }
    let name = |item: &Value, field: &str| item.get(field).and_then(Value::as_str).unwrap_or("nobody").to_owned();
    let mut counts = BTreeMap::<(String, String), u64>::new();
    for item in moves {
        *counts.entry((name(item, "from"), name(item, "to"))).or_default() += 1;
    }
    let line = |((from, to), count)| format!("{} from {from} to {to}.", counted(count, "monitor"));
    Some(counts.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_told_by_nodes_and_one_that_was_not_read_is_no_empty_one() {
        let shift =
            |from: &str| json!({"monitor_id": 1, "name": "shop", "from": from, "to": "node3", "reason": "rebalance"});
        let plan = json!({"dry_run": true, "moves": [shift("node1"), shift("node1"), shift("node2")]});
        let lines = ["2 monitors from node1 to node3.", "1 monitor from node2 to node3."].map(str::to_owned);
        assert_eq!(planned(&plan), Some(lines.to_vec()));
        let even = "Nothing would move: they are spread evenly.".to_owned();
        assert_eq!(planned(&json!({"moves": []})), Some(vec![even]));
        assert_eq!(planned(&Value::Null), None);
    }
}
