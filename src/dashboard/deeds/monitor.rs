//! What is done to monitors.

use axum::http::Method;
use serde_json::json;

use super::filled::Filled;
use super::{After, Choice, Deed, Scene, Want, Wish, more, one};
use crate::monitor::KINDS;
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    if verb == "add" {
        return Ok(Some(add(scene)));
    }
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

fn add(scene: &Scene<'_>) -> Deed {
    let filled = Filled::of(scene)
        .texts(["name", "type", "url", "hostname", "keyword", "node_id", "second_opinion"])
        .numbers(["port", "maxretries"])
        .seconds(["interval"])
        .words(["tags", "channels"]);
    let (body, faults) = filled.settings("more").finish();
    Deed {
        title: "Add a monitor?".to_owned(),
        button: "Add it",
        consequences: one("A node runs it within seconds; it is one of Kuma's monitors, and stands there too."),
        wants: wants(scene),
        faults,
        done: "The monitor is made.".to_owned(),
        after: After::There(|made| Some(format!("/watch/monitors/{}", made.get("id")?.as_i64()?))),
        ..Deed::asking("monitor.add", Scope::Write, Wish::post("/monitors").with(body))
    }
}

fn wants(scene: &Scene<'_>) -> Vec<Want> {
    let leader = || vec![Choice::new("", "the leader chooses")];
    let nodes = [leader(), Choice::plain(scene.view.nodes.iter().map(|node| &node.node_id))].concat();
    let opinions = vec![
        Choice::new("", "as its tags or the configuration say"),
        Choice::new("off", "off: they are not asked"),
        Choice::new("note", "note: what they see stands in the message"),
        Choice::new("require", "require: nobody is paged unless most of them see it too"),
    ];
    vec![
        Want::line("name", "Name", 150).needed().typed(scene, ""),
        Want::choice("type", "Type", Choice::plain(KINDS)).typed(scene, "http"),
        Want::line("url", "Address, of http, keyword, json-query and others that have one", 4_096)
            .hint("https://shop.example/")
            .typed(scene, ""),
        Want::line("hostname", "Host, of port, ping, dns and others", 255).typed(scene, ""),
        Want::line("port", "Port, of port, dns and others", 5).typed(scene, ""),
        Want::line("keyword", "What an answer must contain, of keyword", 255).typed(scene, ""),
        Want::line("interval", "Looked at every", 20).hint("60s, 5m").typed(scene, "60s"),
        Want::line("maxretries", "Tries before it counts as down", 4)
            .hint("0: the first failure counts")
            .typed(scene, "0"),
        Want::choice("node_id", "Home", nodes).typed(scene, ""),
        Want::choice("second_opinion", "Whether the watchdogs are asked before people are told", opinions)
            .typed(scene, ""),
        Want::line("tags", "Tags, with commas between them", 2_000).hint("Tags that Kuma has").typed(scene, ""),
        Want::line("channels", "Channels of its own, with commas between them", 2_000)
            .hint("Where nothing stands here the routes decide who is told")
            .typed(scene, ""),
        more(scene),
    ]
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
        let nodes = Choice::plain(scene.view.nodes.iter().map(|node| &node.node_id));
        let deed = self.deed("monitor.move", (Method::POST, "/move"));
        Deed {
            title: format!("Move {name}?"),
            button: "Move",
            consequences: one(
                "That node becomes its home. It stops where it runs before it starts there, so it is never looked at twice.",
            ),
            done: format!("{name} moves to {node}."),
            wants: vec![Want::choice("node", "To which node", nodes).also(&["node_id"]).needed().typed(scene, "")],
            wish: deed.wish.with(json!({ "node_id": node })),
            ..deed
        }
    }
}
