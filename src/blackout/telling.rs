//! Telling people while the database is down: each message on disk first, then on its way, then noted.

use std::collections::BTreeSet;

use komainu_notifiers::{DeliveryError, Receipt};
use komainu_watchdogs::blackout::{self, Doubt, Input, Line, Speech, ToldLine, Tries};
use komainu_watchdogs::time::Wall;

use super::message::{self, BlackoutMessage, SpeechContext};
use super::{Driver, Event};
use crate::state_dir::Spooled;
use crate::{clock, outbox};

/// A speech under way.
#[derive(Debug)]
pub(super) struct Attempt {
    speech: Speech,
    messages: usize,
    is_reached: bool,
    given_up: BTreeSet<Line>,
}

impl Driver {
    /// By the database's clock, as far as it is known.
    fn database_now(&self) -> Wall {
        Wall(clock::wall().0.saturating_add(self.known.clock_ahead_ms))
    }

    pub(super) fn wanted(&self) -> BTreeSet<Line> {
        let silences = (self.known.silences.as_slice(), self.database_now());
        message::wanted(&self.settings.routing, &self.known.undelivered, (self.has_eyes, silences))
    }

    /// When the database stopped taking writes, by its own clock.
    fn began_at(&self) -> Wall {
        let failing_ms = i64::try_from(self.core.report(clock::now()).failing_ms).unwrap_or(i64::MAX);
        Wall(self.database_now().0.saturating_sub(failing_ms))
    }

    pub(super) async fn speak(&mut self, speech: Speech) {
        tracing::warn!(
            votes = ?speech.votes,
            failing_s = speech.failing_for.as_secs(),
            doubt = ?speech.doubt,
            outage = speech.outage,
            lines = speech.lines.len(),
            trouble = ?speech.trouble,
            "nothing is watched: telling people"
        );
        let messages = self.messages(&speech);
        let told: BTreeSet<_> = messages.iter().flat_map(|message| message.lines.clone()).collect();
        let given_up = speech.lines.difference(&told).cloned().collect();
        self.attempt = Some(Attempt { speech, messages: messages.len(), is_reached: false, given_up });
        for message in messages {
            for part in self.parts_to_begin_with(message) {
                self.begin_message(part).await;
            }
        }
        self.end_attempt();
    }

    fn messages(&self, speech: &Speech) -> Vec<BlackoutMessage> {
        let context = SpeechContext {
            cluster: &self.settings.cluster,
            runbook: &self.settings.runbook,
            undelivered: &self.known.undelivered,
            began_at: self.began_at(),
            now: self.database_now(),
        };
        message::messages(speech, &context)
    }

    /// The messages that say in parts what this one says; none where it cannot be divided.
    fn parts(&self, message: &BlackoutMessage) -> Vec<BlackoutMessage> {
        let (Some(attempt), Some(parts)) = (&self.attempt, blackout::parts(&message.lines)) else { return Vec::new() };
        let speeches =
            parts.into_iter().map(|part| Speech { lines: part.into_iter().collect(), ..attempt.speech.clone() });
        let messages: Vec<_> = speeches.flat_map(|speech| self.messages(&speech)).collect();
        let told: usize = messages.iter().map(|message| message.lines.len()).sum();
        // What waits may have been read anew meanwhile: then it stays one.
        if told == message.lines.len() { messages } else { Vec::new() }
    }

    /// Where one part was refused before, the other is tried all the same.
    fn parts_to_begin_with(&mut self, message: BlackoutMessage) -> Vec<BlackoutMessage> {
        let is_spent = |one: &BlackoutMessage| self.tries(one, &one.channel).is_spent();
        let parts = if is_spent(&message) { self.parts(&message) } else { Vec::new() };
        if parts.iter().all(is_spent) {
            return vec![message];
        }
        self.put_in_place(parts.len());
        parts
    }

    /// So many messages take the place of one.
    fn put_in_place(&mut self, parts: usize) {
        if let Some(attempt) = &mut self.attempt {
            attempt.messages += parts.saturating_sub(1);
        }
    }

