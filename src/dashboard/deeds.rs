//! What a hand can do from a page: what it asks of the API, what that needs, and what becomes of it, in words.
//!
//! Pure. A deed is a request that anybody with such a key could send; the API judges it. All that there is to say of a deed stands in
//! one place, in the file of what it is done to.

use std::collections::BTreeMap;

use axum::http::Method;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::view::View;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::form::Form;
use crate::store::apikeys::Scope;

pub(super) use self::want::{Choice, Kind, Want};

mod check;
mod cluster;
mod components;
mod filled;
mod heartbeat;
mod incident;
mod maintenance;
mod monitor;
mod node;
mod notice;
mod page;
mod silence;
#[cfg(test)]
mod tests;
mod want;
mod watchdog;

/// As many as there may be.
const ALL_PAGES: &str = "/api/v1/pages?limit=200";

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
    /// What the button says that asks this again, with what was typed.
    pub(super) look: Option<&'static str>,
    /// What is asked once before it is done.
    pub(super) title: String,
    /// What becomes of it, one sentence each.
    pub(super) consequences: Vec<String>,
    pub(super) button: &'static str,
    /// It takes something away for as long as nobody undoes it.
    pub(super) is_grave: bool,
    /// What a person fills in.
    pub(super) wants: Vec<Want>,
    /// What is wrong with what was filled in, before the API is asked: fields and words.
    pub(super) faults: Vec<(String, String)>,
    /// What the page after it says.
    pub(super) done: String,
    /// Which page that is.
    pub(super) after: After,
}

/// What is shown after a deed.
pub(super) enum After {
    /// The page that it was asked for on.
    Back,
    /// The page of what was made, by the API's answer.
    There(fn(&Value) -> Option<String>),
    /// This page.
    Page(String),
    /// Programs to paste, with the secret that the API's answer has.
    Programs,
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
    /// What the monitor is called that the form names by its number; `None`: nobody could say.
    pub(super) called: Option<String>,
    /// What [`Deed::reads`] named, as far as it could be read.
    pub(super) read: BTreeMap<&'static str, Value>,
    /// Somebody has filled in the fields.
    pub(super) is_sent: bool,
}

impl Deed {
    /// What of the API has to be read before the deed can be, which a form or a link names: a link may say any name.
    pub(super) fn reads(form: &Form) -> Vec<(&'static str, String)> {
        let named = |field: &'static str, path: &str| {
            form.field(field).map(|name| (field, format!("/api/v1/{path}/{}", encoded(name))))
        };
        let (page, notice) = (form.field("page"), form.field("notice"));
        let notice = page.zip(notice).map(|(page, id)| ("notice", notice::path(page, form, id)));
        // Those that can be chosen.
        let pages = (form.field("deed") == Some("incident.publish")).then(|| ("pages", ALL_PAGES.to_owned()));
        let named = [named("incident", "incidents"), named("silence", "silences"), named("page", "pages")];
        named.into_iter().chain([notice, pages]).flatten().collect()
    }

    /// The monitor that a form or a link names by its number.
    pub(super) fn monitor(form: &Form) -> Option<MonitorId> {
        form.field("monitor").and_then(|text| text.parse().ok()).map(MonitorId)
    }

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
            "silence" => silence::read(verb, scene)?,
            "maintenance" => maintenance::read(verb, scene)?,
            "heartbeat" => heartbeat::read(verb, scene)?,
            "page" => page::read(verb, scene)?,
            "notice" => notice::read(verb, scene)?,
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
            look: None,
            title: String::new(),
            consequences: vec![],
            button: "",
            is_grave: false,
            wants: vec![],
            faults: vec![],
            done: String::new(),
            after: After::Back,
        }
    }

    /// Puts words beside the field that they are about; those that are about none are given back.
    pub(super) fn put_beside(&mut self, faults: Vec<(String, String)>) -> Vec<(String, String)> {
        let mut left = vec![];
        for (field, words) in faults {
            let at = self.wants.iter().position(|want| want.is_meant(&field));
            // What no other field is about was written there.
            let at = at.or_else(|| self.wants.iter().position(|want| want.name == "more"));
            let meant = at.and_then(|at| self.wants.get_mut(at));
            match meant {
                Some(want) => {
                    let words = want.beside(&field, &words);
                    add(&mut want.fault, words);
                }
                None => left.push((field, words)),
            }
        }
        left
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

fn add(fault: &mut Option<String>, words: String) {
    *fault = Some(match fault.take() {
        Some(before) => format!("{before}\n{words}"),
        None => words,
    });
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

    /// A text of something that was read.
    fn known(&self, what: &str, field: &str) -> Option<&str> {
        self.read.get(what)?.get(field)?.as_str()
    }
}

/// Fields that have no place of their own.
fn more(scene: &Scene<'_>) -> Want {
    Want::lines("more", "Further settings, one a line", 20_000)
        .hint("By Kuma's names of the columns: ignore_tls=true, headers={\"Accept\": \"text/html\"}")
        .typed(scene, "")
}

/// One sentence.
fn one(words: &str) -> Vec<String> {
    vec![words.to_owned()]
}

/// A name as a part of a path.
pub(super) fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, PLAIN).to_string()
}
