//! What a hand can do from a page: what it asks of the API, what that needs, and what becomes of it, in words.
//!
//! Pure. A deed is a request that anybody with such a key could send; the API judges it. All that there is to say of a deed stands in
//! one place, in the file of what it is done to.

use axum::http::Method;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::view::View;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::form::Form;
use crate::store::apikeys::Scope;

pub(super) use self::want::{Kind, Want};

mod check;
mod cluster;
mod incident;
mod monitor;
mod node;
#[cfg(test)]
mod tests;
mod want;
mod watchdog;

/// What may stand in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Something that an operator does.
pub(super) struct Deed {
    /// `node.drain`
    name: &'static str,
    /// What it is done to, as a form sends it again.
    subject: Vec<(&'static str, String)>,
    /// The least that a key must allow for it.
    pub(super) needs: Scope,
    /// What is asked of the API.
    pub(super) wish: Wish,
    /// Asks the API what would become of it, where that can be said.
    pub(super) rehearsal: Option<Rehearsal>,
    /// What is asked once before it is done.
    pub(super) title: String,
    /// What becomes of it, one sentence each.
    pub(super) consequences: Vec<String>,
    pub(super) button: &'static str,
    /// It takes something away for as long as nobody undoes it.
    pub(super) is_grave: bool,
    /// What a person fills in.
    pub(super) wants: Vec<Want>,
    /// What the page after it says.
    pub(super) done: String,
}

/// What is asked of the API.
pub(super) struct Wish {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// A wish without doing it.
pub(super) struct Rehearsal {
    pub(super) wish: Wish,
    /// What the answer says, one sentence each; `None`: it cannot be read.
    pub(super) told: fn(&Value) -> Option<Vec<String>>,
}

/// What is known when a deed is read.
pub(super) struct Scene<'a> {
    /// The form or the link that names it.
    pub(super) form: &'a Form,
    pub(super) view: &'a View,
    /// What the thing is called that the form names by its number; `None`: nobody could say.
    pub(super) called: Option<String>,
}

/// Something that is known by its number, of which the name is looked up: a link may say any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Numbered {
    /// An incident.
    Incident(i64),
    /// A monitor.
    Monitor(MonitorId),
}

impl Numbered {
    /// What a form or a link is about, where that has a number.
    pub(super) fn of(form: &Form) -> Option<Self> {
        let number = |name| form.field(name).and_then(|text| text.parse().ok());
        let incident = || number("incident").map(Self::Incident);
        number("monitor").map(|id| Self::Monitor(MonitorId(id))).or_else(incident)
    }
}

impl Deed {
    /// The one that a form or a link names; `Err`: which field is missing or unknown.
    pub(super) fn read(scene: &Scene<'_>) -> Result<Self, String> {
        let deed = scene.text("deed")?;
        let (noun, verb) = deed.split_once('.').unwrap_or((deed, ""));
        let found = match noun {
            "incident" => incident::read(verb, scene)?,
            "node" => node::read(verb, scene)?,
            "cluster" => cluster::read(verb, scene),
            "watchdog" => watchdog::read(verb, scene)?,
            "check" => check::read(verb, scene)?,
            "monitor" => monitor::read(verb, scene)?,
            _ => None,
        };
        found.ok_or_else(|| "deed: there is none of this name".to_owned())
    }

    /// A deed of this name that asks this of the API; the rest is to be said.
    fn asking(name: &'static str, needs: Scope, wish: Wish) -> Self {
        Self {
            name,
            needs,
            wish,
            subject: vec![],
            rehearsal: None,
            title: String::new(),
            consequences: vec![],
            button: "",
            is_grave: false,
            wants: vec![],
            done: String::new(),
        }
    }

    /// As a form sends it again.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        [vec![("deed", self.name.to_owned())], self.subject.clone()].concat()
    }
}

impl Wish {
    fn of(method: Method, path: &str) -> Self {
        Self { method, path: format!("/api/v1{path}"), body: None }
    }

    fn post(path: &str) -> Self {
        Self::of(Method::POST, path)
    }

    fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

impl Scene<'_> {
    fn text(&self, name: &str) -> Result<&str, String> {
        self.form.field(name).ok_or_else(|| format!("{name}: is missing"))
    }

    fn number(&self, name: &str) -> Result<i64, String> {
        self.text(name)?.parse().map_err(|_| format!("{name}: must be a number"))
    }

    /// What a person filled in; empty: nothing yet.
    fn typed(&self, name: &str) -> String {
        self.form.field(name).unwrap_or_default().to_owned()
    }
}

/// One sentence.
fn one(words: &str) -> Vec<String> {
    vec![words.to_owned()]
}

/// A name as a part of a path.
pub(super) fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, PLAIN).to_string()
}
