//! What a komainu.yaml says: which sections there are, what may stand in them, and what is wrong with it.
//!
//! Pure. Values of monitors are judged by the watchdog, which knows the table; names of fields are judged here, so that
//! a dry run finds what is misspelt.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::FileFault;
use super::fields::{HEARTBEAT, NODE, is_check_field, is_monitor_field};
use super::yaml::{self, Node, NodeContent};
use crate::check;
use crate::cli::{duration, maintenances};
use crate::pages;

/// How names of sets begin where they are stored: who manages a row.
const MANAGER: &str = "apply/";

/// A file, read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Document {
    /// Whose rows these are; without it nobody's.
    pub(super) set: Option<String>,
    /// By ref. A section that is not in the file says nothing, an empty one that there are none.
    pub(super) monitors: Option<Vec<Entry>>,
    /// The heartbeats, each under its name.
    pub(super) heartbeats: Option<Vec<Entry>>,
    /// The checks, each under its name.
    pub(super) checks: Option<Vec<Entry>>,
    /// The public pages, each under its place.
    pub(super) pages: Option<Vec<Entry>>,
    /// What depends on something, each under the key of its incidents.
    pub(super) dependencies: Option<Vec<Entry>>,
    /// The maintenance windows, each under its name.
    pub(super) maintenances: Option<Vec<Entry>>,
    /// By id.
    pub(super) nodes: Option<Vec<Entry>>,
}

/// One thing that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) fields: Map<String, Value>,
    /// Of each field that stands in the file.
    lines: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Monitors,
    Heartbeats,
    Checks,
    Pages,
    Dependencies,
    Maintenances,
    Nodes,
}

/// Says everything that is wrong at once.
pub(super) fn read(text: &str) -> Result<Document, Vec<FileFault>> {
    let root = yaml::read(text).map_err(|fault| vec![fault])?;
    let mut reading = Reading::default();
    reading.root(&root);
    if reading.faults.is_empty() { Ok(reading.document) } else { Err(reading.faults) }
}

/// For [`crate::hostile`]: a file to be applied.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(faults) = read(&text) {
        assert!(!faults.is_empty(), "what is refused is refused for a reason");
    }
}

impl Document {
    /// As `managed_by` has it.
    pub(super) fn manager(&self) -> Option<String> {
        self.set.as_ref().map(|set| format!("{MANAGER}{set}"))
    }
}

impl Entry {
    /// The line of a field, or of the whole where it stands in the defaults.
    pub(super) fn line_of(&self, field: &str) -> usize {
        self.lines.get(field).copied().unwrap_or(self.line)
    }
}

/// Fields of every monitor, heartbeat, check and page that does not say otherwise.
#[derive(Default)]
struct Defaults {
    monitors: Map<String, Value>,
    heartbeats: Map<String, Value>,
    checks: Map<String, Value>,
    pages: Map<String, Value>,
}

#[derive(Default)]
struct Reading {
    document: Document,
    faults: Vec<FileFault>,
}

impl Reading {
    fn root(&mut self, root: &Node) {
        let Some(entries) = self.map(root, "the file") else { return };
        let defaults = entries.iter().find(|(key, _)| key == "defaults").map(|(_, node)| node.clone());
        let defaults = self.defaults(defaults.as_ref());
        for (key, node) in entries {
            match key.as_str() {
                "set" => self.document.set = Some(self.set_name(node)),
                "defaults" => {}
                "monitors" => self.document.monitors = self.section(node, Section::Monitors, &defaults.monitors),
                "heartbeats" => {
                    self.document.heartbeats = self.section(node, Section::Heartbeats, &defaults.heartbeats);
                }
                "checks" => self.document.checks = self.section(node, Section::Checks, &defaults.checks),
                "pages" => self.document.pages = self.section(node, Section::Pages, &defaults.pages),
                "dependencies" => {
                    self.document.dependencies = self.section(node, Section::Dependencies, &Map::new());
                }
                "maintenances" => {
                    self.document.maintenances = self.section(node, Section::Maintenances, &Map::new());
                }
                "nodes" => self.document.nodes = self.section(node, Section::Nodes, &Map::new()),
                _ => self.fault(
                    node.line,
                    key,
                    "unknown key; known are set, defaults, monitors, heartbeats, checks, pages, dependencies, maintenances, nodes",
                ),
            }
        }
    }