    async fn begin_message(&mut self, message: BlackoutMessage) {
        match self.way(&message) {
            Some(via) => self.send(message, via).await,
            None => self.end_message(message),
        }
    }

    /// Spools, then sends.
    async fn send(&mut self, message: BlackoutMessage, via: String) {
        let Some(attempt) = &self.attempt else { return };
        let entry = |said| Spooled {
            said: Some(said),
            is_sent: false,
            outage: attempt.speech.outage.clone(),
            began_at: self.began_at(),
            after_event: self.core.after_event(),
            summary: message::summary(attempt.speech.trouble, attempt.speech.votes),
            votes: attempt.speech.votes,
            doubt: attempt.speech.doubt,
        };
        let entries = said(&message, &via, (&attempt.speech, None)).into_iter().map(entry).collect();
        self.spool.keep(entries).await;
        let (ready, events) = (self.settings.channels.named(&via).cloned(), self.events.0.clone());
        let notice = message.notice_for(&via);
        tokio::spawn(async move {
            let answer = match ready {
                Some(ready) => ready.channel.send(&notice).await,
                None => Err(DeliveryError::Permanent { reason: "it is not configured here".to_owned() }),
            };
            drop(events.send(Event::Answered { message: Box::new(message), via, answer }));
        });
    }

    pub(super) async fn take_answer(
        &mut self,
        message: BlackoutMessage,
        via: String,
        answer: Result<Receipt, DeliveryError>,
    ) {
        let Some(attempt) = &mut self.attempt else { return };
        let error = match answer {
            Ok(receipt) => {
                attempt.is_reached = true;
                attempt.messages -= 1;
                let said = said(&message, &via, (&attempt.speech, receipt.vendor_ref.as_deref()));
                self.spool.mark_sent(&said).await;
                tracing::info!(channel = via, notice.id = message.notice.id, "told while the database is down");
                for said in said {
                    self.core.handle(clock::now(), Input::Told(said));
                }
                self.end_attempt();
                return;
            }
            Err(error) => error,
        };
        tracing::warn!(channel = via, %error, "could not tell while the database is down");
        attempt.is_reached |= matches!(error, DeliveryError::Permanent { .. } | DeliveryError::Retryable { .. });
        self.note_failed(&message, &via, &error).await;
        let is_refused = matches!(error, DeliveryError::Permanent { .. });
        let parts = if is_refused { self.parts(&message) } else { Vec::new() };
        if !parts.is_empty() {
            self.put_in_place(parts.len());
            for part in parts {
                self.send(part, via.clone()).await;
            }
            return;
        }
        for line in &message.lines {
            self.tries.entry((line.clone(), via.clone())).or_default().note(outbox::failure(&error));
        }
        match self.way_after(&message, &via) {
            Some(next) => self.send(message, next).await,
            None => self.end_message(message),
        }
    }

    /// What may have arrived stays to be entered so, and what did not is forgotten.
    async fn note_failed(&mut self, message: &BlackoutMessage, via: &str, error: &DeliveryError) {
        let attempted = (message.notice.id.clone(), via.to_owned());
        if matches!(error, DeliveryError::Unanswered { .. }) {
            self.unanswered.insert(attempted);
            for line in &message.lines {
                self.core.handle(clock::now(), Input::Unanswered(line.clone(), via.to_owned()));
            }
            self.core.handle(clock::now(), Input::Unentered);
        } else if !self.unanswered.contains(&attempted) {
            self.spool.forget(&attempted, &message.lines).await;
        }
    }

    /// The way that an attempt begins with; `None`: nobody is to be tried any more.
    fn way(&self, message: &BlackoutMessage) -> Option<String> {
        if self.tries(message, &message.channel).is_spent() {
            return self.way_after(message, &message.channel);
        }
        Some(message.channel.clone())
    }

    /// The next one that may take it, after this one did not; `None`: not in this attempt.
    fn way_after(&self, message: &BlackoutMessage, via: &str) -> Option<String> {
        let ready = self.settings.channels.named(&message.channel);
        let fallback = ready.and_then(|ready| ready.fallback.clone());
        if !self.tries(message, &message.channel).needs_others(fallback.is_some()) {
            return None;
        }
        let instead = fallback.map_or_else(|| self.others(message), |fallback| vec![fallback]);
        let after = instead.iter().position(|one| one == via).map_or(0, |at| at + 1);
        instead.into_iter().skip(after).find(|one| !self.tries(message, one).is_spent())
    }

