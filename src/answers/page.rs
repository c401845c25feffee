//! The page of a link: what it is about, one button, and what else can be answered.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;

use super::deeds::{self, Done};
use super::{Answer, LateAnswer, Link, Void, opened, path};
use crate::api::Inside;
use crate::clock;
use crate::dashboard::form::Form;
use crate::dashboard::{page_with, protect};
use crate::sealed::Seals;
use crate::store::StoreError;
use crate::store::incidents::{self, Incident};

/// As much of a name as the audit trail shows.
const NAME_CHARS: usize = 60;

/// As long is the database waited for: whoever answers is told within two seconds what came of it.
const PATIENCE: Duration = Duration::from_secs(1);

const FORGED: &str = "This link is none of this cluster's, or was cut on its way. Open it from the message once more.";
const OLD: &str = "This link is more than a day old. Sign in to see how things are now.";
const OVER: &str = "This is over: there is nothing to be done any more.";
const AWAY: &str = "The database does not answer just now, so nothing was done. Try again in a moment.";
const KEPT: &str = "It is noted that you take care of it, and told where you were told. The database does not answer just now: it is \
                    entered, and the others hear of it, as soon as it does. If it was over or somebody else's by then, that stands.";
const TOO_MANY: &str =
    "There are as many silences as there may be, so this one was not made. End one on the dashboard.";

struct Desk {
    inside: Inside,
    seals: Seals,
}

type Counter = State<Arc<Desk>>;

/// Every page.
pub(crate) fn routes(inside: Inside) -> Router {
    let seals = Seals::of(&inside.state().key);
    let pages = Router::new().route("/act/{token}", get(show).post(act));
    pages.layer(from_fn(protect)).with_state(Arc::new(Desk { inside, seals }))
}

/// What stands on a page.
#[derive(Template)]
#[template(path = "answer.html")]
struct Page<'a> {
    cluster: &'a str,
    title: String,
    /// What came of it, or why nothing does: `done` or `refused`, and the words.
    said: Option<(&'static str, String)>,
    incident: Option<Incident>,
    /// The one button.
    button: Option<&'static str>,
    /// What else can be answered, and where.
    others: Vec<(&'static str, String)>,
    runbook: String,
}

async fn show(State(desk): Counter, Path(token): Path<String>) -> Response {
    let link = match opened(&desk.seals, &token, clock::wall()) {
        Ok(link) => link,
        Err(void) => return refused(&desk, void),
    };
    // Without the database the button stands there all the same: what it says is kept, or it may be back when it is pressed.
    let known = in_time(incidents::get(desk.inside.reads(), link.incident)).await;
    match known {
        Some(None) => over(&desk, &link, None),
        Some(Some(story)) if story.incident.resolved_at.is_some() => over(&desk, &link, Some(story.incident)),
        Some(Some(story)) => asking(&desk, &link, Some(story.incident)),
        None => asking(&desk, &link, None),
    }
}

async fn act(State(desk): Counter, Path(token): Path<String>, form: Form) -> Response {
    let link = match opened(&desk.seals, &token, clock::wall()) {
        Ok(link) => link,
        Err(void) => return refused(&desk, void),
    };
    let who = link.who(form.field("by").map(named).as_deref().filter(|name| !name.is_empty()));
    let store = &desk.inside.state().store;
    let Some(done) = in_time(deeds::act(store, (&link, &token), &who)).await else {
        return later(&desk, &link, who).await;
    };
    tracing::info!(key = link.key, answer = link.answer.name(), who, ?done, "answered from a message");
    let incident = in_time(incidents::get(store, link.incident)).await.flatten().map(|story| story.incident);
    let said = |words: String| Page { incident: incident.clone(), ..page(&desk, &link, Some(("done", words))) };
    match done {
        Done::Acknowledged => {
            shown(StatusCode::OK, &said(format!("{} is acknowledged: nobody is reminded of it.", link.key)))
        }
        Done::Silenced => {
            shown(StatusCode::OK, &said(format!("{} is silenced. Its end is told all the same.", link.key)))
        }
        Done::TakenCareOf(other) => {
            let words = format!("{other} takes care of it already.");
            let page = Page { said: Some(("refused", words)), ..said(String::new()) };
            shown(StatusCode::CONFLICT, &page.with_others(&desk, &link, &[Answer::TakeOver]))
        }
        Done::Over => over(&desk, &link, incident),
        Done::TooMany => {
            let page = Page { said: Some(("refused", TOO_MANY.to_owned())), ..said(String::new()) };
            shown(StatusCode::CONFLICT, &page)
        }
    }
}

/// What the database answers while a reader is still patient; whatever else it does is heard of in the log.
async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "an answer from a message waits for the database");
            None
        }
        Err(_) => None,
    }
}

