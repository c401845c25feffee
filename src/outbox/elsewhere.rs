//! Where people are told what a channel does not take, and that it does not.

use std::collections::BTreeMap;

use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};

use super::Outbox;
use crate::store::StoreError;
use crate::store::outbox::{self as store, Overdue};

/// Everything but one channel.
pub(super) struct Elsewhere {
    name: String,
    fallback: Option<String>,
    /// Without it, unless there is no other.
    pub(super) routing: Routing,
}

impl Elsewhere {
    pub(super) fn than(outbox: &Outbox, name: &str) -> Self {
        let mut routing = (*outbox.routing).clone();
        routing.channels.retain(|channel| channel != name);
        if routing.channels.is_empty() {
            // Nobody else could be told that it fails: it is told there once it works, and something is tried until then.
            routing.channels.push(name.to_owned());
        }
        let fallback = outbox.outlets.get(name).and_then(|outlet| outlet.fallback.clone());
        Self { name: name.to_owned(), fallback, routing }
    }

    /// Gets what the channel refuses some of its readers.
    pub(super) fn fallback(&self) -> Option<&String> {
        self.fallback.as_ref()
    }

    /// Who is told what the channel does not take, and how bad that is.
    pub(super) fn instead(&self) -> (Severity, Vec<String>) {
        match &self.fallback {
            Some(fallback) => (Severity::Warning, vec![fallback.clone()]),
            // Better told in the wrong place than to nobody.
            None => (Severity::Critical, self.routing.channels.clone()),
        }
    }

    /// The channel's incident.
    pub(super) fn trouble(&self, severity: Severity, summary: String) -> (Alarm, Subject) {
        let alarm = Alarm { key: store::channel_key(&self.name), severity, summary, votes: (0, 0) };
        // Where its messages go, whatever the routes say.
        let subject = Subject { channels: self.instead().1, ..Subject::of(&alarm) };
        (alarm, subject)
    }
}

/// Criticals that their channels have not taken in time, whatever the reason.
pub(super) async fn tell_overdue(outbox: &Outbox) -> Result<(), StoreError> {
    let mut channels: BTreeMap<String, Vec<Overdue>> = BTreeMap::new();
    for overdue in store::overdue(&outbox.store).await? {
        channels.entry(overdue.channel.clone()).or_default().push(overdue);
    }
    for (name, waiting) in channels {
        let elsewhere = Elsewhere::than(outbox, &name);
        let (severity, instead) = elsewhere.instead();
        let error = waiting.iter().find_map(|overdue| overdue.error.as_deref());
        let why = error.unwrap_or("no watchdog was able to send it");
        let incident = elsewhere.trouble(severity, format!("channel {name} has not taken a critical in time: {why}"));
        let deliveries: Vec<_> = waiting.iter().map(|overdue| overdue.delivery).collect();
        let told = store::tell_elsewhere(&outbox.store, &deliveries, &instead, &incident, &elsewhere.routing).await?;
        if told > 0 {
            tracing::warn!(
                channel = name,
                told,
                ?instead,
                "criticals that were not delivered in time are told elsewhere"
            );
        }
    }
    Ok(())
}
