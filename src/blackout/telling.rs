//! Telling people while the database is down: each message on disk first, then on its way, then noted.

use std::collections::BTreeSet;

use komainu_notifiers::{DeliveryError, Receipt};
use komainu_watchdogs::blackout::{Doubt, Input, Line, Said, Speech};
use komainu_watchdogs::time::Wall;

use super::letter::{self, Letter, Occasion};
use super::{Driver, Event};
use crate::clock;
use crate::state_dir::Spooled;

/// Attempts that got no answer from a channel before its fallback is asked.
const PATIENCE: u32 = 2;

/// A speech under way.
#[derive(Debug)]
pub(super) struct Attempt {
    speech: Speech,
    letters: usize,
    is_reached: bool,
    given_up: BTreeSet<Line>,
}

impl Driver {
    /// When the database stopped taking writes, by its own clock.
    fn began_at(&self) -> Wall {
        let failing_ms = i64::try_from(self.core.word(clock::now()).failing_ms).unwrap_or(i64::MAX);
        Wall(clock::wall().0.saturating_sub(failing_ms).saturating_add(self.known.clock_ahead_ms))
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
        let now = Wall(clock::wall().0.saturating_add(self.known.clock_ahead_ms));
        let occasion = Occasion {
            cluster: &self.settings.cluster,
            runbook: &self.settings.runbook,
            undelivered: &self.known.undelivered,
            began_at: self.began_at(),
            now,
        };
        let letters = letter::letters(&speech, &occasion);
        let told: BTreeSet<_> = letters.iter().flat_map(|letter| letter.lines.clone()).collect();
        let given_up = speech.lines.difference(&told).cloned().collect();
        self.attempt = Some(Attempt { speech, letters: letters.len(), is_reached: false, given_up });
        for letter in letters {
            let via = letter.channel.clone();
            self.send(letter, via).await;
        }
        self.end_attempt();
    }

    /// Spools, then sends.
    async fn send(&mut self, letter: Letter, via: String) {
        let Some(attempt) = &self.attempt else { return };
        let entry = |said| Spooled {
            said: Some(said),
            is_sent: false,
            outage: attempt.speech.outage.clone(),
            began_at: self.began_at(),
            summary: letter::summary(attempt.speech.trouble, attempt.speech.votes),
            votes: attempt.speech.votes,
            doubt: attempt.speech.doubt,
        };
        let entries = said(&letter, &via, None).into_iter().map(entry).collect();
        self.spool.keep(entries).await;
        let (ready, events) = (self.settings.channels.named(&via).cloned(), self.events.0.clone());
        tokio::spawn(async move {
            let answer = match ready {
                Some(ready) => ready.channel.send(&letter.notice).await,
                None => Err(DeliveryError::Permanent { reason: "it is not configured here".to_owned() }),
            };
            drop(events.send(Event::Answered { letter: Box::new(letter), via, answer }));
        });
    }

    pub(super) async fn take_answer(&mut self, letter: Letter, via: String, answer: Result<Receipt, DeliveryError>) {
        let Some(attempt) = &mut self.attempt else { return };
        let error = match answer {
            Ok(receipt) => {
                attempt.is_reached = true;
                attempt.letters -= 1;
                let said = said(&letter, &via, receipt.vendor_ref.as_deref());
                self.spool.mark_sent(&said).await;
                tracing::info!(channel = via, notice.id = letter.notice.id, "told while the database is down");
                for said in said {
                    self.core.handle(clock::now(), Input::Told(said));
                }
                self.end_attempt();
                return;
            }
            Err(error) => error,
        };
        tracing::warn!(channel = via, %error, "could not tell while the database is down");
        let notice = &letter.notice.id;
        if matches!(error, DeliveryError::Unanswered { .. }) {
            // It may have arrived: it is to be entered so.
            self.unanswered.insert(notice.clone());
            self.core.handle(clock::now(), Input::Unentered);
        } else if !self.unanswered.contains(notice) {
            self.spool.forget(notice, &letter.lines).await;
        }
        let (is_reached, is_final) = match error {
            DeliveryError::Permanent { .. } => (true, true),
            DeliveryError::Retryable { .. } => (true, false),
            DeliveryError::Unanswered { .. } | DeliveryError::Unreached { .. } => (false, false),
        };
        attempt.is_reached |= is_reached;
        let mut failures = 0;
        for line in &letter.lines {
            let count = self.silent.entry(line.clone()).or_default();
            *count += 1;
            failures = failures.max(*count);
        }
        let is_first = via == letter.channel;
        let ready = self.settings.channels.named(&letter.channel);
        let fallback = ready.and_then(|ready| ready.fallback.clone()).filter(|_| is_first);
        match fallback {
            Some(fallback) if is_final || failures >= PATIENCE => self.send(letter, fallback).await,
            _ => self.end_letter(letter, is_final),
        }
    }

    fn end_letter(&mut self, letter: Letter, is_given_up: bool) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.letters -= 1;
        if is_given_up {
            attempt.given_up.extend(letter.lines);
        }
        self.end_attempt();
    }

    fn end_attempt(&mut self) {
        if let Some(Attempt { is_reached, given_up, .. }) = self.attempt.take_if(|attempt| attempt.letters == 0) {
            self.core.handle(clock::now(), Input::Spoke { is_reached, given_up });
        }
    }

    /// Told by a peer, as far as this one knows.
    pub(super) async fn keep(&mut self, said: Said) {
        let word = self.core.word(clock::now());
        let votes = self.core.tally(clock::now());
        let outage = word.outage.map_or_else(|| said.notice_id.clone(), |outage| outage.name);
        let age = i64::try_from(said.age_ms).unwrap_or(i64::MAX);
        let entry = Spooled {
            // The peer's clock is not this host's.
            said: Some(Said { at: Wall(clock::wall().0.saturating_sub(age)), ..said }),
            is_sent: true,
            outage,
            began_at: self.began_at(),
            summary: letter::summary(self.core.trouble(clock::now()), votes),
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
            summary: letter::summary(speech.trouble, speech.votes),
            votes: speech.votes,
            doubt: speech.doubt,
        };
        self.spool.keep(vec![entry]).await;
    }
}

fn said(letter: &Letter, via: &str, vendor_ref: Option<&str>) -> Vec<Said> {
    let said = |line: &Line| Said {
        line: line.clone(),
        via: via.to_owned(),
        notice_id: letter.notice.id.clone(),
        vendor_ref: vendor_ref.map(str::to_owned),
        at: clock::wall(),
        age_ms: 0,
    };
    letter.lines.iter().map(said).collect()
}
