//! A backup that Uptime Kuma 1.x wrote (Settings, Backup), read as monitors for the API.
//!
//! Pure. Kuma writes `{"version", "notificationList", "monitorList"}`, each monitor as its UI gets it: most names in camel
//! case, a few as the column is called, beside them what it only computes. What names rows of other tables (proxies,
//! Docker hosts) cannot be carried over, since a backup holds none of these.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::opinion::{TAG, Wish};
use serde_json::{Map, Value};

use super::super::monitors::bulk::Fields;
use crate::byte_order_mark;

/// What monitors of a backup are called, before their id there.
pub(super) const REF: &str = "kuma-backup/";

/// What can be made of a backup.
#[derive(Debug, Default)]
pub(super) struct Backup {
    pub(super) version: String,
    pub(super) monitors: Vec<Imported>,
    /// By name, and why.
    pub(super) refused: Vec<(String, String)>,
    /// What is left behind of those that are imported.
    pub(super) left_behind: BTreeSet<&'static str>,
}

/// One monitor of it.
#[derive(Debug, PartialEq)]
pub(super) struct Imported {
    pub(super) name: String,
    pub(super) reference: String,
    /// All but the parent.
    pub(super) fields: Fields,
    /// The ref of the group that it belongs to.
    pub(super) parent: Option<String>,
}

/// Computed by Kuma, or of its own.
const COMPUTED: [&str; 12] = [
    "pathName",
    "path",
    "childrenIDs",
    "forceInactive",
    "maintenance",
    "screenshot",
    "includeSensitiveData",
    "dns_last_result",
    "user_id",
    "certExpiryDaysRemaining",
    "validCert",
    "id",
];

/// Read on their own.
const READ: [&str; 6] = ["name", "type", "active", "parent", "tags", "notificationIDList"];

/// Rows of tables that no backup holds, what they are, and the one type that asks for them (none: all do).
const ELSEWHERE: [(&str, &str, Option<&str>); 4] = [
    ("proxyId", "a proxy", None),
    ("proxy_id", "a proxy", None),
    ("docker_host", "a Docker host", Some("docker")),
    ("remote_browser", "a remote browser", Some("real-browser")),
];

/// Kuma exports every column of every monitor; columns that begin so mean something to these types alone.
const FAMILIES: [(&str, &[&str]); 10] = [
    ("database_", &["sqlserver", "postgres", "mysql", "mongodb", "redis"]),
    ("dns_", &["dns"]),
    ("docker_", &["docker"]),
    ("game", &["gamedig"]),
    ("grpc_", &["grpc-keyword"]),
    ("kafka_", &["kafka-producer"]),
    ("mqtt_", &["mqtt"]),
    ("packet_size", &["ping"]),
    ("push_token", &["push"]),
    ("radius_", &["radius"]),
];

/// Numbers that older versions kept as text.
const NUMBERS: [&str; 8] =
    ["interval", "retry_interval", "resend_interval", "timeout", "port", "maxretries", "maxredirects", "packet_size"];

/// Reads the text of a file. What is no backup at all is an error; a monitor that cannot be imported is not.
pub(super) fn read(text: &str) -> anyhow::Result<Backup> {
    let text = byte_order_mark::stripped(text);
    let whole: Value = serde_json::from_str(text).map_err(|error| anyhow::anyhow!("it is no JSON: {error}"))?;
    let list = whole.get("monitorList");
    // The list, or what the UI keeps it as: an object by id.
    let monitors: Vec<&Value> = match list {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(Value::Object(items)) => items.values().collect(),
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            anyhow::bail!("it has no monitorList; Kuma 1.x writes one by Settings, Backup, Export")
        }
    };
    let version = whole.get("version").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let mut backup = Backup { version, ..Backup::default() };
    for (at, monitor) in monitors.into_iter().enumerate() {
        backup.take(at, monitor);
    }
    backup.settle_parents();
    Ok(backup)
}

/// For [`crate::hostile`]: a file that calls itself a backup.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(bytes: &[u8]) {
    let Ok(backup) = read(&String::from_utf8_lossy(bytes)) else { return };
    let references: BTreeSet<&str> = backup.monitors.iter().map(|monitor| monitor.reference.as_str()).collect();
    assert_eq!(references.len(), backup.monitors.len(), "each monitor has a name of its own");
}

impl Backup {
    fn take(&mut self, at: usize, monitor: &Value) {
        let empty = Map::new();
        let source = monitor.as_object().unwrap_or(&empty);
        let name = source.get("name").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let shown = if name.is_empty() { format!("entry {} of monitorList", at + 1) } else { name.clone() };
        let refusal = match number(source.get("id")) {
            None => Some("it has no id, by which it could be found again".to_owned()),
            Some(_) => refusal(source),
        };
        if let Some(reason) = refusal {
            self.refused.push((shown, reason));
            return;
        }
        let reference = format!("{REF}{}", number(source.get("id")).unwrap_or_default());
        if self.monitors.iter().any(|other| other.reference == reference) {
            self.refused.push((shown, "another monitor of this backup has its id".to_owned()));
            return;
        }
        let parent = number(source.get("parent")).map(|id| format!("{REF}{id}"));
        let fields = self.fields(source, &name, &reference);
        self.monitors.push(Imported { name: shown, reference, fields, parent });
    }

