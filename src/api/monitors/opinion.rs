//! What holds for a monitor's second opinion, and what the watchdogs see of its target while that matters.

use komainu_watchdogs::opinion::{Seen, Source, Wish};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::openapi::Millis;
use crate::opinion::{SecondOpinion, left_out};
use crate::store::monitors::MonitorView;

/// Whether the watchdogs are asked, and what they saw.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[schema(as = SecondOpinion)]
pub(in crate::api) struct OpinionShown {
    /// `off`, `note`, `require`: what holds.
    #[schema(value_type = String)]
    asked: Wish,
    /// Who says so: `monitor` (its own field), `tag` (in Kuma), `rule` (of the configuration), `default`.
    #[schema(value_type = String)]
    from: Source,
    /// Why no watchdog can look at its target; `null`: they can.
    #[schema(required)]
    left_out: Option<String>,
    /// What a majority of the watchdogs saw last, while it matters: `down`, `up`, `split` (neither), `nothing` (too few could look).
    #[schema(required)]
    seen: Option<&'static str>,
    /// Who sees what, in words for people.
    #[schema(required)]
    words: Option<String>,
    /// When they last could say something.
    #[schema(value_type = Option<Millis>, required)]
    seen_at: Option<Wall>,
    /// Since when they have been asked without an answer.
    #[schema(value_type = Option<Millis>, required)]
    waiting_since: Option<Wall>,
}

impl OpinionShown {
    pub(super) fn of(view: &MonitorView, wishes: &SecondOpinion) -> Self {
        let chosen = wishes.choice.of(view.second_opinion, &view.tag_values);
        let left_out = left_out(&view.spec, &wishes.guard).filter(|_| chosen.wish != Wish::Off);
        let record = view.opinion.as_ref();
        Self {
            asked: chosen.wish,
            from: chosen.source,
            left_out: left_out.map(|why| why.to_string()),
            seen: record.and_then(|record| record.seen).map(Seen::as_str),
            words: record.map(|record| record.words.clone()).filter(|words| !words.is_empty()),
            seen_at: record.and_then(|record| record.clear_at),
            waiting_since: record.filter(|record| record.seen.is_none()).map(|record| record.asked_at),
        }
    }
}
