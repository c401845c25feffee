//! What is done to incidents.

use serde_json::json;

use super::{Deed, Kind, Scene, Want, Wish, one};
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    let incident = Incident::read(scene)?;
    Ok(match verb {
        "ack" => Some(incident.acknowledge()),
        "resolve" => Some(incident.resolve(scene)),
        _ => None,
    })
}

struct Incident {
    id: i64,
    key: String,
}

impl Incident {
    fn read(scene: &Scene<'_>) -> Result<Self, String> {
        let id = scene.number("incident")?;
        Ok(Self { id, key: scene.called.clone().unwrap_or_else(|| format!("incident {id}")) })
    }

    fn subject(&self) -> Vec<(&'static str, String)> {
        vec![("incident", self.id.to_string())]
    }

    fn acknowledge(&self) -> Deed {
        let Self { id, key } = self;
        let wish = Wish::post(&format!("/incidents/{id}/ack"));
        Deed {
            subject: self.subject(),
            title: format!("Acknowledge {key}?"),
            button: "Acknowledge",
            consequences: one(
                "It stays open and shown; nobody is reminded of it. Everybody sees that you take care of it.",
            ),
            done: format!("{key} is acknowledged: nobody is reminded of it."),
            ..Deed::asking("incident.ack", Scope::Write, wish)
        }
    }

    fn resolve(&self, scene: &Scene<'_>) -> Deed {
        let Self { id, key } = self;
        let why = scene.typed("why");
        let wish = Wish::post(&format!("/incidents/{id}/resolve")).with(json!({ "why": why }));
        Deed {
            subject: self.subject(),
            title: format!("Resolve {key}?"),
            button: "Resolve",
            consequences: one(
                "Its end is told wherever its beginning was. Where what is wrong still is, the next look opens it anew.",
            ),
            wants: vec![Want {
                name: "why",
                label: "Why it is over, for whoever is told and for the audit trail",
                kind: Kind::Line(1_000),
                value: why,
                is_needed: true,
            }],
            done: format!("{key} is resolved, and told so."),
            ..Deed::asking("incident.resolve", Scope::Write, wish)
        }
    }
}
