//! From a draft to a definition: a new one, one that is changed in what is named, or one that is replaced as a whole.

use komainu_watchdogs::check::Quorum;
use komainu_watchdogs::io::Severity;
use serde_json::{Value as Json, json};

use super::draft::Draft;
use super::{Definition, Guard, INTERVAL_S, columns, target, usual_timeout_s};
use crate::monitor::{self, Columns, FieldFault, field_of};

/// Of Kuma's, those that a native look can do.
const AUTH_METHODS: [&str; 3] = ["basic", "bearer", "mtls"];

/// A new one, with what it starts with where the draft says nothing.
pub fn created(draft: &Draft, guard: &Guard) -> Result<Definition, Vec<FieldFault>> {
    let (name, kind) = (draft.name.clone(), draft.kind.clone());
    let is_missing = |field: &str, is_said: bool| (!is_said).then(|| FieldFault::new(field, "is missing"));
    let (Some(name), Some(kind)) = (name.clone(), kind.clone()) else {
        return Err([is_missing("name", name.is_some()), is_missing("type", kind.is_some())]
            .into_iter()
            .flatten()
            .collect());
    };
    let blank = Definition {
        name,
        kind,
        settings: Columns::new(),
        interval_s: INTERVAL_S,
        timeout_s: None,
        quorum: Quorum::default(),
        zones: vec![],
        severity: Severity::Critical,
        channels: vec![],
        tags: vec![],
        is_paused: false,
        managed_by: None,
    };
    made_of(draft, blank, guard)
}

/// What is there, with what the draft names changed.
pub fn edited(draft: &Draft, before: &Definition, guard: &Guard) -> Result<Definition, Vec<FieldFault>> {
    let mut base = before.clone();
    if let Some(kind) = &draft.kind {
        base.kind.clone_from(kind);
    }
    // What only its type before had goes with that type.
    base.settings.retain(|column, _| columns::columns_of(&base.kind).is_some_and(|own| own.column(column).is_some()));
    made_of(draft, base, guard)
}

/// What the draft says and nothing else; only its age is left.
pub fn replaced(draft: &Draft, before: &Definition, guard: &Guard) -> Result<Definition, Vec<FieldFault>> {
    let name = Some(before.name.clone());
    created(&Draft { name, ..draft.clone() }, guard)
}

fn made_of(draft: &Draft, base: Definition, guard: &Guard) -> Result<Definition, Vec<FieldFault>> {
    let interval_s = draft.interval_s.map_or(base.interval_s, |said| said.unwrap_or(INTERVAL_S));
    let mut made = Definition {
        interval_s,
        timeout_s: draft.timeout_s.unwrap_or(base.timeout_s),
        quorum: draft.quorum.unwrap_or(base.quorum),
        zones: draft.zones.clone().unwrap_or(base.zones),
        severity: draft.severity.unwrap_or(base.severity),
        channels: draft.channels.clone().unwrap_or(base.channels),
        tags: draft.tags.clone().unwrap_or(base.tags),
        is_paused: draft.is_paused.unwrap_or(base.is_paused),
        managed_by: draft.managed_by.clone().unwrap_or(base.managed_by),
        ..base
    };
    let mut faults = foreign(&draft.settings, &made.kind);
    faults.extend(authentication(&draft.settings));
    // What was judged once and is not touched is left alone: a check can be paused whatever the rules are by now.
    let is_timed_anew = draft.interval_s.is_some() || draft.timeout_s.is_some();
    let is_touched = is_timed_anew || !draft.settings.is_empty() || draft.kind.is_some() || made.settings.is_empty();
    if is_touched && faults.is_empty() {
        match settled(draft, &made) {
            Ok(settings) => made.settings = settings,
            Err(found) => faults.extend(found),
        }
        faults.extend(target::fault(guard, &made.kind, &made.settings));
    }
    faults.extend(timing(&made));
    if faults.is_empty() { Ok(made) } else { Err(faults) }
}

/// Columns that are set and that its type does not have.
fn foreign(settings: &Columns, kind: &str) -> Vec<FieldFault> {
    let own = columns::columns_of(kind);
    let is_foreign = |column: &str| own.is_none_or(|own| own.column(column).is_none());
    let set = settings.iter().filter(|(column, value)| !value.is_null() && is_foreign(column));
    set.map(|(column, _)| FieldFault::new(field_of(column), format!("a check of type {kind} has no such field")))
        .collect()
}

/// The columns as a monitor of this type would have them, by the same rules.
fn settled(draft: &Draft, made: &Definition) -> Result<Columns, Vec<FieldFault>> {
    let Some(table) = columns::columns_of(&made.kind) else { return Err(vec![]) };
    let mut said = made.settings.clone();
    for (column, value) in &draft.settings {
        if value.is_null() {
            said.remove(column);
        } else {
            said.insert(column.clone(), value.clone());
        }
    }
    let timeout_s = made.timeout_s.unwrap_or_else(|| usual_timeout_s(made.interval_s, &said));
    said.extend([
        ("name".to_owned(), json!(made.name)),
        ("type".to_owned(), json!(made.kind)),
        ("interval".to_owned(), json!(made.interval_s)),
        ("timeout".to_owned(), json!(timeout_s)),
    ]);
    let shared = monitor::Draft { columns: said, ..monitor::Draft::default() };
    let mut settings = monitor::created(&shared, table, "")?;
    settings.retain(|column, value| table.column(column).is_some() && !value.is_null());
    Ok(settings)
}

fn timing(made: &Definition) -> Option<FieldFault> {
    let (timeout_s, interval_s) = (made.timeout_s(), made.interval_s);
    (timeout_s >= f64::from(interval_s)).then(|| {
        let message =
            format!("must be below the interval ({interval_s} s), and is {timeout_s} s: looks must not overlap");
        FieldFault::new("timeout", message)
    })
}

fn authentication(settings: &Columns) -> Option<FieldFault> {
    let method = settings.get("auth_method").and_then(Json::as_str)?;
    (!AUTH_METHODS.contains(&method)).then(|| {
        let message = format!("must be one of {}: watchdogs cannot sign in by {method}", AUTH_METHODS.join(", "));
        FieldFault::new("auth_method", message)
    })
}