    fn set_name(&mut self, node: &Node) -> String {
        let name = node.json().as_str().unwrap_or_default().to_owned();
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if name.is_empty() || name.len() > 100 || !name.chars().all(is_plain) {
            self.fault(node.line, "set", "must be 1 to 100 of A-Z a-z 0-9 . _ -");
        }
        name
    }

    fn defaults(&mut self, node: Option<&Node>) -> Defaults {
        let mut found = Defaults::default();
        let Some(node) = node else { return found };
        let Some(entries) = self.map(node, "defaults") else { return found };
        for (key, node) in entries {
            let path = format!("defaults.{key}");
            match key.as_str() {
                "monitors" => found.monitors = self.fields(node, Section::Monitors, &path).0,
                "heartbeats" => found.heartbeats = self.fields(node, Section::Heartbeats, &path).0,
                "checks" => found.checks = self.fields(node, Section::Checks, &path).0,
                "pages" => found.pages = self.fields(node, Section::Pages, &path).0,
                _ => self.fault(node.line, &path, "unknown key; known are monitors, heartbeats, checks, pages"),
            }
        }
        found
    }

    fn section(&mut self, node: &Node, section: Section, defaults: &Map<String, Value>) -> Option<Vec<Entry>> {
        let name = section.name();
        // `monitors:` with nothing below it may be all that is left of a file that was cut off.
        if node.json().is_null() {
            self.fault(node.line, name, "is empty; write {} for none, or leave it out");
            return None;
        }
        let entries = self.map(node, name)?;
        let mut wanted = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let (own, lines) = self.fields(node, section, &format!("{name}.{key}"));
            let fields = section.with_defaults(&own, defaults);
            wanted.push(Entry { name: key.clone(), line: node.line, fields, lines });
        }
        Some(wanted)
    }

    fn fields(&mut self, node: &Node, section: Section, path: &str) -> (Map<String, Value>, BTreeMap<String, usize>) {
        let (mut fields, mut lines) = (Map::new(), BTreeMap::new());
        for (key, node) in self.map(node, path).unwrap_or_default() {
            let path = format!("{path}.{key}");
            match section.field(key, node.json()) {
                Ok((field, value)) => {
                    lines.insert(field.clone(), node.line);
                    if fields.insert(field, value).is_some() {
                        self.fault(node.line, &path, "is said twice, under two names");
                    }
                }
                Err(message) => self.fault(node.line, &path, message),
            }
        }
        (fields, lines)
    }

    fn map<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a [(String, Node)]> {
        if let NodeContent::Map(entries) = &node.held {
            return Some(entries);
        }
        self.fault(node.line, what, "must be keys with values");
        None
    }

    fn fault(&mut self, line: usize, field: &str, message: impl Into<String>) {
        self.faults.push(FileFault::new(line, field, message));
    }
}

impl Section {
    fn name(self) -> &'static str {
        match self {
            Self::Monitors => "monitors",
            Self::Heartbeats => "heartbeats",
            Self::Checks => "checks",
            Self::Pages => "pages",
            Self::Dependencies => "dependencies",
            Self::Maintenances => "maintenances",
            Self::Nodes => "nodes",
        }
    }

    /// A check has of the defaults what its type has: those of web addresses say nothing of a ping.
    fn with_defaults(self, own: &Map<String, Value>, defaults: &Map<String, Value>) -> Map<String, Value> {
        let mut fields = defaults.clone();
        fields.extend(own.clone());
        let kind = fields.get("type").and_then(Value::as_str).filter(|_| self == Self::Checks);
        if let Some(kind) = kind.filter(|kind| check::KINDS.contains(kind)).map(str::to_owned) {
            fields.retain(|field, _| {
                own.contains_key(field) || check::FIELDS.contains(&field.as_str()) || check::uses(&kind, field)
            });
        }
        fields
    }

    /// A field as the API names it and takes it.
    fn field(self, key: &str, value: Value) -> Result<(String, Value), String> {
        match self {
            Self::Monitors if is_monitor_field(key) => Ok((key.to_owned(), value)),
            Self::Monitors => {
                let bare = key.strip_suffix("_json").filter(|bare| is_monitor_field(bare));
                let hint =
                    bare.map_or_else(String::new, |bare| format!("; it is written as {bare}, its value as YAML"));
                Err(format!("unknown field: neither a column of Kuma's monitors nor one of komainu's{hint}"))
            }
            Self::Heartbeats => heartbeat_field(key, value),
            Self::Checks => check_field(key, value),
            Self::Pages => page_field(key, value),
            Self::Dependencies if key == "depends_on" && value.is_array() => Ok((key.to_owned(), value)),
            Self::Dependencies if key == "depends_on" => Err("must be a list; [] for nothing".to_owned()),
            Self::Dependencies => Err("unknown field; known is depends_on".to_owned()),
            Self::Maintenances => maintenance_field(key, value),
            Self::Nodes if NODE.contains(&key) => Ok((key.to_owned(), value)),
            Self::Nodes => Err(format!("unknown field; known are {}", NODE.join(", "))),
        }
    }
}

