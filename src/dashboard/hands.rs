//! Hands: a page that asks once and names what becomes of it, and the deed itself, which is a request to the API.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::Value;

use super::deeds::{Deed, Numbered, Question};
use super::form::Form;
use super::frame::{Frame, Notice, Section, page, page_with, refusal};
use super::sealed::Purpose;
use super::visit::{Visitor, own_place};
use super::{Desk, recall};

#[derive(Template)]
#[template(path = "question.html")]
struct Asking {
    frame: Frame,
    question: Question,
    fields: Vec<(&'static str, String)>,
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
    let deed = match Deed::read(&form) {
        Ok(deed) => named(&desk, &visitor, deed).await,
        Err(fault) => return refusal(StatusCode::BAD_REQUEST, &fault),
    };
    let rehearsed = rehearsed(&desk, &visitor, &deed).await;
    page(&asking(&desk, &visitor, (&deed, back), rehearsed))
}

/// The deed with the name of what it is done to, as this watchdog knows it.
async fn named(desk: &Desk, visitor: &Visitor, deed: Deed) -> Deed {
    let name = match deed.numbered() {
        Some(Numbered::Incident(id)) => {
            desk.read::<Named>(visitor, &format!("/api/v1/incidents/{id}")).await.known().map(|incident| incident.key)
        }
        Some(Numbered::Monitor(id)) => desk.atlas.name(id).map(|name| format!("{name} (#{id})")),
        None => None,
    };
    match name {
        Some(name) => deed.called(name),
        None => deed,
    }
}

#[derive(Deserialize)]
struct Named {
    key: String,
}

fn asking(desk: &Desk, visitor: &Visitor, (deed, back): (&Deed, String), rehearsed: Rehearsed) -> Asking {
    let view = desk.inside.view();
    let mut question = deed.question(&view);
    question.consequences.extend(rehearsed.consequences);
    let scope = deed.needs();
    let too_little = (!visitor.may(scope)).then(|| {
        format!(
            "Your key {} has scope {}; this needs {}.",
            visitor.caller.name,
            visitor.caller.scope.as_str(),
            scope.as_str()
        )
    });
    Asking {
        fields: deed.fields(),
        refusal: rehearsed.refusal.or(too_little),
        frame: Frame::of(desk, visitor, Section::Elsewhere, &view),
        question,
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
    let Some(wish) = deed.rehearsal().filter(|_| visitor.may(deed.needs())) else { return Rehearsed::default() };
    let asked = (wish.method, wish.path.as_str());
    let answer = desk.inside.ask(&visitor.caller, visitor.address, asked, wish.body.as_ref()).await;
    if !answer.status.is_success() {
        return Rehearsed { refusal: Some(recall::detail(&answer.body)), ..Rehearsed::default() };
    }
    let planned = planned(&answer.body);
    let too_long =
        || "The plan is too long to be shown here; `komainu cluster rebalance --dry-run` prints it.".to_owned();
    Rehearsed { refusal: planned.is_none().then(too_long), consequences: planned.unwrap_or_default() }
}

/// How many monitors a plan moves between which nodes; `None`: it could not be read.
fn planned(body: &Value) -> Option<Vec<String>> {
    let moves = body.get("moves")?.as_array()?;
    if moves.is_empty() {
        return Some(vec!["Nothing would move: they are spread evenly.".to_owned()]);
    }
    let name = |item: &Value, field: &str| item.get(field).and_then(Value::as_str).unwrap_or("nobody").to_owned();
    let mut counts = std::collections::BTreeMap::<(String, String), u64>::new();
    for item in moves {
        *counts.entry((name(item, "from"), name(item, "to"))).or_default() += 1;
    }
    let line = |((from, to), count)| format!("{} from {from} to {to}.", super::words::counted(count, "monitor"));
    Some(counts.into_iter().map(line).collect())
}

/// Does it.
pub(super) async fn act(State(desk): super::Counter, Extension(visitor): Extension<Visitor>, form: Form) -> Response {
    let back = own_place(form.field("back")).to_owned();
    let deed = match Deed::read(&form) {
        Ok(deed) => named(&desk, &visitor, deed).await,
        Err(fault) => return refusal(StatusCode::BAD_REQUEST, &fault),
    };
    let wish = deed.wish();
    let asked = (wish.method, wish.path.as_str());
    let answer = desk.inside.ask(&visitor.caller, visitor.address, asked, wish.body.as_ref()).await;
    if answer.status.is_success() {
        desk.recall.outdate();
        let (key_id, at) = (visitor.caller.key_id, super::visit::now().0);
        let notice = Notice { text: deed.done(), key_id, at };
        return Redirect::to(&said(&desk, &back, &notice)).into_response();
    }
    let refused = Rehearsed { refusal: Some(recall::detail(&answer.body)), ..Rehearsed::default() };
    page_with(answer.status, &asking(&desk, &visitor, (&deed, back), refused))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_told_by_nodes_and_one_that_was_not_read_is_no_empty_one() {
        let shift =
            |from: &str| json!({"monitor_id": 1, "name": "shop", "from": from, "to": "node3", "reason": "rebalance"});
        let plan = json!({"dry_run": true, "moves": [shift("node1"), shift("node1"), shift("node2")]});
        let lines = ["2 monitors from node1 to node3.", "1 monitor from node2 to node3."].map(str::to_owned);
        assert_eq!(planned(&plan), Some(lines.to_vec()));
        let even = "Nothing would move: they are spread evenly.".to_owned();
        assert_eq!(planned(&json!({"moves": []})), Some(vec![even]));
        assert_eq!(planned(&Value::Null), None);
    }
}
