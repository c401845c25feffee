//! From a draft to the columns that are written: a whole new row, or what changes of one that is there.

use serde_json::{Value as Json, json};

use super::draft::Draft;
use super::rules::{field_of, is_json, stored_kind};
use super::table::{Column, Kind, Table};
use super::{Columns, FieldFault, kinds, text};

/// Kuma probes for at most so large a part of the interval, so that runs do not overlap.
const TIMEOUT_PART: f64 = 0.8;

/// Kuma's own for a ping.
const PING_TIMEOUT_S: f64 = 10.0;

/// A new row, with Kuma's defaults where the draft says nothing. `push_token`: what a push monitor gets without one.
pub fn created(draft: &Draft, table: &Table, push_token: &str) -> Result<Columns, Vec<FieldFault>> {
    let said = |column: &str| draft.columns.get(column).filter(|value| !value.is_null());
    let mut faults = vec![];
    if said("name").and_then(Json::as_str).is_none_or(|name| name.trim().is_empty()) {
        faults.push(FieldFault::new("name", "is missing"));
    }
    let Some(kind) = said("type").and_then(Json::as_str) else {
        faults.push(FieldFault::new("type", "is missing"));
        return Err(faults);
    };
    faults.extend(unknown_kind(kind));
    let mut row = starts(draft, kind, push_token);
    row.retain(|column, _| table.column(column).is_some());
    row.extend(
        draft.columns.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())),
    );
    faults.extend(judged(&row, table, |_| true));
    if faults.is_empty() { Ok(row) } else { Err(faults) }
}

fn unknown_kind(kind: &str) -> Option<FieldFault> {
    let message = || format!("\"{kind}\" is no type of monitor; there are {}", kinds::KINDS.join(", "));
    (!kinds::is_known(kind)).then(|| FieldFault::new("type", message()))
}

/// The whole row must be right in what the client changes; what somebody else left wrong is not this client's to mend.
/// Returns the columns that differ.
pub fn edited(draft: &Draft, row: &Columns, table: &Table) -> Result<Columns, Vec<FieldFault>> {
    let mut changes = Columns::new();
    for (name, value) in &draft.columns {
        let Some(column) = table.column(name) else { continue };
        let fresh = if value.is_null() { reset(name, column, row, draft) } else { value.clone() };
        if !is_same(name, row.get(name), &fresh) {
            changes.insert(name.clone(), fresh);
        }
    }
    let mut whole = row.clone();
    whole.extend(changes.clone());
    let mut faults = vec![];
    if text(&whole, "name").is_none() && changes.contains_key("name") {
        faults.push(FieldFault::new("name", "is missing"));
    }
    if let Some(kind) = changes.get("type") {
        faults.extend(unknown_kind(kind.as_str().unwrap_or_default()));
    }
    let kind_changed = changes.contains_key("type");
    let before: Vec<FieldFault> = if kind_changed { vec![] } else { kinds::judge(row) };
    faults.extend(judged(&whole, table, |fault| !before.contains(fault)));
    if faults.is_empty() { Ok(changes) } else { Err(faults) }
}

/// What a column goes back to: nothing, or what it starts with where it must hold something.
fn reset(name: &str, column: &Column, row: &Columns, draft: &Draft) -> Json {
    let interval = || {
        let said = draft.columns.get("interval").and_then(Json::as_f64);
        said.or_else(|| row.get("interval")?.as_f64()).unwrap_or(60.0)
    };
    match (name, stored_kind(name, column), &column.preset) {
        // The table's own preset means 800 intervals to Kuma.
        ("timeout", _, _) => json!(interval() * TIMEOUT_PART),
        ("retry_interval", _, _) => {
            draft.columns.get("interval").or_else(|| row.get("interval")).cloned().unwrap_or_default()
        }
        _ if column.nullable => Json::Null,
        (_, Kind::Flag, Json::Number(preset)) => json!(preset.as_i64() != Some(0)),
        (_, _, preset) => preset.clone(),
    }
}

fn judged(row: &Columns, table: &Table, is_ours: impl Fn(&FieldFault) -> bool) -> Vec<FieldFault> {
    let faults = kinds::judge(row).into_iter().filter(is_ours);
    faults
        .map(|fault| if table.column(&fault.field).is_some() { fault } else { absent(row, &fault) })
        .map(shown)
        .collect()
}

/// It is not the client's fault that this Kuma has no such column.
fn absent(row: &Columns, fault: &FieldFault) -> FieldFault {
    let kind = text(row, "type").unwrap_or_default().to_owned();
    let message = format!(
        "a monitor of type {kind} needs the column {}, which this database's table `monitor` does not have",
        fault.field
    );
    FieldFault::new("type", message)
}

fn shown(fault: FieldFault) -> FieldFault {
    FieldFault { field: field_of(&fault.field).to_owned(), ..fault }
}

fn starts(draft: &Draft, kind: &str, push_token: &str) -> Columns {
    let interval = draft.columns.get("interval").and_then(Json::as_i64).unwrap_or(60);
    let each = draft.columns.get("ping_per_request_timeout").and_then(Json::as_f64).unwrap_or(2.0);
    let usual = f64::from(i32::try_from(interval).unwrap_or(i32::MAX)) * TIMEOUT_PART;
    let timeout = if kind == "ping" { PING_TIMEOUT_S.min(usual.ceil()).max(each) } else { usual };
    let mut row: Columns = [
        ("active", json!(true)),
        ("interval", json!(interval)),
        ("retry_interval", json!(interval)),
        ("maxretries", json!(0)),
        ("timeout", json!(timeout)),
        ("resend_interval", json!(0)),
        ("upside_down", json!(false)),
        ("method", json!("GET")),
        ("maxredirects", json!(10)),
        ("accepted_statuscodes_json", json!("[\"200-299\"]")),
        ("conditions", json!("[]")),
        ("weight", json!(2_000)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if kind == "push" {
        row.insert("push_token".to_owned(), json!(push_token));
    }
    // Kuma itself takes a user without a method for nobody.
    let is_given = |column| draft.columns.get(column).is_some_and(|value| !value.is_null() && value != "");
    if ["basic_auth_user", "basic_auth_pass"].into_iter().any(is_given) && takes_basic(kind) {
        row.insert("auth_method".to_owned(), json!("basic"));
    }
    row.extend(kinds::starts(kind).map(|(name, value)| (name.to_owned(), value)));
    row
}

fn takes_basic(kind: &str) -> bool {
    matches!(kind, "http" | "keyword" | "json-query" | "websocket-upgrade")
}

/// Numbers by value, JSON by meaning; NULL and an absent column are alike.
fn is_same(name: &str, before: Option<&Json>, after: &Json) -> bool {
    let before = before.unwrap_or(&Json::Null);
    match (before, after) {
        (Json::Number(before), Json::Number(after)) => before.as_f64() == after.as_f64(),
        (Json::String(before), Json::String(after)) if is_json(name) => {
            let parsed = |text: &str| serde_json::from_str::<Json>(text).ok();
            before == after || parsed(before).is_some_and(|before| Some(before) == parsed(after))
        }
        (before, after) => before == after,
    }
}
