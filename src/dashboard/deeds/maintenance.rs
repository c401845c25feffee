//! What is done to maintenance windows.

use axum::http::Method;

use super::filled::Filled;
use super::{Deed, Scene, Want, Wish, encoded, one};
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    Ok(match verb {
        "add" => Some(add(scene)),
        "end" => Some(end(scene)?),
        "remove" => Some(remove(scene)?),
        _ => None,
    })
}

fn add(scene: &Scene<'_>) -> Deed {
    let filled = Filled::of(scene)
        .texts(["name", "title", "cron", "public_title", "public_text"])
        .lines("subjects")
        .moments("zone", ["starts_at", "ends_at"])
        .seconds(["lasts_s"]);
    let comes_again = scene.form.field("cron").is_some();
    let zone = scene.form.field("zone").unwrap_or("UTC");
    let filled = if comes_again { filled.with("time_zone", zone) } else { filled };
    let (body, faults) = filled.finish();
    Deed {
        title: "Plan a maintenance?".to_owned(),
        button: "Plan it",
        consequences: one(
            "While it is on, what is wrong with what it names is not told; it is looked at, counted and shown as ever. What is still wrong at \
             its end is told then.",
        ),
        wants: vec![
            Want::line("name", "What it is called", 60).hint("A word: disks-2027").needed().typed(scene, ""),
            Want::line("title", "What is done", 200).needed().typed(scene, ""),
            Want::lines("subjects", "On what, one a line; any of them is enough", 20_000)
                .hint("monitor/7, check/shop, heartbeat/backup, node/node1, tag/shop")
                .needed()
                .typed(scene, ""),
            Want::line("zone", "In this time zone", 60)
                .hint("UTC, Europe/Berlin")
                .also(&["time_zone"])
                .typed(scene, "UTC"),
            Want::moment("starts_at", "From when; now where nothing stands here").typed(scene, ""),
            Want::moment("ends_at", "Until when; of one that comes again the end of all")
                .also(&["duration_s"])
                .typed(scene, ""),
            Want::line("cron", "It begins again at these times, as in crontab", 200)
                .hint("0 2 * * 0: each Sunday at two; once where nothing stands here")
                .typed(scene, ""),
            Want::line("lasts_s", "So long each time", 20).hint("2h, 30m").typed(scene, ""),
            Want::line("public_title", "What public pages say that show any of it", 200)
                .hint("Nothing where nothing stands here")
                .typed(scene, ""),
            Want::lines("public_text", "And in more words", 5_000).typed(scene, ""),
        ],
        faults,
        done: "It is planned.".to_owned(),
        ..Deed::asking("maintenance.add", Scope::Write, Wish::post("/maintenances").with(body))
    }
}

fn end(scene: &Scene<'_>) -> Result<Deed, String> {
    let name = scene.text("maintenance")?;
    Ok(Deed {
        subject: vec![("maintenance", name.to_owned())],
        title: format!("Is the maintenance {name} over?"),
        button: "End it",
        consequences: one(
            "What it holds and is still wrong is told within some five seconds. One that comes again does so.",
        ),
        done: "It is over.".to_owned(),
        ..Deed::asking("maintenance.end", Scope::Write, Wish::post(&format!("/maintenances/{}/end", encoded(name))))
    })
}

fn remove(scene: &Scene<'_>) -> Result<Deed, String> {
    let name = scene.text("maintenance")?;
    let wish = Wish::of(Method::DELETE, &format!("/maintenances/{}", encoded(name)));
    Ok(Deed {
        subject: vec![("maintenance", name.to_owned())],
        title: format!("Delete the maintenance {name}?"),
        button: "Delete it",
        is_grave: true,
        consequences: one(
            "It does not come again, and what it holds and is still wrong is told within some five seconds.",
        ),
        done: "It is deleted.".to_owned(),
        ..Deed::asking("maintenance.remove", Scope::Write, wish)
    })
}
