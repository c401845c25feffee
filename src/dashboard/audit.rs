//! The audit trail: who did what, from where, and what it changed. For keys of scope admin.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use komainu_watchdogs::time::Wall;
use serde::Deserialize;
use serde_json::Value;

use super::form::Form;
use super::frame::{Frame, Section, page};
use super::recall::Items;
use super::visit::Visitor;
use super::words::{At, span};

#[derive(Template)]
#[template(path = "audit.html")]
struct Trail {
    frame: Frame,
    wanted: Wanted,
    items: Vec<Deed>,
    next: Option<String>,
    remembered: Option<String>,
}

/// Which rows.
struct Wanted {
    who: String,
    what: String,
    subject: String,
}

impl Wanted {
    fn pairs(&self) -> [(&'static str, &str); 3] {
        [("who", self.who.as_str()), ("what", &self.what), ("subject", &self.subject)]
    }

    /// The query of the same rows.
    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.pairs() {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// A row of the trail, as the API shows it.
#[derive(Deserialize)]
struct Deed {
    at: i64,
    who: String,
    what: String,
    subject: String,
    address: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
}

impl Deed {
    fn at(&self) -> At {
        At(Wall(self.at))
    }
}

pub(super) async fn list(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::of_query(query.as_deref());
    let text = |name: &str| form.field(name).unwrap_or_default().to_owned();
    let wanted = Wanted { who: text("who"), what: text("what"), subject: text("subject") };
    let asked = format!("{}&{}", form.turned("/api/v1/audit?limit=100"), wanted.query());
    let (Items { items, next }, age) =
        match desk.need::<Items<Deed>>(&visitor, (Section::Audit, asked.trim_end_matches('&'))).await {
            Ok(read) => read,
            Err(refusal) => return *refusal,
        };
    page(&Trail {
        wanted,
        items,
        next,
        remembered: age.map(span),
        frame: Frame::of(&desk, &visitor, Section::Audit, &desk.inside.view()),
    })
}
