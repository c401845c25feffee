//! What was of a check: how its verdict came to change, how much of the time it was reached, and what was counted by the minute, hour
//! and day. Percentages and rows are of the same tables.

use axum::Json;
use axum::extract::Path;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::find;
use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::openapi::Millis;
use crate::api::page::{Items, Nothing, PageAsked};
use crate::api::problem::ApiError;
use crate::api::request::{Asked, Field, Shape, Whole, request};
use crate::clock;
use crate::store::checks::{self, Availability, Counted, Counts, ShownTransition, Span};

/// One change of a verdict.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckTransition)]
pub(in crate::api) struct TransitionView {
    #[schema(value_type = Millis)]
    at: Wall,
    /// What stood before: `unknown`, `up`, `partial`, `down`.
    from: String,
    /// What it became.
    to: String,
    /// Why, in words for people.
    reason: String,
    /// What each watchdog had seen.
    #[schema(value_type = Vec<Object>)]
    votes: Value,
    /// Who saw it fail first; `null`: it does not fail.
    #[schema(required)]
    first_failing: Option<String>,
}

impl From<ShownTransition> for TransitionView {
    fn from(ShownTransition { at, from, to, reason, votes, first_failing, .. }: ShownTransition) -> Self {
        Self { at, from, to, reason, votes, first_failing }
    }
}

/// How the verdict came to change, the latest first; the last thousand changes of 400 days are kept.
#[utoipa::path(get, path = "/checks/{name}/transitions", tag = "checks", security(("key" = ["read"])),
    params(PageAsked, ("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "A page of them", body = Items<TransitionView>)))]
pub(in crate::api) async fn transitions(
    _: Reader,
    context: Ctx,
    Path(name): Path<String>,
    Asked(page): Asked<PageAsked>,
) -> Result<Json<Items<TransitionView>>, ApiError> {
    find(&context.reads, &name).await?;
    let before = page.cursor.as_deref().and_then(|cursor| cursor.parse().ok());
    Ok(Json(Items::of(checks::transitions(&context.reads, &name, before, page.limit()).await?)))
}

/// How much of the time a check was reached, in the last so many days.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckUptimes)]
pub(in crate::api) struct CheckUptimesView {
    #[serde(rename = "24h")]
    day: CheckUptimeView,
    #[serde(rename = "7d")]
    week: CheckUptimeView,
    #[serde(rename = "30d")]
    month: CheckUptimeView,
    #[serde(rename = "90d")]
    quarter: CheckUptimeView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CheckUptime)]
struct CheckUptimeView {
    /// Share of the time in which it was up or partial, of that in which anybody could say, 0 to 1; `null`: there was none.
    #[schema(required)]
    uptime: Option<f64>,
    /// Seconds in each state.
    up_s: u32,
    partial_s: u32,
    down_s: u32,
    unknown_s: u32,
    /// Average over the looks of all watchdogs that succeeded, milliseconds.
    #[schema(required)]
    avg_ms: Option<f64>,
}

impl From<Availability> for CheckUptimeView {
    fn from(was: Availability) -> Self {
        let Counts { up_s, partial_s, down_s, unknown_s, .. } = was.counts;
        Self { uptime: was.share(), up_s, partial_s, down_s, unknown_s, avg_ms: was.avg_ms() }
    }
}

/// How much of the time a check was reached: 24 hours, 7, 30 and 90 days.
#[utoipa::path(get, path = "/checks/{name}/uptime", tag = "checks", security(("key" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "What was counted", body = CheckUptimesView)))]
pub(in crate::api) async fn uptime(
    _: Reader,
    context: Ctx,
    Path(name): Path<String>,
    _: Asked<Nothing>,
) -> Result<Json<CheckUptimesView>, ApiError> {
    find(&context.reads, &name).await?;
    let now = clock::wall().0 / 1_000;
    let of = async |days| checks::availability(&context.reads, &name, days, now).await.map(CheckUptimeView::from);
    Ok(Json(CheckUptimesView { day: of(1).await?, week: of(7).await?, month: of(30).await?, quarter: of(90).await? }))
}

request! {
    pub(in crate::api) struct ResultsAsked {
        /// What a row stands for: minute (of the last 26 hours), hour (32 days), day (400 days)
        span: Option<SpanName>,
        /// Rows that began since then, seconds UTC; the last 120 unless said
        since: Option<Whole<0, 4_102_444_800>>,
    }
}

struct SpanName;

impl Field for SpanName {
    type Value = Span;

    fn read(sent: &Value) -> Result<Span, String> {
        match sent.as_str() {
            Some("minute") => Ok(Span::Minute),
            Some("hour") => Ok(Span::Hour),
            Some("day") => Ok(Span::Day),
            Some(_) | None => Err("must be minute, hour or day".to_owned()),
        }
    }

    fn shape() -> Shape {
        Shape::words(&["minute", "hour", "day"])
    }
}

/// Rows unless somebody says since when.
const USUAL_ROWS: i64 = 120;

/// What was counted in one minute, hour or day.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckResult)]
pub(in crate::api) struct ResultView {
    /// When it began, seconds UTC.
    at: i64,
    /// Whose looks; `null`: how long each verdict stood.
    #[schema(required)]
    watchdog: Option<String>,
    up: u32,
    failed: u32,
    unable: u32,
    /// Average over those that succeeded, milliseconds.
    #[schema(required)]
    avg_ms: Option<f64>,
    /// Of the slowest of them.
    most_ms: u32,
    up_s: u32,
    partial_s: u32,
    down_s: u32,
    unknown_s: u32,
}

impl From<Counted> for ResultView {
    fn from(Counted { at, watchdog, counts }: Counted) -> Self {
        let Counts { up, failed, unable, ms_most, up_s, partial_s, down_s, unknown_s, .. } = counts;
        let avg_ms = Availability { counts }.avg_ms();
        let watchdog = watchdog.map(|watchdog| watchdog.to_string());
        Self { at, watchdog, up, failed, unable, avg_ms, most_ms: ms_most, up_s, partial_s, down_s, unknown_s }
    }
}

/// Rows of a check.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckResults)]
pub(in crate::api) struct ResultsView {
    items: Vec<ResultView>,
}

/// What was counted by the minute, hour or day, the oldest first: of the verdict and of each watchdog. At most 20,000 rows.
#[utoipa::path(get, path = "/checks/{name}/results", tag = "checks", security(("key" = ["read"])),
    params(ResultsAsked, ("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The rows", body = ResultsView)))]
pub(in crate::api) async fn results(
    _: Reader,
    context: Ctx,
    Path(name): Path<String>,
    Asked(ResultsAsked { span, since }): Asked<ResultsAsked>,
) -> Result<Json<ResultsView>, ApiError> {
    find(&context.reads, &name).await?;
    let span = span.unwrap_or(Span::Minute);
    let now = clock::wall().0 / 1_000;
    let since = since.unwrap_or(now - USUAL_ROWS * span.seconds());
    let rows = checks::history(&context.reads, &name, span, since..now).await?;
    Ok(Json(ResultsView { items: rows.into_iter().map(ResultView::from).collect() }))
}
