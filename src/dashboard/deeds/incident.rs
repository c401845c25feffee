//! What is done to incidents.

use serde_json::{Value, json};

use super::filled::Filled;
use super::notice::{IMPACTS, INCIDENT_STAGES};
use super::{After, Choice, Deed, Scene, Want, Wish, encoded, one, page, silence};
use crate::store::apikeys::Scope;

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    let incident = Incident::read(scene)?;
    Ok(match verb {
        "ack" => Some(incident.acknowledge()),
        "resolve" => Some(incident.resolve(scene)),
        "silence" => Some(incident.silence(scene)),
        "publish" => Some(incident.publish(scene)),
        _ => None,
    })
}

const PUBLISHED: &str = "Everybody can read it at once and subscribers are told, in the words below and no others: neither the key nor what komainu says of it becomes \
    public. What it is about follows from the incident; where the page does not show that, it is about the whole and wants a title.";

/// The pages that there are: first those that show what an incident of this key is about. Where there are too many to be read at once,
/// or none could be, one is named by its place.
fn which_page(scene: &Scene<'_>, key: &str) -> (Want, Option<String>) {
    let pages = scene.read.get("pages");
    let is_whole = pages.is_some_and(|pages| pages.get("next").is_some_and(Value::is_null));
    let items = pages.and_then(|pages| pages.get("items")).and_then(Value::as_array).filter(|_| is_whole);
    let Some(items) = items else {
        let named = Want::line("page", "On which page", 60).hint("Its place: shop, of /pages/shop");
        return (named.needed().typed(scene, ""), None);
    };
    let mut found: Vec<(bool, Choice)> = items.iter().filter_map(|page| page_of(page, key)).collect();
    found.sort_by_key(|(shows_it, _)| !shows_it);
    let first = found.first().map(|(_, choice)| choice.value.clone()).unwrap_or_default();
    let none = found.is_empty().then(|| "There is no public page yet.".to_owned());
    let choices = found.into_iter().map(|(_, choice)| choice).collect();
    (Want::choice("page", "On which page", choices).needed().typed(scene, &first), none)
}

fn page_of(page: &Value, key: &str) -> Option<(bool, Choice)> {
    let (kind, subject) = key.split_once('/').unwrap_or((key, ""));
    let kind = if kind == "partial" { "check" } else { kind };
    let is_about = |component: &Value| {
        let about = component.get(kind).filter(|about| !about.is_null());
        about.is_some_and(|about| about.as_str().map_or_else(|| about.to_string(), str::to_owned) == subject)
    };
    let groups = page.get("groups")?.as_array()?;
    let mut components = groups.iter().filter_map(|group| group.get("components")?.as_array()).flatten();
    let shown = components.find(|component| is_about(component)).and_then(|component| component.get("name")?.as_str());
    let (slug, title) = (page.get("slug")?.as_str()?, page.get("title")?.as_str()?);
    let words = match shown {
        Some(name) => format!("{slug}: {title} (shows it as {name})"),
        None => format!("{slug}: {title}"),
    };
    Some((shown.is_some(), Choice::new(slug, words)))
}

struct Incident {
    id: i64,
    key: String,
}

impl Incident {
    fn read(scene: &Scene<'_>) -> Result<Self, String> {
        let id = scene.number("incident")?;
        let key = scene.known("incident", "key").map_or_else(|| format!("incident {id}"), str::to_owned);
        Ok(Self { id, key })
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
            wants: vec![
                Want::line("why", "Why it is over, for whoever is told and for the audit trail", 1_000)
                    .needed()
                    .typed(scene, ""),
            ],
            done: format!("{key} is resolved, and told so."),
            ..Deed::asking("incident.resolve", Scope::Write, wish)
        }
    }

    fn publish(&self, scene: &Scene<'_>) -> Deed {
        let Self { id, key } = self;
        let page = scene.typed("page");
        let filled = Filled::of(scene).texts(["title", "impact", "status", "text"]).with("from_incident", *id);
        let (body, mut faults) = filled.finish();
        if scene.is_sent && page.is_empty() {
            faults.push(("page".to_owned(), "choose one".to_owned()));
        }
        let wish = Wish::post(&format!("/pages/{}/incidents", encoded(&page))).with(body);
        let (which, there_is) = which_page(scene, key);
        let impacts = [vec![Choice::new("", "as much as komainu's incident does")], Choice::named(IMPACTS)].concat();
        Deed {
            subject: self.subject(),
            title: format!("Publish {key} on a page?"),
            button: "Publish it",
            consequences: there_is.into_iter().chain([PUBLISHED.to_owned()]).collect(),
            wants: vec![
                which,
                Want::line("title", "In one line", 200)
                    .hint("Where nothing stands here it is the public names of what it is about")
                    .typed(scene, ""),
                Want::choice("impact", "How much it matters", impacts).typed(scene, ""),
                Want::choice("status", "How far it has come", Choice::named(INCIDENT_STAGES))
                    .typed(scene, "investigating"),
                Want::lines("text", "What is said of it", 5_000).hint("We look into it.").typed(scene, ""),
            ],
            faults,
            done: "The incident is published.".to_owned(),
            after: After::Page(page::place(&page)),
            ..Deed::asking("incident.publish", Scope::Write, wish)
        }
    }

    fn silence(&self, scene: &Scene<'_>) -> Deed {
        let Self { key, .. } = self;
        let matchers = vec![format!("key=\"{key}\"")];
        let deed = silence::of(&matchers, scene, silence::FROM_AN_INCIDENT);
        Deed {
            subject: self.subject(),
            title: format!("Silence {key}?"),
            done: format!("{key} is silenced."),
            name: "incident.silence",
            ..deed
        }
    }
}
