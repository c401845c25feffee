//! What is done to checks.

use axum::http::Method;
use serde_json::json;

use super::filled::Filled;
use super::{After, Choice, Deed, Scene, Want, Wish, encoded, more, one};
use crate::check::KINDS;
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    Ok(match verb {
        "add" => Some(add(scene)),
        "pause" => Some(pause(scene.text("check")?)),
        "resume" => Some(resume(scene.text("check")?)),
        _ => None,
    })
}

fn add(scene: &Scene<'_>) -> Deed {
    let filled = Filled::of(scene)
        .texts(["name", "type", "url", "hostname", "keyword", "severity"])
        .numbers(["port"])
        .seconds(["interval", "timeout"])
        .words(["zones", "tags", "channels"]);
    // A word or a number.
    let (body, faults) = filled.numbers(["quorum"]).settings("more").finish();
    Deed {
        title: "Add a check?".to_owned(),
        button: "Add it",
        consequences: one(
            "Every watchdog looks at it from now on; what a majority of them cannot reach is an incident, and people are told.",
        ),
        wants: vec![
            Want::line("name", "Name", 100).hint("A-Z a-z 0-9 . _ -, for example front-door").needed().typed(scene, ""),
            Want::choice("type", "Type", Choice::plain(KINDS)).typed(scene, "http"),
            Want::line("url", "Address, of http, keyword and json-query", 4_096)
                .hint("https://shop.example/")
                .typed(scene, ""),
            Want::line("hostname", "Host, of port, ping and dns", 255).typed(scene, ""),
            Want::line("port", "Port, of port and dns", 5).typed(scene, ""),
            Want::line("keyword", "What an answer must contain, of keyword", 255).typed(scene, ""),
            Want::line("interval", "Looked at every", 20).hint("60s, 5m").typed(scene, "60s"),
            Want::line("timeout", "One look takes at most", 20)
                .hint("10s; four fifths of the interval where nothing stands here")
                .typed(scene, ""),
            Want::line("quorum", "How many watchdogs must agree", 20)
                .hint("majority, all, any, or a number")
                .typed(scene, "majority"),
            Want::line("zones", "Only watchdogs in these zones, with commas between them", 2_000).typed(scene, ""),
            Want::choice("severity", "How much it matters", Choice::plain(["critical", "warning"]))
                .typed(scene, "critical"),
            Want::line("tags", "Tags, with commas between them", 2_000).typed(scene, ""),
            Want::line("channels", "Channels of its own, with commas between them", 2_000)
                .hint("Where nothing stands here the routes decide who is told")
                .typed(scene, ""),
            more(scene),
        ],
        faults,
        done: "The check is made.".to_owned(),
        after: After::There(|made| Some(format!("/watch/checks/{}", encoded(made.get("name")?.as_str()?)))),
        ..Deed::asking("check.add", Scope::Write, Wish::post("/checks").with(body))
    }
}

fn pause(check: &str) -> Deed {
    Deed {
        title: format!("Pause {check}?"),
        button: "Pause",
        consequences: one("No watchdog looks at it until somebody resumes it, and nobody is told of it."),
        done: format!("{check} is paused."),
        ..of("check.pause", check, true)
    }
}

fn resume(check: &str) -> Deed {
    Deed {
        title: format!("Resume {check}?"),
        button: "Resume",
        consequences: one("Every watchdog looks at it again."),
        done: format!("{check} is looked at again."),
        ..of("check.resume", check, false)
    }
}

fn of(name: &'static str, check: &str, is_paused: bool) -> Deed {
    let wish = Wish::of(Method::PATCH, &format!("/checks/{}", encoded(check))).with(json!({ "paused": is_paused }));
    Deed { subject: vec![("check", check.to_owned())], ..Deed::asking(name, Scope::Write, wish) }
}
