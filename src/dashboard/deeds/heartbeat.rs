//! What is done to heartbeats.

use axum::http::Method;
use serde_json::json;

use super::filled::Filled;
use super::{After, Choice, Deed, Scene, Want, Wish, encoded, one};
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    Ok(match verb {
        "add" => Some(add(scene)),
        "rotate" => Some(rotate(scene.text("heartbeat")?)),
        "pause" => Some(pause(scene.text("heartbeat")?)),
        "resume" => Some(resume(scene.text("heartbeat")?)),
        _ => None,
    })
}

fn add(scene: &Scene<'_>) -> Deed {
    let filled = Filled::of(scene)
        .texts(["name", "cron", "time_zone", "severity", "description"])
        .seconds(["period_s", "grace_s", "max_runtime_s"])
        .words(["tags", "channels"]);
    let (body, faults) = filled.finish();
    let severities = || Choice::plain(["critical", "warning"]);
    Deed {
        title: "Add a heartbeat?".to_owned(),
        button: "Add it",
        consequences: [
            one("A job that says nothing for longer than it may is an incident, and people are told. Until its first push it is waited for."),
            one("The next page shows its secret, this once, with programs to paste that send."),
        ]
        .concat(),
        wants: vec![
            Want::line("name", "Name", 100).hint("A-Z a-z 0-9 . _ -, for example backup").needed().typed(scene, ""),
            Want::line("period_s", "Due so long after its last push", 20)
                .hint("24h, 90s, 1h30m; or the times below")
                .typed(scene, if scene.form.field("cron").is_some() { "" } else { "24h" }),
            Want::line("cron", "Or due at these times, as in crontab", 200).hint("0 3 * * *: each night at three").typed(scene, ""),
            Want::line("time_zone", "Of these times", 60).hint("UTC, Europe/Berlin; UTC where nothing stands here").typed(scene, ""),
            Want::line("grace_s", "Late after", 20).hint("How long it may be overdue: 10m; a minute where nothing stands here").typed(scene, ""),
            Want::line("max_runtime_s", "A run takes at most", 20).hint("2h; for ever where nothing stands here").typed(scene, ""),
            Want::choice("severity", "How much it matters", severities()).typed(scene, "critical"),
            Want::line("tags", "Tags, with commas between them", 2_000).typed(scene, ""),
            Want::line("channels", "Channels of its own, with commas between them", 2_000)
                .hint("Where nothing stands here the routes decide who is told")
                .typed(scene, ""),
            Want::line("description", "For people", 4_000).typed(scene, ""),
        ],
        faults,
        done: "The heartbeat is made.".to_owned(),
        after: After::Programs,
        ..Deed::asking("heartbeat.add", Scope::Write, Wish::post("/heartbeats").with(body))
    }
}

fn rotate(heartbeat: &str) -> Deed {
    let wish = Wish::post(&format!("/heartbeats/{}/rotate", encoded(heartbeat))).with(json!({}));
    Deed {
        subject: vec![("heartbeat", heartbeat.to_owned())],
        title: format!("Draw a new secret for {heartbeat}?"),
        button: "Draw it",
        consequences: [
            one("The old secret stays good for 24 hours: within them the job has to learn the new one."),
            one("The next page shows it, this once, with programs to paste that send."),
        ]
        .concat(),
        done: format!("{heartbeat} has a new secret."),
        after: After::Programs,
        ..Deed::asking("heartbeat.rotate", Scope::Write, wish)
    }
}

fn pause(heartbeat: &str) -> Deed {
    Deed {
        title: format!("Pause {heartbeat}?"),
        button: "Pause",
        consequences: [
            one("It is never late until somebody resumes it, and nobody is told of it. Its open incident ends."),
            one("Its pushes are taken all the same."),
        ]
        .concat(),
        done: format!("{heartbeat} is paused."),
        ..switched("heartbeat.pause", heartbeat, true)
    }
}

fn resume(heartbeat: &str) -> Deed {
    Deed {
        title: format!("Resume {heartbeat}?"),
        button: "Resume",
        consequences: [
            one("It is waited for again: due by its schedule from now, whatever it missed."),
            one("If the last thing it said was that it failed, people are told."),
        ]
        .concat(),
        done: format!("{heartbeat} is waited for again."),
        ..switched("heartbeat.resume", heartbeat, false)
    }
}

fn switched(name: &'static str, heartbeat: &str, is_paused: bool) -> Deed {
    let path = format!("/heartbeats/{}", encoded(heartbeat));
    let wish = Wish::of(Method::PATCH, &path).with(json!({ "paused": is_paused }));
    Deed { subject: vec![("heartbeat", heartbeat.to_owned())], ..Deed::asking(name, Scope::Write, wish) }
}
