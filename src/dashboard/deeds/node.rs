//! What is done to nodes.

use komainu_watchdogs::view::View;

use super::{Deed, Scene, Wish, encoded, one};
use crate::dashboard::words::counted;
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    let node = scene.text("node")?;
    Ok(match verb {
        "drain" => Some(drain(scene.view, node)),
        "resume" => Some(resume(node)),
        "recover" => Some(recover(node)),
        _ => None,
    })
}

fn drain(view: &View, node: &str) -> Deed {
    Deed {
        title: format!("Drain {node}?"),
        button: "Drain",
        is_grave: true,
        consequences: drained(view, node),
        done: format!("{node} gives its monitors away now."),
        ..of("node.drain", node, "drain")
    }
}

fn resume(node: &str) -> Deed {
    Deed {
        title: format!("Resume {node}?"),
        button: "Resume",
        consequences: one("It takes monitors again, and those whose home it is come back."),
        done: format!("{node} takes monitors again."),
        ..of("node.resume", node, "resume")
    }
}

fn recover(node: &str) -> Deed {
    Deed {
        title: format!("Bring the monitors of {node} home now?"),
        button: "Recover",
        consequences: one(
            "Its monitors come home without waiting for the time that a node is watched after it was lost.",
        ),
        done: format!("The monitors of {node} come home now."),
        ..of("node.recover", node, "recover")
    }
}

fn of(name: &'static str, node: &str, act: &str) -> Deed {
    let wish = Wish::post(&format!("/nodes/{}/{act}", encoded(node)));
    Deed { subject: vec![("node", node.to_owned())], ..Deed::asking(name, Scope::Admin, wish) }
}

/// What a drain takes along.
fn drained(view: &View, node: &str) -> Vec<String> {
    let found = view.nodes.iter().find(|row| row.node_id.as_str() == node);
    let monitors = found.map_or(0, |row| row.monitors);
    let others = view.nodes.iter().filter(|row| row.node_id.as_str() != node);
    let room: u32 = others.map(|row| row.capacity.saturating_sub(row.monitors)).sum();
    let mut words = vec![
        format!(
            "{} move to other nodes, one after the other; each stops here before it starts there.",
            counted(monitors.into(), "monitor")
        ),
        format!("{node} gets none until somebody resumes it, also when others are lost."),
    ];
    if room < monitors {
        words.push(format!("The others have room for {room} only."));
    }
    words
}