    fn fields(&mut self, source: &Map<String, Value>, name: &str, reference: &str) -> Fields {
        let mut fields = Map::new();
        for (key, value) in source {
            let is_special = COMPUTED.contains(&key.as_str()) || READ.contains(&key.as_str());
            let column = snake_case(key);
            let is_elsewhere = ELSEWHERE.iter().any(|(name, ..)| name == key);
            if is_special || is_elsewhere || says_nothing(value) || !is_asked_for(&column, source) {
                continue;
            }
            let value = if NUMBERS.contains(&column.as_str()) { as_number(value) } else { value.clone() };
            fields.insert(column, value);
        }
        // 0 is what Kuma 1.x writes where nobody chose: its own default is a part of the interval.
        for column in ["timeout", "retry_interval"] {
            if fields.get(column).and_then(Value::as_f64) == Some(0.0) {
                fields.remove(column);
            }
        }
        let kind = source.get("type").and_then(Value::as_str).unwrap_or_default();
        // Kuma 1.x knew one comparison; 2.x asks which.
        if kind == "json-query" && !fields.contains_key("json_path_operator") {
            fields.insert("json_path_operator".to_owned(), "==".into());
        }
        fields.insert("ref".to_owned(), reference.into());
        fields.insert("name".to_owned(), name.into());
        fields.insert("type".to_owned(), kind.into());
        fields.insert("active".to_owned(), is_on(source.get("active")).into());
        self.take_tags(source, &mut fields);
        if source.get("notificationIDList").and_then(Value::as_object).is_some_and(|list| !list.is_empty()) {
            self.left_behind
                .insert("notifications: komainu tells people through its own channels (`channels`, routes)");
        }
        if is_on(source.get("forceInactive")) {
            self.left_behind
                .insert("whether monitors below a paused group were paused themselves: they are imported paused");
        }
        fields
    }

    /// A tag `run_on` says which nodes may run it, and `second_opinion` who is asked beside its node, as in Kuma's UI; of the others the names
    /// are kept.
    fn take_tags(&mut self, source: &Map<String, Value>, fields: &mut Fields) {
        let tags = source.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut names = BTreeSet::new();
        let mut run_on = BTreeSet::new();
        let mut wishes = BTreeSet::new();
        for tag in tags {
            let of = |key: &str| tag.get(key).and_then(Value::as_str).unwrap_or_default().trim();
            if of("name") == "run_on" {
                run_on.extend(of("value").split(',').map(str::trim).filter(|label| !label.is_empty()));
            } else if of("name") == TAG && Wish::parse(of("value")).is_some() {
                wishes.insert(Wish::parse(of("value")));
            } else if !of("name").is_empty() {
                names.insert(of("name"));
                if !of("value").is_empty() {
                    self.left_behind.insert("values of tags: their names are kept");
                }
            }
        }
        if let Some(strictest) = wishes.last().copied().flatten() {
            fields.insert(TAG.to_owned(), strictest.as_str().into());
        }
        let lists = [("tags", names), ("run_on", run_on)];
        fields.extend(
            lists
                .into_iter()
                .filter(|(_, list)| !list.is_empty())
                .map(|(name, list)| (name.to_owned(), list.into_iter().collect::<Vec<_>>().into())),
        );
    }

    /// Drops parents that are not imported, and says so.
    fn settle_parents(&mut self) {
        let kinds: BTreeMap<_, _> = self
            .monitors
            .iter()
            .map(|monitor| {
                (monitor.reference.clone(), monitor.fields.get("type").and_then(Value::as_str) == Some("group"))
            })
            .collect();
        for monitor in &mut self.monitors {
            if monitor.parent.as_ref().is_some_and(|parent| kinds.get(parent) != Some(&true)) {
                monitor.parent = None;
                self.left_behind.insert("groups that are not in the backup: what was below them is below none");
            }
        }
    }
}

fn refusal(source: &Map<String, Value>) -> Option<String> {
    if source.get("name").and_then(Value::as_str).is_none_or(|name| name.trim().is_empty()) {
        return Some("it has no name".to_owned());
    }
    if source.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Some("it has no type".to_owned());
    }
    let kind = source.get("type").and_then(Value::as_str);
    let (_, what, _) = ELSEWHERE.iter().find(|(key, _, only)| {
        let is_named = source.get(*key).is_some_and(|value| !says_nothing(value));
        is_named && (only.is_none() || *only == kind)
    })?;
    Some(format!("it needs {what}, and a backup holds none: make it in Kuma"))
}

/// `null`, an empty text and a bare scheme are what Kuma's form leaves in what it does not ask for.
fn says_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| matches!(text.trim(), "" | "https://" | "http://"))
}

/// Whether the column means something to a monitor of this type.
fn is_asked_for(column: &str, source: &Map<String, Value>) -> bool {
    let text = |key: &str| source.get(key).and_then(Value::as_str).unwrap_or_default();
    if column.starts_with("oauth_") {
        return text("authMethod") == "oauth2-cc";
    }
    let family = FAMILIES.iter().find(|(prefix, _)| column.starts_with(prefix));
    family.is_none_or(|(_, kinds)| kinds.contains(&text("type")))
}

/// `retryInterval`, `grpcEnableTls`: the columns `retry_interval`, `grpc_enable_tls`.
fn snake_case(key: &str) -> String {
    let mut column = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            column.push('_');
        }
        column.push(letter.to_ascii_lowercase());
    }
    column
}

fn as_number(value: &Value) -> Value {
    let text = value.as_str().and_then(|text| serde_json::from_str::<serde_json::Number>(text.trim()).ok());
    text.map_or_else(|| value.clone(), Value::Number)
}

fn number(value: Option<&Value>) -> Option<i64> {
    value.and_then(|value| value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok())))
}

/// True, or Kuma's 1.
fn is_on(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_bool() == Some(true) || value.as_i64() == Some(1))
}

#[cfg(test)]
mod tests;
