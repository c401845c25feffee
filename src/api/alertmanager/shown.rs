//! What a client of Alertmanager is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use komainu_watchdogs::time::Wall;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::asked::AlertFilter;
use crate::silence::{Matcher, Silence};
use crate::store::silences::alerts::{Alert, Alerts};
use crate::store::silences::labels;

/// An alert that nobody repeats would be over by then, for a client.
const HOLDS_FOR: Duration = Duration::from_secs(300);

/// RFC 3339, in milliseconds.
fn time(at: Wall) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| Timestamp::UNIX_EPOCH.to_string(), |at| format!("{at:.3}"))
}

/// `gettableSilence`.
pub(super) fn silence(silence: &Silence, now: Wall) -> Value {
    let made = &silence.made;
    let matcher = |one: &Matcher| json!({"name": one.name.as_str(), "value": one.value, "isRegex": one.is_regex, "isEqual": one.is_equal});
    json!({
        "id": silence.uid,
        "status": {"state": made.phase(now).as_str()},
        "matchers": made.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "startsAt": time(made.starts_at),
        "endsAt": time(made.ends_at),
        "updatedAt": time(silence.changed_at),
        "createdBy": made.author,
        "comment": made.comment,
    })
}

/// `alertmanagerStatus`.
pub(super) fn status(cluster: &str, (peers, channels): (&[Value], &[String]), began_at: Wall) -> Value {
    let nobody = ["nobody".to_owned()];
    let channels = if channels.is_empty() { &nobody[..] } else { channels };
    let names: Vec<String> = channels.iter().map(|name| format!("- name: {}", json!(name))).collect();
    let first = json!(channels.first());
    let config = format!("route:\n  receiver: {first}\nreceivers:\n{}\n", names.join("\n"));
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "cluster": {"name": cluster, "status": "ready", "peers": peers},
        "config": {"original": config},
        "uptime": time(began_at),
        "versionInfo": {"version": version, "branch": "komainu", "revision": version, "buildUser": "", "buildDate": "", "goVersion": ""},
    })
}

/// One alert, and what holds it.
pub(super) struct Shown {
    alert: Alert,
    silenced_by: Vec<String>,
    now: Wall,
}

/// Those that are wanted, the latest first.
pub(super) fn alerts(read: Alerts, asked: &AlertFilter) -> Vec<Shown> {
    let Alerts { alerts, now, silences } = read;
    let shown = |alert: Alert| {
        let nobody = [String::new()];
        let channels = if alert.channels.is_empty() { &nobody[..] } else { &alert.channels };
        let is_wanted = channels.iter().any(|channel| asked.takes(&labels(&alert.subject, None, channel)));
        let holds = |silence: &&Silence| {
            channels.iter().any(|channel| silence.made.takes(&labels(&alert.subject, None, channel)))
        };
        let silenced_by: Vec<_> = silences.iter().filter(holds).map(|silence| silence.uid.clone()).collect();
        let is_shown = is_wanted && asked.wants(!silenced_by.is_empty(), alert.explained_by.is_some());
        is_shown.then_some(Shown { alert, silenced_by, now })
    };
    alerts.into_iter().filter_map(shown).collect()
}

impl Shown {
    pub(super) fn channels(&self) -> impl Iterator<Item = &str> {
        self.alert.channels.iter().map(String::as_str)
    }

    pub(super) fn kind(&self) -> &str {
        labels(&self.alert.subject, None, "").kind()
    }

    /// `gettableAlert`.
    pub(super) fn json(&self) -> Value {
        let Alert { subject, summary, opened_at, last_bad_at, acknowledged_by, explained_by, channels } = &self.alert;
        let key = subject.key.as_str();
        let alike = [("alertname", key), ("key", key), ("kind", self.kind()), ("severity", subject.severity.as_str())];
        let node = subject.node.as_ref().map(|node| ("node", node.as_str().to_owned()));
        let tag = (!subject.tags.is_empty()).then(|| ("tag", subject.tags.join(",")));
        let labels = alike.map(|(name, value)| (name, value.to_owned())).into_iter().chain(node).chain(tag);
        let labels: BTreeMap<&str, String> = labels.collect();
        let acknowledged = acknowledged_by.iter().map(|who| ("acknowledged_by", who));
        let annotations: BTreeMap<&str, &String> = [("summary", summary)].into_iter().chain(acknowledged).collect();
        let inhibited_by: Vec<String> = explained_by.iter().map(|key| fingerprint(key)).collect();
        let is_held = !self.silenced_by.is_empty() || !inhibited_by.is_empty();
        json!({
            "labels": labels,
            "annotations": annotations,
            "fingerprint": fingerprint(&subject.key),
            "receivers": channels.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
            "startsAt": time(*opened_at),
            "updatedAt": time(*last_bad_at),
            "endsAt": time(self.now + HOLDS_FOR),
            "status": {
                "state": if is_held { "suppressed" } else { "active" },
                "silencedBy": self.silenced_by,
                "inhibitedBy": inhibited_by,
            },
        })
    }
}

/// The same for the same key, on every watchdog.
fn fingerprint(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()).get(..8).unwrap_or_default())
}
