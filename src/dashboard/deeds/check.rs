//! What is done to checks.

use axum::http::Method;
use serde_json::json;

use super::{Deed, Scene, Wish, encoded, one};
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    let check = scene.text("check")?;
    Ok(match verb {
        "pause" => Some(pause(check)),
        "resume" => Some(resume(check)),
        _ => None,
    })
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
