//! A monitor as the API shows it: Kuma's column names, JSON columns as JSON, secrets only by their names.

use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::opinion::OpinionShown;
use crate::api::Context;
use crate::api::auth::Caller;
use crate::api::openapi::Millis;
use crate::api::problem::ApiError;
use crate::monitor::{
    Column, Columns, Secrecy, Table, field_of, holds_credentials, is_always_shown, is_json, is_settable, secrecy,
    veiled,
};
use crate::opinion::SecondOpinion;
use crate::store::audit::{self, Deed};
use crate::store::monitors::{MonitorView, ShownBeat};
use crate::store::{BeatStatus, LastBeat};

/// The last or any beat.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[schema(as = Beat)]
pub(in crate::api) struct BeatShown {
    /// When the run began.
    #[schema(value_type = Millis)]
    pub(super) time: Wall,
    /// `up`, `down`, `pending`, `maintenance`.
    #[schema(value_type = String)]
    pub(super) status: &'static str,
    /// What the run found, in words for people.
    pub(super) msg: String,
    /// How long the target took.
    #[schema(required)]
    pub(super) ping_ms: Option<i64>,
    /// The state changed with it.
    pub(super) important: bool,
    /// Retries so far.
    pub(super) retries: u32,
}

impl From<LastBeat> for BeatShown {
    fn from(beat: LastBeat) -> Self {
        Self {
            time: beat.time,
            status: word(beat.status),
            msg: beat.msg,
            ping_ms: beat.ping_ms,
            important: beat.important,
            retries: beat.retries,
        }
    }
}

impl From<ShownBeat> for BeatShown {
    fn from(beat: ShownBeat) -> Self {
        Self {
            time: beat.time,
            status: word(beat.status),
            msg: beat.msg,
            ping_ms: beat.ping_ms,
            important: beat.important,
            retries: beat.retries,
        }
    }
}

pub(super) fn word(status: BeatStatus) -> &'static str {
    match status {
        BeatStatus::Down => "down",
        BeatStatus::Up => "up",
        BeatStatus::Pending => "pending",
        BeatStatus::Maintenance => "maintenance",
    }
}

/// What one caller is shown.
#[derive(Clone, Copy)]
pub(super) struct MonitorPresenter<'a> {
    pub(super) table: &'a Table,
    /// Who wants a second opinion.
    pub(super) wishes: &'a SecondOpinion,
    pub(super) sight: Sight,
}

/// How much of a monitor's secrets a caller sees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::api) enum Sight {
    /// None.
    Plain,
    /// Where pushes go.
    Tokens,
    /// All: an admin asked for them, and it stands in the audit trail.
    Secrets,
}

impl Sight {
    /// Without asking for more.
    pub(in crate::api) fn of(caller: &Caller) -> Self {
        if caller.may_write() { Self::Tokens } else { Self::Plain }
    }

    /// What this caller sees. That secrets were shown stands in the audit trail before they are: what was done, to what, and
    /// which of them.
    pub(in crate::api) async fn asked(
        context: &Context,
        (caller, wants_secrets): (&Caller, Option<bool>),
        (what, subject, after): (&str, String, Value),
    ) -> Result<Self, ApiError> {
        if !wants_secrets.unwrap_or_default() {
            return Ok(Self::of(caller));
        }
        caller.ensure_admin()?;
        let (what, after) = (what.to_owned(), Some(after.to_string()));
        let deed = Deed { who: caller.who(), what, subject, before: None, after };
        audit::append(&context.state.store, &deed).await?;
        Ok(Self::Secrets)
    }

    fn sees(self, column: &str) -> bool {
        match secrecy(column) {
            Secrecy::Open | Secrecy::Address => true,
            Secrecy::Token => self >= Self::Tokens,
            Secrecy::Secret => self == Self::Secrets,
        }
    }
}

impl MonitorPresenter<'_> {
    pub(super) fn show(self, view: &MonitorView, last: Option<LastBeat>) -> Value {
        let mut shown = columns_shown(self.table, &view.columns, self.sight);
        shown.insert("id".to_owned(), json!(view.spec.id));
        let last = last.map(BeatShown::from);
        let status = match (&last, view.spec.active) {
            (_, false) => "paused",
            (Some(beat), true) => beat.status,
            (None, true) => "unknown",
        };
        let ours = json!({
            "node_id": view.node_id,
            "assigned_node": view.assigned_node,
            "effective_node": view.effective_node,
            "pinned": view.pinned,
            "reason": view.reason,
            "ref": view.reference,
            "tags": view.tags,
            "channels": view.channels,
            "run_on": view.run_on,
            "second_opinion": view.second_opinion,
            "opinion": OpinionShown::of(view, self.wishes),
            "managed_by": view.managed_by,
            "made_by": view.made_by,
            "created_at": view.created_at,
            "status": status,
            "last_beat": last,
        });
        if let Value::Object(ours) = ours {
            shown.extend(ours);
        }
        Value::Object(shown)
    }
}

/// The columns of a row that are shown, and the names of the others as `hidden`.
pub(in crate::api) fn columns_shown(table: &Table, columns: &Columns, sight: Sight) -> Map<String, Value> {
    let (mut shown, mut hidden) = (Map::new(), Vec::<&str>::new());
    // What is unset of the others says nothing.
    for (name, column) in table.columns().filter(|(name, _)| is_settable(name)) {
        let value = columns.get(name).unwrap_or(&Value::Null);
        if !is_always_shown(name) && !is_set(column, value) {
            continue;
        }
        let is_partly = secrecy(name) == Secrecy::Address && sight < Sight::Secrets && holds_credentials(value);
        if is_partly || !sight.sees(name) {
            hidden.push(field_of(name));
        }
        if is_partly {
            shown.insert(field_of(name).to_owned(), veiled(value));
        } else if sight.sees(name) {
            shown.insert(field_of(name).to_owned(), as_sent(name, value));
        }
    }
    shown.insert("hidden".to_owned(), json!(hidden));
    shown
}

fn is_set(column: &Column, value: &Value) -> bool {
    let is_preset = match (value, &column.preset) {
        (Value::Number(value), Value::Number(preset)) => value.as_f64() == preset.as_f64(),
        // SQLite has no type for flags.
        (Value::Bool(value), Value::Number(preset)) => Some(i64::from(*value)) == preset.as_i64(),
        (value, preset) => value == preset,
    };
    !value.is_null() && value != &json!("") && !is_preset
}

/// JSON columns as JSON; what Kuma's UI let somebody write there, when it is none, as text.
fn as_sent(name: &str, value: &Value) -> Value {
    match value {
        Value::String(text) if is_json(name) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            value.clone()
        }
    }
}
