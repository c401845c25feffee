//! What is done to monitors.

use axum::http::Method;
use serde_json::json;

use super::{Deed, Kind, Scene, Want, Wish, one};
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    let monitor = Monitor::read(scene)?;
    Ok(match verb {
        "pause" => Some(monitor.pause()),
        "resume" => Some(monitor.resume()),
        "pin" => Some(monitor.pin()),
        "unpin" => Some(monitor.unpin()),
        "move" => Some(monitor.move_away(scene)),
        _ => None,
    })
}

struct Monitor {
    id: i64,
    name: String,
}

impl Monitor {
    fn read(scene: &Scene<'_>) -> Result<Self, String> {
        let id = scene.number("monitor")?;
        Ok(Self { id, name: scene.called.clone().unwrap_or_else(|| format!("monitor {id}")) })
    }

    fn deed(&self, name: &'static str, (method, path): (Method, &str)) -> Deed {
        let wish = Wish::of(method, &format!("/monitors/{}{path}", self.id));
        Deed { subject: vec![("monitor", self.id.to_string())], ..Deed::asking(name, Scope::Write, wish) }
    }

    fn activity(&self, name: &'static str, is_active: bool) -> Deed {
        let deed = self.deed(name, (Method::PATCH, ""));
        Deed { wish: deed.wish.with(json!({ "active": is_active })), ..deed }
    }

    fn pause(&self) -> Deed {
        let Self { name, .. } = self;
        Deed {
            title: format!("Pause {name}?"),
            button: "Pause",
            consequences: one("It is not looked at until somebody resumes it, and nobody is told of it."),
            done: format!("{name} is paused."),
            ..self.activity("monitor.pause", false)
        }
    }

    fn resume(&self) -> Deed {
        let Self { name, .. } = self;
        Deed {
            title: format!("Resume {name}?"),
            button: "Resume",
            consequences: one("It is looked at again, on the node that has it."),
            done: format!("{name} is looked at again."),
            ..self.activity("monitor.resume", true)
        }
    }

    fn pin(&self) -> Deed {
        let Self { name, .. } = self;
        Deed {
            title: format!("Pin {name}?"),
            button: "Pin",
            consequences: one("It stays where it runs: nothing but a hand moves it, also when its node is lost."),
            done: format!("{name} is pinned where it runs."),
            ..self.deed("monitor.pin", (Method::PUT, "/pin"))
        }
    }

    fn unpin(&self) -> Deed {
        let Self { name, .. } = self;
        Deed {
            title: format!("Unpin {name}?"),
            button: "Unpin",
            consequences: one("It is moved when its node is lost or drained, as others are."),
            done: format!("{name} is no longer pinned."),
            ..self.deed("monitor.unpin", (Method::DELETE, "/pin"))
        }
    }

    fn move_away(&self, scene: &Scene<'_>) -> Deed {
        let Self { name, .. } = self;
        let node = scene.typed("node");
        let deed = self.deed("monitor.move", (Method::POST, "/move"));
        Deed {
            title: format!("Move {name}?"),
            button: "Move",
            consequences: one(
                "That node becomes its home. It stops where it runs before it starts there, so it is never looked at twice.",
            ),
            done: format!("{name} moves to {node}."),
            wants: vec![Want {
                name: "node",
                label: "To which node",
                kind: Kind::Choice(scene.view.nodes.iter().map(|node| node.node_id.to_string()).collect()),
                value: node.clone(),
                is_needed: true,
            }],
            wish: deed.wish.with(json!({ "node_id": node })),
            ..deed
        }
    }
}