/// The database did not take it. That somebody takes care of something is kept all the same, told, and entered when it is back.
async fn later(desk: &Desk, link: &Link, who: String) -> Response {
    let takes_over = match link.answer {
        Answer::Acknowledge => Some(false),
        Answer::TakeOver => Some(true),
        Answer::SilenceForAnHour | Answer::SilenceForEightHours | Answer::SilenceUntilResolved => None,
    };
    if let Some(takes_over) = takes_over {
        let Link { incident, key, channel, .. } = link.clone();
        let answer = LateAnswer { incident, key, who, takes_over, channel, at: clock::wall(), told: None };
        if desk.inside.state().late_answers.keep(answer).await.is_ok() {
            return shown(StatusCode::OK, &page(desk, link, Some(("done", KEPT.to_owned()))));
        }
    }
    let said = Some(("refused", AWAY.to_owned()));
    shown(StatusCode::SERVICE_UNAVAILABLE, &page(desk, link, said).with_button(link))
}

/// A name as somebody types it, fit for one line of the audit trail.
fn named(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_control()).take(NAME_CHARS).collect();
    plain.trim().to_owned()
}

fn asking(desk: &Desk, link: &Link, incident: Option<Incident>) -> Response {
    let said = incident
        .is_none()
        .then(|| ("refused", "The database does not answer just now: how this is cannot be shown.".to_owned()));
    let taken = incident.as_ref().and_then(|incident| incident.acknowledged_by.clone());
    let page = Page { incident, ..page(desk, link, said) }.with_button(link);
    let others = Answer::OFFERED.into_iter().chain(taken.map(|_| Answer::TakeOver));
    let others: Vec<Answer> = others.filter(|other| *other != link.answer).collect();
    shown(StatusCode::OK, &page.with_others(desk, link, &others))
}

fn over(desk: &Desk, link: &Link, incident: Option<Incident>) -> Response {
    shown(StatusCode::GONE, &Page { incident, ..page(desk, link, Some(("done", OVER.to_owned()))) })
}

fn refused(desk: &Desk, void: Void) -> Response {
    let (status, words) = match void {
        Void::Forged => (StatusCode::FORBIDDEN, FORGED),
        Void::Old => (StatusCode::GONE, OLD),
    };
    let page = Page {
        cluster: &desk.inside.state().cluster,
        title: "Nothing was done".to_owned(),
        said: Some(("refused", words.to_owned())),
        incident: None,
        button: None,
        others: vec![],
        runbook: "/runbook".to_owned(),
    };
    shown(status, &page)
}

fn page<'a>(desk: &'a Desk, link: &Link, said: Option<(&'static str, String)>) -> Page<'a> {
    let kind = link.key.split('/').next().unwrap_or_default();
    Page {
        cluster: &desk.inside.state().cluster,
        title: link.key.clone(),
        said,
        incident: None,
        button: None,
        others: vec![],
        runbook: format!("/runbook#{kind}"),
    }
}

impl Page<'_> {
    fn with_button(self, link: &Link) -> Self {
        Self { button: Some(link.answer.words()), ..self }
    }

    fn with_others(self, desk: &Desk, link: &Link, answers: &[Answer]) -> Self {
        let place = |answer: &Answer| (answer.words(), path(&desk.seals, &link.instead(*answer)));
        Self { others: answers.iter().map(place).collect(), ..self }
    }

    fn since(&self) -> String {
        self.incident.as_ref().map_or_else(String::new, |incident| {
            let at = jiff::Timestamp::from_millisecond(incident.opened_at.0).unwrap_or_default();
            at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
        })
    }
}

fn shown(status: StatusCode, page: &Page<'_>) -> Response {
    page_with(status, page)
}