    /// Channels that are not told the same anyway.
    fn others(&self, message: &BlackoutMessage) -> Vec<String> {
        let wanted = self.wanted();
        let is_told_anyway = |channel: &String| {
            let mut same = message.lines.iter().map(|line| message::same_for(line, channel, &self.known.undelivered));
            same.all(|same| same.is_some_and(|same| wanted.contains(&same)))
        };
        let others = self.settings.routing.channels.iter().filter(|channel| **channel != message.channel);
        others.filter(|channel| !is_told_anyway(channel)).cloned().collect()
    }

    /// Of all its lines the worst.
    fn tries(&self, message: &BlackoutMessage, via: &str) -> Tries {
        let of = |line: &Line| {
            let own = self.tries.get(&(line.clone(), via.to_owned())).copied().unwrap_or_default();
            own.with_elsewhere(self.core.unanswered_elsewhere(line, via))
        };
        message.lines.iter().map(of).fold(Tries::default(), Tries::or_worse)
    }

    /// It was taken nowhere. What nobody is to be tried with any more is left to the time when the database is back.
    fn end_message(&mut self, message: BlackoutMessage) {
        let is_given_up = self.way(&message).is_none();
        let Some(attempt) = &mut self.attempt else { return };
        attempt.messages -= 1;
        if is_given_up {
            tracing::warn!(channel = message.channel, notice.id = message.notice.id, "told when the database is back");
            attempt.given_up.extend(message.lines);
        }
        self.end_attempt();
    }

    fn end_attempt(&mut self) {
        if let Some(Attempt { is_reached, given_up, .. }) = self.attempt.take_if(|attempt| attempt.messages == 0) {
            self.core.handle(clock::now(), Input::Spoke { is_reached, given_up });
        }
    }

    /// Told by a peer, as far as this one knows.
    pub(super) async fn keep(&mut self, said: ToldLine) {
        let report = self.core.report(clock::now());
        let votes = self.core.tally(clock::now());
        let outage = report.outage.map_or_else(|| said.notice_id.clone(), |outage| outage.name);
        let age = i64::try_from(said.age_ms).unwrap_or(i64::MAX);
        let entry = Spooled {
            // The peer's clock is not this host's.
            said: Some(ToldLine { at: Wall(clock::wall().0.saturating_sub(age)), ..said }),
            is_sent: true,
            outage,
            began_at: self.began_at(),
            after_event: self.core.after_event(),
            summary: message::summary(self.core.trouble(clock::now()), votes),
            votes,
            doubt: Doubt::DatabaseUnreachable,
        };
        self.spool.keep(vec![entry]).await;
    }

    /// There is an outage of which people ought to be told.
    pub(super) async fn note(&mut self, speech: &Speech) {
        tracing::warn!(
            votes = ?speech.votes,
            failing_s = speech.failing_for.as_secs(),
            trouble = ?speech.trouble,
            outage = speech.outage,
            "nothing is watched: people are to be told, now or afterwards"
        );
        let entry = Spooled {
            said: None,
            is_sent: false,
            outage: speech.outage.clone(),
            began_at: self.began_at(),
            after_event: self.core.after_event(),
            summary: message::summary(speech.trouble, speech.votes),
            votes: speech.votes,
            doubt: speech.doubt,
        };
        self.spool.keep(vec![entry]).await;
    }
}

fn said(message: &BlackoutMessage, via: &str, (speech, vendor_ref): (&Speech, Option<&str>)) -> Vec<ToldLine> {
    let said = |line: &Line| ToldLine {
        line: line.clone(),
        via: via.to_owned(),
        notice_id: message.notice.id.clone(),
        vendor_ref: vendor_ref.map(str::to_owned),
        at: clock::wall(),
        age_ms: 0,
        changes: speech.changes.get(line).cloned().unwrap_or_default(),
        unnamed: 0,
    };
    message.lines.iter().map(said).collect()
}
