//! Public pages, for those who write them: which there are, what stands on each, and what was said on it.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::deeds::encoded;
use super::form::Form;
use super::frame::{Frame, Section, page};
use super::recall::{Items, Reading};
use super::visit::Visitor;
use super::words::{At, counted, span};

/// The first page of the list: read now and then, so that it is known when the database goes. Each may have a logo of 70,000 characters:
/// more of them would be longer than any answer that is read.
pub(super) const FIRST: &str = "/api/v1/pages?limit=25";

/// Of what was said, the latest.
const MOST_NOTICES: u32 = 20;

#[derive(Template)]
#[template(path = "pages.html")]
struct Pages {
    frame: Frame,
    items: Vec<PublicPage>,
    next: Option<String>,
    remembered: Option<String>,
}

/// A page, as the API shows it.
#[derive(Deserialize)]
struct PublicPage {
    slug: String,
    title: String,
    description: String,
    language: String,
    has_password: bool,
    noindex: bool,
    groups: Vec<Group>,
    managed_by: Option<String>,
    changed_at: i64,
    changed_by: String,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    id: String,
    name: String,
    description: String,
    graph: bool,
    monitor: Option<i64>,
    monitor_ref: Option<String>,
    check: Option<String>,
    heartbeat: Option<String>,
}

impl PublicPage {
    fn path(&self) -> String {
        format!("/watch/pages/{}", encoded(&self.slug))
    }

    fn changed(&self) -> At {
        At(Wall(self.changed_at))
    }

    fn count(&self) -> String {
        let components: usize = self.groups.iter().map(|group| group.components.len()).sum();
        counted(u64::try_from(components).unwrap_or(u64::MAX), "component")
    }

    /// The public name of one of its components.
    fn name_of(&self, id: &str) -> &str {
        let mut all = self.groups.iter().flat_map(|group| &group.components);
        all.find(|component| component.id == id).map_or("something that no longer stands here", |found| &found.name)
    }
}

impl Component {
    /// What it is about, and where the dashboard shows that.
    fn about(&self) -> (String, Option<String>) {
        match self {
            Self { monitor: Some(id), .. } => (format!("monitor {id}"), Some(format!("/watch/monitors/{id}"))),
            Self { check: Some(name), .. } => {
                (format!("check {name}"), Some(format!("/watch/checks/{}", encoded(name))))
            }
            Self { heartbeat: Some(name), .. } => {
                (format!("heartbeat {name}"), Some(format!("/watch/heartbeats/{}", encoded(name))))
            }
            Self { monitor_ref, .. } => (format!("monitor {}", monitor_ref.as_deref().unwrap_or_default()), None),
        }
    }
}

/// Lists them by their places.
pub(super) async fn list(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Form::of_query(query.as_deref()).turned(FIRST);
    let read = desk.need_list::<Items<PublicPage>>(&visitor, (Section::Pages, &asked)).await;
    let (Items { items, next }, age) = match read {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    page(&Pages {
        items,
        next,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Pages, &desk.inside.view()),
    })
}

#[derive(Template)]
#[template(path = "page.html")]
struct Shown {
    frame: Frame,
    public: PublicPage,
    /// What was said, by what it is in words; `None`: it cannot be read now, and was not before.
    said: Vec<(Noun, Option<Vec<Notice>>)>,
    remembered: Option<String>,
}

/// What is written on pages.
#[derive(Clone, Copy)]
struct Noun {
    /// As deeds name it.
    kind: &'static str,
    /// As the API names many.
    plural: &'static str,
    title: &'static str,
    none: &'static str,
}

const NOUNS: [Noun; 2] = [
    Noun { kind: "incident", plural: "incidents", title: "Incidents", none: "Nobody wrote one yet." },
    Noun { kind: "maintenance", plural: "maintenances", title: "Maintenances", none: "None was planned yet." },
];

/// An incident or a maintenance, as the API shows it.
#[derive(Deserialize)]
struct Notice {
    id: String,
    title: String,
    impact: String,
    status: String,
    components: Vec<String>,
    starts_at: Option<i64>,
    ends_at: Option<i64>,
    incident: Option<i64>,
    created_at: i64,
    created_by: String,
    updates: Vec<Update>,
}

#[derive(Deserialize)]
struct Update {
    status: String,
    text: String,
    at: i64,
    by: String,
}

impl Update {
    fn at(&self) -> At {
        At(Wall(self.at))
    }

    fn words(&self) -> String {
        self.status.replace('_', " ")
    }
}

impl Notice {
    fn is_over(&self, frame: &Frame) -> bool {
        let is_past = self.ends_at.is_some_and(|at| at <= frame.now.0);
        matches!(self.status.as_str(), "resolved" | "completed") || is_past
    }

    /// How far it is: of a maintenance the clock may say more than people did.
    fn stage(&self, frame: &Frame) -> String {
        let now = frame.now.0;
        let by_the_clock = match (self.starts_at, self.ends_at) {
            (_, Some(ends_at)) if ends_at <= now => "completed",
            (Some(starts_at), _) if starts_at <= now && self.status == "scheduled" => "in progress",
            (Some(_) | None, Some(_) | None) => &self.status,
        };
        by_the_clock.replace('_', " ")
    }

    fn created(&self) -> At {
        At(Wall(self.created_at))
    }

    fn window(&self) -> Option<(At, At)> {
        Some((At(Wall(self.starts_at?)), At(Wall(self.ends_at?))))
    }
}

/// One page, with what was said on it last.
pub(super) async fn show(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    Path(slug): Path<String>,
) -> Response {
    let base = format!("/api/v1/pages/{}", encoded(&slug));
    let (public, age) = match desk.need::<PublicPage>(&visitor, (Section::Pages, &base)).await {
        Ok(read) => read,
        Err(refusal) => return *refusal,
    };
    let mut said = vec![];
    for noun in NOUNS {
        let path = format!("{base}/{}?limit={MOST_NOTICES}", noun.plural);
        let notices = match desk.read::<Items<Notice>>(&visitor, &path).await {
            Reading::Known(notices, _) => Some(notices.items),
            Reading::Refused(..) | Reading::Away => None,
        };
        said.push((noun, notices));
    }
    page(&Shown {
        public,
        said,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Pages, &desk.inside.view()),
    })
}
