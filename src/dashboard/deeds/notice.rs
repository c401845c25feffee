//! What is done to what people wrote on public pages: incidents and maintenances.

use axum::http::Method;
use serde_json::Value;

use super::filled::Filled;
use super::{After, Choice, Deed, Scene, Want, Wish, encoded, one, page};
use crate::dashboard::form::Form;
use crate::store::apikeys::Scope;

/// As it is sent, and in words.
pub(super) type Words = &'static [(&'static str, &'static str)];

pub(super) const IMPACTS: Words = &[
    ("none", "none: nothing fails"),
    ("minor", "minor: something is slow"),
    ("major", "major: something fails for some"),
    ("critical", "critical: something fails for all"),
];

pub(super) const INCIDENT_STAGES: Words = &[
    ("investigating", "investigating: somebody looks into it"),
    ("identified", "identified: the cause is known"),
    ("monitoring", "monitoring: it is repaired, and watched"),
    ("resolved", "resolved: it is over"),
];

const MAINTENANCE_STAGES: Words = &[
    ("scheduled", "scheduled: it is to come"),
    ("in_progress", "in progress: somebody works on it"),
    ("verifying", "verifying: the work is done, and looked at"),
    ("completed", "completed: it is over"),
];

/// What it is: below its page in the API, in words, and how far it can come.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    path: &'static str,
    stages: Words,
}

const INCIDENT: Kind = Kind { name: "incident", path: "incidents", stages: INCIDENT_STAGES };
const MAINTENANCE: Kind = Kind { name: "maintenance", path: "maintenances", stages: MAINTENANCE_STAGES };

impl Kind {
    fn of(form: &Form) -> Self {
        if form.field("kind") == Some(MAINTENANCE.name) { MAINTENANCE } else { INCIDENT }
    }
}

/// Where the API has it.
pub(super) fn path(page: &str, form: &Form, id: &str) -> String {
    format!("/api/v1{}", below(page, Kind::of(form), id))
}

fn below(page: &str, kind: Kind, id: &str) -> String {
    format!("/pages/{}/{}/{}", encoded(page), kind.path, encoded(id))
}

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    let notice = Notice::read(scene)?;
    Ok(match verb {
        "say" => Some(notice.say(scene)),
        "remove" => Some(notice.remove()),
        _ => None,
    })
}

struct Notice<'a> {
    page: &'a str,
    kind: Kind,
    id: &'a str,
    title: String,
    status: String,
}

impl<'a> Notice<'a> {
    fn read(scene: &'a Scene<'a>) -> Result<Self, String> {
        let (page, id) = (scene.text("page")?, scene.text("notice")?);
        let kind = Kind::of(scene.form);
        let text = |field: &str| scene.read.get("notice").and_then(|notice| notice.get(field)).and_then(Value::as_str);
        let title = text("title").map_or_else(|| format!("this {}", kind.name), |title| format!("“{title}”"));
        Ok(Self { page, kind, id, title, status: text("status").unwrap_or_default().to_owned() })
    }

    fn deed(&self, name: &'static str, wish: Wish) -> Deed {
        let Self { page, kind, id, .. } = *self;
        Deed {
            subject: vec![("page", page.to_owned()), ("kind", kind.name.to_owned()), ("notice", id.to_owned())],
            after: After::Page(page::place(page)),
            ..Deed::asking(name, Scope::Write, wish)
        }
    }

    fn say(&self, scene: &Scene<'_>) -> Deed {
        let Self { title, page, kind, id, status } = self;
        let (body, faults) = Filled::of(scene).texts(["status", "text"]).finish();
        let wish = Wish::post(&format!("{}/updates", below(page, *kind, id))).with(body);
        Deed {
            title: format!("Say something of {title}?"),
            button: "Publish it",
            consequences: one("Everybody can read it at once, on the page and in its feeds, and subscribers are told."),
            wants: vec![
                Want::choice("status", "How far it has come", Choice::named(kind.stages)).typed(scene, status),
                Want::lines("text", "What is said", 5_000).needed().typed(scene, ""),
            ],
            faults,
            done: "It is said.".to_owned(),
            ..self.deed("notice.say", wish)
        }
    }

    fn remove(&self) -> Deed {
        let Self { title, page, kind, id, .. } = self;
        Deed {
            title: format!("Take {title} away?"),
            button: "Take it away",
            is_grave: true,
            consequences: one(
                "It is gone from the page and its history, with all that was said of it. What is over is better said to be resolved.",
            ),
            done: "It is taken away.".to_owned(),
            ..self.deed("notice.remove", Wish::of(Method::DELETE, &below(page, *kind, id)))
        }
    }
}
