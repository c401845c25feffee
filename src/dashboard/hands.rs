//! Hands: a page that asks once and names what becomes of it, and the deed itself, which is a request to the API.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::deeds::{Deed, Kind, Numbered, Scene, Wish};
use super::form::Form;
use super::frame::{Frame, Notice, Section, page, page_with, refusal};
use super::sealed::Purpose;
use super::visit::{Visitor, own_place};
use super::{Desk, recall};
use crate::api::Answer;

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
    let deed = match read(&desk, &visitor, &form).await {
        Ok(deed) => deed,
        Err(fault) => return refusal(StatusCode::BAD_REQUEST, &fault),
    };
    let rehearsed = rehearsed(&desk, &visitor, &deed).await;
    page(&asking(&desk, &visitor, (deed, back), rehearsed))
}

/// The deed that a form names, with the name of what it is done to, as this watchdog knows it.
async fn read(desk: &Desk, visitor: &Visitor, form: &Form) -> Result<Deed, String> {
    let called = match Numbered::of(form) {
        Some(Numbered::Incident(id)) => {
            desk.read::<Named>(visitor, &format!("/api/v1/incidents/{id}")).await.known().map(|incident| incident.key)
        }
        Some(Numbered::Monitor(id)) => desk.atlas.name(id).map(|name| format!("{name} (#{id})")),
        None => None,
    };
    Deed::read(&Scene { form, view: &desk.inside.view(), called })
}

#[derive(Deserialize)]
struct Named {
    key: String,
}

fn asking(desk: &Desk, visitor: &Visitor, (mut deed, back): (Deed, String), rehearsed: Rehearsed) -> Asking {
    deed.consequences.extend(rehearsed.consequences);
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
        refusal: rehearsed.refusal.or(too_little),
        frame: Frame::of(desk, visitor, Section::Elsewhere, &desk.inside.view()),
        deed,
        back,
    }
}

/// What the API says would become of it.
#[derive(Default)]
struct Rehearsed {
    consequences: Vec<String>,
    refusal: Option<String>,
}

async fn rehearsed(desk: &Desk, visitor: &Visitor, deed: &Deed) -> Rehearsed {
    let Some(rehearsal) = deed.rehearsal.as_ref().filter(|_| visitor.may(deed.needs)) else {
        return Rehearsed::default();
    };
    let answer = asked(desk, visitor, &rehearsal.wish).await;
    if !answer.status.is_success() {
        return Rehearsed { refusal: Some(recall::detail(&answer.body)), ..Rehearsed::default() };
    }
    let told = (rehearsal.told)(&answer.body);
    let too_long =
        || "The plan is too long to be shown here; `komainu cluster rebalance --dry-run` prints it.".to_owned();
    Rehearsed { refusal: told.is_none().then(too_long), consequences: told.unwrap_or_default() }
}

async fn asked(desk: &Desk, visitor: &Visitor, Wish { method, path, body }: &Wish) -> Answer {
    desk.inside.ask(&visitor.caller, visitor.address, (method.clone(), path), body.as_ref()).await
}

/// Does it.
pub(super) async fn act(State(desk): super::Counter, Extension(visitor): Extension<Visitor>, form: Form) -> Response {
    let back = own_place(form.field("back")).to_owned();
    let deed = match read(&desk, &visitor, &form).await {
        Ok(deed) => deed,
        Err(fault) => return refusal(StatusCode::BAD_REQUEST, &fault),
    };
    let answer = asked(&desk, &visitor, &deed.wish).await;
    if answer.status.is_success() {
        desk.recall.outdate();
        let (key_id, at) = (visitor.caller.key_id, super::visit::now().0);
        let notice = Notice { text: deed.done, key_id, at };
        return Redirect::to(&said(&desk, &back, &notice)).into_response();
    }
    let refused = Rehearsed { refusal: Some(recall::detail(&answer.body)), ..Rehearsed::default() };
    page_with(answer.status, &asking(&desk, &visitor, (deed, back), refused))
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
