//! What a client says of one check: which of its fields, and which of Kuma's columns.

use serde_json::{Map, Value as Json};

use komainu_watchdogs::check::Quorum;
use komainu_watchdogs::io::Severity;

use super::columns::all_columns;
use super::{LEAST_INTERVAL_S, LEAST_TIMEOUT_S, MOST_INTERVAL_S, MOST_TIMEOUT_S, parse_quorum};
use crate::heartbeat::{NAME_CHARS, is_name};
use crate::monitor::{self, Columns, FieldFault, field_of, kind_of_json, read_flag, read_names, read_real, read_whole};

/// Fields of its own, beside Kuma's columns.
pub const FIELDS: [&str; 11] =
    ["channels", "interval", "managed_by", "name", "paused", "quorum", "severity", "tags", "timeout", "type", "zones"];

/// What the API shows and nobody sends.
const SHOWN_ONLY: [&str; 9] =
    ["changed_at", "changed_by", "created_at", "created_by", "hidden", "reason", "revision", "since", "state"];

/// Words that stand in the place of a name in the API's paths: no check is called so.
pub const WORDS_OF_PATHS: [&str; 2] = ["bulk", "try"];

/// Characters of a zone's name.
pub const MOST_ZONE_CHARS: usize = 100;

/// Nothing that is not named here is changed. Of each field: not said, taken back to what it starts with, or a value.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Draft {
    /// Its name; who asks for one by its name has it from there.
    pub name: Option<String>,
    /// Its type.
    pub kind: Option<String>,
    /// Kuma's columns by name; NULL: back to what it starts with.
    pub settings: Columns,
    /// Seconds between the looks of one watchdog; `Some(None)`: as usual.
    pub interval_s: Option<Option<u32>>,
    /// Seconds that one look may take; `Some(None)`: as the interval says.
    pub timeout_s: Option<Option<f64>>,
    /// How many must agree.
    pub quorum: Option<Quorum>,
    /// Only watchdogs there look.
    pub zones: Option<Vec<String>>,
    /// Of its incident.
    pub severity: Option<Severity>,
    /// Channels that hear of it.
    pub channels: Option<Vec<String>>,
    /// For routes.
    pub tags: Option<Vec<String>>,
    /// Nobody looks.
    pub is_paused: Option<bool>,
    /// The set that it belongs to; `Some(None)`: none.
    pub managed_by: Option<Option<String>>,
}

impl Draft {
    /// The fields that can be read, and what is wrong with the others: for judging the rest of it too.
    pub fn read_what_can_be(fields: &Map<String, Json>) -> (Self, Vec<FieldFault>) {
        Self::read(fields, &FIELDS)
    }

    /// The same of what is only tried: it has no name.
    pub fn read_nameless(fields: &Map<String, Json>) -> (Self, Vec<FieldFault>) {
        let own: Vec<&str> = FIELDS.into_iter().filter(|field| *field != "name").collect();
        Self::read(fields, &own)
    }

    /// `own`: those of [`FIELDS`] that may be said.
    fn read(fields: &Map<String, Json>, own: &[&str]) -> (Self, Vec<FieldFault>) {
        let mut draft = Self::default();
        let (mut faults, mut rest) = (vec![], Map::new());
        for (field, sent) in fields {
            if !is_known(field, own) {
                faults.push(FieldFault::new(field, unknown(field, own)));
                continue;
            }
            match draft.take_own(field, sent) {
                Some(taken) => faults.extend(taken.err().map(|message| FieldFault::new(field, message))),
                None => {
                    rest.insert(field.clone(), sent.clone());
                }
            }
        }
        // Read as a monitor's are, with the same words for what is wrong.
        let (shared, found) = monitor::Draft::read_what_can_be(&rest, all_columns());
        faults.extend(found);
        let monitor::Draft { columns, channels, tags, managed_by, .. } = shared;
        (Self { settings: columns, channels, tags, managed_by, ..draft }, faults)
    }

    /// `None`: it is read as a monitor's.
    fn take_own(&mut self, field: &str, sent: &Json) -> Option<Result<(), String>> {
        Some(match field {
            "name" => name(sent).map(|name| self.name = Some(name)),
            "type" => kind(sent).map(|kind| self.kind = Some(kind)),
            "interval" => interval(sent).map(|interval| self.interval_s = Some(interval)),
            "timeout" => timeout(sent).map(|timeout| self.timeout_s = Some(timeout)),
            "quorum" => quorum(sent).map(|quorum| self.quorum = Some(quorum)),
            "zones" => read_names(sent).map(|zones| self.zones = Some(zones)),
            "severity" => severity(sent).map(|severity| self.severity = Some(severity)),
            "paused" => paused(sent).map(|paused| self.is_paused = Some(paused)),
            _ => return None,
        })
    }
}

fn is_known(field: &str, own: &[&str]) -> bool {
    own.contains(&field) || all_columns().columns().any(|(column, _)| field_of(column) == field)
}

fn unknown(field: &str, own: &[&str]) -> String {
    if SHOWN_ONLY.contains(&field) {
        return "is shown, not set".to_owned();
    }
    let columns = all_columns().columns().map(|(column, _)| field_of(column));
    let mut known: Vec<&str> = own.iter().copied().chain(columns).collect();
    known.sort_unstable();
    format!("unknown field; known are {}", known.join(", "))
}

fn name(sent: &Json) -> Result<String, String> {
    let rule = || {
        format!(
            "must be 1 to {NAME_CHARS} letters, digits, dots, dashes and underscores, and begin with a letter or digit"
        )
    };
    match sent {
        Json::Null => Err("is missing".to_owned()),
        Json::String(text) if WORDS_OF_PATHS.contains(&text.as_str()) => {
            Err(format!("{text} is a word of the API's paths; take another one"))
        }
        Json::String(text) if is_name(text) => Ok(text.clone()),
        Json::String(_) => Err(rule()),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            Err(format!("must be text, not {}", kind_of_json(sent)))
        }
    }
}

fn kind(sent: &Json) -> Result<String, String> {
    let found = super::KINDS.into_iter().find(|kind| sent == *kind);
    found.map(str::to_owned).ok_or_else(|| format!("must be one of {}", super::KINDS.join(", ")))
}

fn interval(sent: &Json) -> Result<Option<u32>, String> {
    if sent.is_null() {
        return Ok(None);
    }
    let read = read_whole(sent, LEAST_INTERVAL_S.into(), MOST_INTERVAL_S.into())?;
    Ok(read.as_u64().and_then(|seconds| u32::try_from(seconds).ok()))
}

fn timeout(sent: &Json) -> Result<Option<f64>, String> {
    if sent.is_null() {
        return Ok(None);
    }
    read_real(sent, LEAST_TIMEOUT_S, MOST_TIMEOUT_S).map(|read| read.as_f64())
}

fn quorum(sent: &Json) -> Result<Quorum, String> {
    match sent {
        Json::Null => Ok(Quorum::Majority),
        Json::String(text) => parse_quorum(text),
        Json::Number(_) | Json::Bool(_) | Json::Array(_) | Json::Object(_) => parse_quorum(&sent.to_string()),
    }
}

fn severity(sent: &Json) -> Result<Severity, String> {
    match sent.as_str() {
        _ if sent.is_null() => Ok(Severity::Critical),
        Some("critical") => Ok(Severity::Critical),
        Some("warning") => Ok(Severity::Warning),
        Some(_) | None => Err("must be critical or warning".to_owned()),
    }
}

fn paused(sent: &Json) -> Result<bool, String> {
    if sent.is_null() { Ok(false) } else { read_flag(sent) }
}
