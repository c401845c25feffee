//! Hands: a page that asks once and names what becomes of it, and the deed itself, which is a request to the API.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Value;

use super::deeds::{After, Deed, Kind, Scene, Wish};
use super::form::Form;
use super::frame::{Frame, Notice, Section, page, page_with, refusal};
use super::visit::{Visitor, own_place};
use super::{Desk, programs, recall};
use crate::api::Answer;
use crate::sealed::Purpose;

#[derive(Template)]
#[template(path = "question.html")]
struct Asking {
    frame: Frame,
    deed: Deed,
    /// Where it leads back to.
    back: String,
    /// Why it cannot be done.
    refusal: Option<String>,
}

/// Asks whether it is meant.
pub(super) async fn ask(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::of_query(query.as_deref());
    let back = own_place(form.field("back")).to_owned();
    let deed = match read(&desk, &visitor, (&form, false)).await {
        Ok(deed) => deed,
        Err(fault) => return refusal(StatusCode::BAD_REQUEST, &fault),
    };
    let rehearsed = rehearsed(&desk, &visitor, &deed).await;
    page(&asking(&desk, &visitor, (deed, back), rehearsed))
}

/// The deed that a form names, with what has to be read for it.
async fn read(desk: &Desk, visitor: &Visitor, (form, is_sent): (&Form, bool)) -> Result<Deed, String> {
    let mut read = BTreeMap::new();
    for (what, path) in Deed::reads(form) {
        if let Some(value) = desk.read::<Value>(visitor, &path).await.known() {
            read.insert(what, value);
        }
    }
    let called = Deed::monitor(form).and_then(|id| Some(format!("{} (#{id})", desk.atlas.name(id)?)));
    Deed::read(&Scene { form, view: &desk.inside.view(), called, read, is_sent })
}

fn asking(desk: &Desk, visitor: &Visitor, (mut deed, back): (Deed, String), rehearsed: Rehearsed) -> Asking {
    deed.consequences.extend(rehearsed.consequences);
    let refusal = rehearsed.refused.map(|refused| refused.beside(&mut deed));
    let scope = deed.needs;
    let too_little = (!visitor.may(scope)).then(|| {
        format!(
            "Your key {} has scope {}; this needs {}.",
            visitor.caller.name,
            visitor.caller.scope.as_str(),
            scope.as_str()
        )
    });
    Asking {
        refusal: refusal.or(too_little),
        frame: Frame::of(desk, visitor, Section::Question, &desk.inside.view()),
        deed,
        back,
    }
}

/// What the API says would become of it.
#[derive(Default)]
struct Rehearsed {
    consequences: Vec<String>,
    refused: Option<Refused>,
}

/// Why something cannot be done.
struct Refused {
    /// One sentence on the whole.
    words: String,
    /// Fields, and what is wrong with each.
    faults: Vec<(String, String)>,
}

impl Refused {
    /// By the API.
    fn of(body: &Value) -> Self {
        let fault = |fault: &Value| {
            let text = |name| fault.get(name).and_then(Value::as_str).map(str::to_owned);
            Some((text("field")?, text("message")?))
        };
        let faults = body.get("errors").and_then(Value::as_array);
        let faults = faults.map_or_else(Vec::new, |faults| faults.iter().filter_map(fault).collect());
        Self { words: recall::detail(body), faults }
    }

    /// What stands above the whole when each field has its own words beside it.
    fn beside(self, deed: &mut Deed) -> String {
        if self.faults.is_empty() {
            return self.words;
        }
        let left = deed.put_beside(self.faults);
        let left: Vec<String> = left.into_iter().map(|(field, words)| format!("{field}: {words}")).collect();
        let nothing = "Nothing was done. What is wrong stands beside its field.".to_owned();
        if left.is_empty() { nothing } else { left.join("; ") }
    }
}

async fn rehearsed(desk: &Desk, visitor: &Visitor, deed: &Deed) -> Rehearsed {
    let Some(rehearsal) = deed.rehearsal.as_ref().filter(|_| visitor.may(deed.needs)) else {
        return Rehearsed::default();
    };
    let answer = asked(desk, visitor, &rehearsal.wish).await;
    if !answer.status.is_success() {
        return Rehearsed { refused: Some(Refused::of(&answer.body)), ..Rehearsed::default() };
    }
    let told = (rehearsal.told)(&answer.body);
    let too_long = || Refused { words: TOO_LONG.to_owned(), faults: vec![] };
    Rehearsed { refused: told.is_none().then(too_long), consequences: told.unwrap_or_default() }
}

/// An answer of more than four megabytes is not read.
const TOO_LONG: &str = "The plan is too long to be shown here; `komainu cluster rebalance --dry-run` prints it.";

async fn asked(desk: &Desk, visitor: &Visitor, Wish { method, path, body }: &Wish) -> Answer {
    desk.inside.ask(&visitor.caller, visitor.address, (method.clone(), path), body.as_ref()).await
}

/// Does it.
pub(super) async fn act(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Form,
) -> Response {
    let back = own_place(form.field("back")).to_owned();
    let mut deed = match read(&desk, &visitor, (&form, true)).await {
        Ok(deed) => deed,
        Err(fault) => return refusal(StatusCode::BAD_REQUEST, &fault),
    };
    let faults = std::mem::take(&mut deed.faults);
    if !faults.is_empty() {
        let refused = Rehearsed { refused: Some(Refused { words: String::new(), faults }), ..Rehearsed::default() };
        return page_with(StatusCode::BAD_REQUEST, &asking(&desk, &visitor, (deed, back), refused));
    }
    if form.field("look").is_some() {
        let rehearsed = rehearsed(&desk, &visitor, &deed).await;
        return page(&asking(&desk, &visitor, (deed, back), rehearsed));
    }
    let answer = asked(&desk, &visitor, &deed.wish).await;
    if !answer.status.is_success() {
        let refused = Rehearsed { refused: Some(Refused::of(&answer.body)), ..Rehearsed::default() };
        return page_with(answer.status, &asking(&desk, &visitor, (deed, back), refused));
    }
    desk.recall.outdate();
    let place = match deed.after {
        After::Back => back,
        After::There(place) => place(&answer.body).unwrap_or(back),
        After::Page(place) => place,
        After::Programs => return programs::show(&desk, &visitor, (&headers, deed.done), &answer.body),
    };
    let (key_id, at) = (visitor.caller.key_id, super::visit::now().0);
    let notice = Notice { text: deed.done, key_id, at };
    Redirect::to(&said(&desk, &place, &notice)).into_response()
}

/// The page that it leads back to, which says what was done.
fn said(desk: &Desk, back: &str, notice: &Notice) -> String {
    let sealed = desk.seals.seal(Purpose::Notice, notice);
    let (path, query) = back.split_once('?').unwrap_or((back, ""));
    let kept = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "said");
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("said", &sealed).finish();
    format!("{path}?{query}")
}