/// Its place is its key, who manages it is the file's `set`.
fn page_field(key: &str, value: Value) -> Result<(String, Value), String> {
    let is_known = |field: &&str| !["slug", "managed_by"].contains(field);
    if !pages::FIELDS.iter().filter(|field| is_known(field)).any(|field| *field == key) {
        let known: Vec<&str> = pages::FIELDS.into_iter().filter(is_known).collect();
        return Err(format!("unknown field; known are {}", known.join(", ")));
    }
    Ok((key.to_owned(), if key == "groups" { bare_groups(value) } else { value }))
}

/// Groups without what says nothing and without what the watchdog adds, so that what is wanted and what is there can be compared.
pub(super) fn bare_groups(mut groups: Value) -> Value {
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    for group in groups.as_array_mut().into_iter().flatten() {
        let Some(group) = group.as_object_mut() else { continue };
        group.retain(|_, value| !says_nothing(value));
        let components = group.get_mut("components").and_then(Value::as_array_mut);
        for component in components.into_iter().flatten().filter_map(Value::as_object_mut) {
            component.retain(|field, value| field != "id" && !says_nothing(value));
        }
    }
    groups
}

/// Durations and times may be written as people write them.
fn heartbeat_field(key: &str, value: Value) -> Result<(String, Value), String> {
    if HEARTBEAT.contains(&key) {
        let text = value.as_str().filter(|_| key == "first_due");
        let Some(text) = text else { return Ok((key.to_owned(), value)) };
        let at: Timestamp = text.parse().map_err(|_| "write it as 2026-03-01T03:00:00+01:00".to_owned())?;
        return Ok((key.to_owned(), at.as_millisecond().into()));
    }
    let field = format!("{key}_s");
    if !HEARTBEAT.contains(&field.as_str()) {
        return Err(format!("unknown field; known are {}", HEARTBEAT.join(", ")));
    }
    match value.as_str() {
        Some(text) => duration::parse_seconds(text).map(|seconds| (field, seconds.into())),
        None if value.is_null() => Ok((field, value)),
        None => Err("write it with its unit: 90s, 1h30m, 7d".to_owned()),
    }
}

/// Times may be written as people write them, and how long each lasts with its unit.
fn maintenance_field(key: &str, value: Value) -> Result<(String, Value), String> {
    let field = if key == "lasts" { "lasts_s" } else { key };
    // How long from its start is no state that a file could describe: its start may be the moment in which it is applied.
    if !maintenances::FIELDS.contains(&field) || field == "duration_s" {
        let known = maintenances::FIELDS.into_iter().filter(|field| *field != "duration_s");
        return Err(format!("unknown field; known are {}", known.collect::<Vec<_>>().join(", ")));
    }
    let Some(text) = value.as_str() else { return Ok((field.to_owned(), value)) };
    let value = match field {
        "starts_at" | "ends_at" => {
            let at: Timestamp = text.parse().map_err(|_| "write it as 2026-03-01T03:00:00+01:00".to_owned())?;
            at.as_millisecond().into()
        }
        "lasts_s" => duration::parse_seconds(text)?.into(),
        _ => value,
    };
    Ok((field.to_owned(), value))
}

/// Durations may be written with their unit, and a number of watchdogs as text.
fn check_field(key: &str, value: Value) -> Result<(String, Value), String> {
    if !is_check_field(key) {
        return Err("unknown field: neither one of a check's own nor one of Kuma's columns that checks have".to_owned());
    }
    let Some(text) = value.as_str() else { return Ok((key.to_owned(), value)) };
    let value = match key {
        "interval" | "timeout" => duration::parse_seconds(text)?.into(),
        "quorum" => check::parse_quorum(text).map(check::quorum_json)?,
        _ => value,
    };
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests;
