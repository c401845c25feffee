//! What is done to watchdogs.

use axum::http::Method;

use super::{Deed, Scene, Wish, encoded, one};
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    let watchdog = scene.text("watchdog")?;
    Ok(match verb {
        "remove" => Some(forget(watchdog)),
        _ => None,
    })
}

fn forget(watchdog: &str) -> Deed {
    let wish = Wish::of(Method::DELETE, &format!("/watchdogs/{}", encoded(watchdog)));
    Deed {
        subject: vec![("watchdog", watchdog.to_owned())],
        title: format!("Forget {watchdog}?"),
        button: "Forget",
        is_grave: true,
        consequences: one("It no longer counts as a voter. If its process starts again, it enters itself again."),
        done: format!("{watchdog} no longer counts as a voter."),
        ..Deed::asking("watchdog.remove", Scope::Admin, wish)
    }
}
