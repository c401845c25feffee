//! `POST /api/v1/checks/try`: every watchdog looks once, now, at what would be a check; nothing is made.

use axum::Json;
use komainu_watchdogs::check::{Reason, State, Verdict};
use komainu_watchdogs::ids::{WatchdogId, Zone};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::answer::VoteView;
use super::document::TriedFields;
use super::lost_channels;
use crate::api::auth::Writer;
use crate::api::body::Object;
use crate::api::monitors::refusal;
use crate::api::page::Nothing;
use crate::api::problem::{ApiError, Problem};
use crate::api::request::Asked;
use crate::api::{Context, Ctx};
use crate::check::{self, Definition, Draft, Guard};
use crate::looks::trial::{Room, Silence, Trial};
use crate::monitor::FieldFault;
use crate::store::checks;

/// Whoever waits for a look is told so.
pub(in crate::api) const STOPS: ApiError = ApiError::Busy("this watchdog stops");

/// What is only tried has a name where one is needed, and nowhere else.
const NAME: &str = "tried";

/// What every watchdog sees of a target, and what a majority would say of it.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckTrial)]
pub(in crate::api) struct TrialView {
    /// What it would be if each saw the same again: `up`, `partial`, `down`, `unknown`.
    #[schema(value_type = String)]
    state: State,
    /// Why, in words for people.
    reason: String,
    /// The same as a code with counts.
    #[schema(value_type = Object)]
    because: Reason,
    /// Each voter's word.
    votes: Vec<VoteView>,
    /// What those saw who are cut off from the world: no votes.
    abstaining: Vec<VoteView>,
    /// Who was asked and did not answer.
    unanswered: Vec<SilenceView>,
}

/// Who did not answer.
#[derive(Serialize, ToSchema)]
#[schema(as = UnansweredTry)]
pub(in crate::api) struct SilenceView {
    #[schema(value_type = String)]
    watchdog: WatchdogId,
    zone: String,
    /// Why, in words for people.
    why: String,
}

impl From<(WatchdogId, Zone, Silence)> for SilenceView {
    fn from((watchdog, zone, silence): (WatchdogId, Zone, Silence)) -> Self {
        Self { watchdog, zone: zone.to_string(), why: silence.to_string() }
    }
}

impl From<Trial> for TrialView {
    fn from(Trial { supposed, unanswered }: Trial) -> Self {
        let Verdict { state, reason, views } = supposed.verdict;
        Self {
            state,
            reason: reason.to_string(),
            because: reason,
            votes: views.into_iter().map(VoteView::from).collect(),
            abstaining: supposed.abstaining.into_iter().map(VoteView::from).collect(),
            unanswered: unanswered.into_iter().map(SilenceView::from).collect(),
        }
    }
}

/// Looks at once, from every watchdog, at what would be a check, and stores nothing but that it was tried. Takes as long as the
/// slowest look, at most the timeout and a few seconds.
#[utoipa::path(post, path = "/checks/try", tag = "checks", security(("key" = ["write"])),
    request_body = TriedFields,
    responses((status = 200, description = "Who sees what", body = TrialView),
        (status = 503, description = "Eight tries are under way, this watchdog stops, or the database cannot be reached: nobody looked", body = Problem)))]
pub(in crate::api) async fn try_once(
    Writer(caller): Writer,
    context: Ctx,
    _: Asked<Nothing>,
    Object(fields): Object,
) -> Result<Json<TrialView>, ApiError> {
    let fields = fields.into_object();
    let definition = judged(&context, &fields)?;
    let room = room(&context)?;
    checks::note_trial(&context.state.store, &caller.who(), &definition).await?;
    let trial = Box::pin(until_stopped(&context, &room, &definition, fields)).await?;
    Ok(Json(trial.into()))
}

/// For one try; a client's, or a peer's.
pub(in crate::api) fn room(context: &Context) -> Result<Room, ApiError> {
    context.state.looks.room_for_trial().ok_or(ApiError::Busy("as many checks are tried as may be at once"))
}

/// Judged as a new check would be.
fn judged(context: &Context, fields: &Map<String, Value>) -> Result<Definition, ApiError> {
    let (draft, mut faults) = Draft::read_nameless(fields);
    faults.extend(lost_channels(&draft, &context.state.telling.routing.channels));
    made_of(draft, faults, &context.state.guard)
}

/// What a peer wants tried. Where this watchdog does not look is found by the look itself, as with a check that is stored.
pub(in crate::api) fn of_peer(fields: &Map<String, Value>) -> Result<Definition, ApiError> {
    let (draft, faults) = Draft::read_nameless(fields);
    made_of(draft, faults, &Guard { allow_link_local: true, deny: vec![] })
}

fn made_of(draft: Draft, faults: Vec<FieldFault>, guard: &Guard) -> Result<Definition, ApiError> {
    if !faults.is_empty() {
        return Err(refusal::error_of(faults));
    }
    let named = Draft { name: Some(NAME.to_owned()), ..draft };
    check::created(&named, guard).map_err(refusal::error_of)
}

async fn until_stopped(
    context: &Context,
    room: &Room,
    definition: &Definition,
    fields: Map<String, Value>,
) -> Result<Trial, ApiError> {
    tokio::select! {
        trial = context.state.looks.trial(room, definition, fields) => Ok(trial),
        () = context.state.stopping.cancelled() => Err(STOPS),
    }
}
