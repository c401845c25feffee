//! What was told and is not entered yet, and that there was anything to tell: on disk before anything is sent, gone when it
//! stands in the tables.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::blackout::{Doubt, Line, ToldLine};
use komainu_watchdogs::time::Wall;

use super::message::{Topic, afterwards};
use crate::clock;
use crate::state_dir::{Spooled, StateDir};
use crate::store::spool::{BlackoutDelivery, BlackoutNews, Outage};

/// The spool of one watchdog.
pub(super) struct Spool {
    state: StateDir,
    entries: Vec<Spooled>,
    /// Those that are being entered, as they were when that began.
    entering: Vec<Spooled>,
}

impl Spool {
    /// As an earlier process left it. An outage that only this host may have had is not vouched for by another process.
    pub(super) async fn open(state: StateDir) -> Self {
        let mut entries = state.spool().await;
        entries.retain(|entry| entry.said.is_some() || entry.doubt == Doubt::DatabaseUnreachable);
        Self { state, entries, entering: vec![] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was told for sure, with its age by this host's clock.
    pub(super) fn remembered(&self) -> Vec<ToldLine> {
        let age = |at: Wall| u64::try_from(clock::wall().since(at).as_millis()).unwrap_or(u64::MAX);
        let sent = self.entries.iter().filter(|entry| entry.is_sent).filter_map(|entry| entry.said.as_ref());
        sent.map(|said| ToldLine { age_ms: age(said.at), ..said.clone() }).collect()
    }

    /// Keeps these, unless they are there; on disk when this returns.
    pub(super) async fn keep(&mut self, fresh: Vec<Spooled>) {
        let count = self.entries.len();
        for entry in fresh {
            if !self.entries.iter().any(|known| is_same(known, &entry)) {
                self.entries.push(entry);
            }
        }
        if self.entries.len() > count {
            self.forget_overtaken();
            self.state.keep_spool(&self.entries).await;
        }
    }

    /// The channel took it.
    pub(super) async fn mark_sent(&mut self, said: &[ToldLine]) {
        for entry in &mut self.entries {
            let is_it = |one: &&ToldLine| entry.said.as_ref().is_some_and(|known| is_same_said(known, one));
            if let Some(said) = said.iter().find(is_it) {
                entry.is_sent = true;
                entry.said = Some(said.clone());
            }
        }
        self.forget_overtaken();
        self.state.keep_spool(&self.entries).await;
    }

    /// The vendor refused it: it did not arrive.
    pub(super) async fn forget(&mut self, (notice_id, via): &(String, String), lines: impl IntoIterator<Item = &Line>) {
        let lines: Vec<_> = lines.into_iter().collect();
        let is_it = |said: &ToldLine| said.notice_id == *notice_id && said.via == *via && lines.contains(&&said.line);
        self.entries.retain(|entry| entry.is_sent || !entry.said.as_ref().is_some_and(is_it));
        self.state.keep_spool(&self.entries).await;
    }

    /// Others had the database meanwhile: what nobody was told did not happen.
    pub(super) async fn withdraw(&mut self) {
        self.entries.retain(|entry| entry.said.is_some());
        self.state.keep_spool(&self.entries).await;
    }

    /// Of each check a channel is remembered to have been told the latest alone: an outage may last, and checks may flap.
    fn forget_overtaken(&mut self) {
        let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in self.entries.iter_mut().rev() {
            let is_sent = entry.is_sent;
            let Some(said) = entry.said.as_mut().filter(|said| !said.changes.is_empty()) else { continue };
            let known = known.entry(said.via.clone()).or_default();
            said.changes.retain(|change| !known.contains(&change.key));
            if is_sent {
                known.extend(said.changes.iter().map(|change| change.key.clone()));
            }
        }
        let says_something = |said: &ToldLine| Topic::of(&said.line) != Topic::Checks || !said.changes.is_empty();
        self.entries.retain(|entry| entry.said.as_ref().is_none_or(says_something));
    }

    /// Everything as it is to be entered at this moment: an outage each, and what was told of checks. What was told stands for what
    /// was only noted.
    pub(super) fn take(&mut self, clock_ahead_ms: i64, now: Wall) -> (Vec<Outage>, Vec<BlackoutNews>) {
        self.entering.clone_from(&self.entries);
        let ahead = |at: Wall| Wall(at.0.saturating_add(clock_ahead_ms));
        let mut outages: BTreeMap<&str, Outage> = BTreeMap::new();
        let mut news = Vec::new();
        let is_news = |entry: &Spooled| entry.said.as_ref().is_some_and(|said| Topic::of(&said.line) == Topic::Checks);
        let is_told = self.entries.iter().any(|entry| entry.said.is_some() && !is_news(entry));
        for entry in self.entries.iter().filter(|entry| entry.said.is_some() || !is_told) {
            if let Some(said) = entry.said.as_ref().filter(|_| is_news(entry)) {
                news.push(BlackoutNews {
                    after_event: entry.after_event,
                    channel: said.line.channel.clone(),
                    via: said.via.clone(),
                    notice_id: said.notice_id.clone(),
                    at: ahead(said.at),
                    is_sent: entry.is_sent,
                    vendor_ref: said.vendor_ref.clone(),
                    changes: said.changes.clone(),
                });
                continue;
            }
            let outage = outages.entry(&entry.outage).or_insert_with(|| Outage {
                began_at: entry.began_at,
                after_event: entry.after_event,
                summary: entry.summary.clone(),
                votes: entry.votes,
                told: Vec::new(),
            });
            outage.began_at = outage.began_at.min(entry.began_at);
            outage.after_event = outage.after_event.max(entry.after_event);
            outage.told.extend(entry.said.as_ref().map(|said| delivery(said, ahead(said.at), entry.is_sent)));
        }
        for outage in outages.values_mut() {
            if outage.told.is_empty() {
                outage.summary = afterwards(&outage.summary, outage.began_at, ahead(now));
            }
            // What is sure comes first: the rest then finds it.
            outage.told.sort_by_key(|told| !told.is_sent);
        }
        (outages.into_values().collect(), news)
    }

    /// It could not be entered.
    pub(super) fn give_back(&mut self) {
        self.entering.clear();
    }

    /// What was being entered is; but for what was told meanwhile, and what is known to have arrived since.
    pub(super) async fn clear(&mut self) {
        let entered = std::mem::take(&mut self.entering);
        let is_entered =
            |entry: &Spooled| entered.iter().any(|one| is_same(one, entry) && one.is_sent == entry.is_sent);
        self.entries.retain(|entry| !is_entered(entry));
        self.state.keep_spool(&self.entries).await;
    }
}

fn delivery(said: &ToldLine, at: Wall, is_sent: bool) -> BlackoutDelivery {
    BlackoutDelivery {
        delivery: match Topic::of(&said.line) {
            Topic::Delivery(delivery) => Some(delivery),
            Topic::Database | Topic::Checks => None,
        },
        channel: said.line.channel.clone(),
        via: said.via.clone(),
        notice_id: said.notice_id.clone(),
        at,
        is_sent,
        vendor_ref: said.vendor_ref.clone(),
    }
}

fn is_same(one: &Spooled, other: &Spooled) -> bool {
    match (&one.said, &other.said) {
        (Some(one), Some(other)) => is_same_said(one, other),
        (None, None) => one.outage == other.outage,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn is_same_said(one: &ToldLine, other: &ToldLine) -> bool {
    (&one.line, &one.notice_id, &one.via) == (&other.line, &other.notice_id, &other.via)
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::blackout::Change;
    use komainu_watchdogs::io::Severity;
    use komainu_watchdogs::outbox::Event;

    use super::*;

    fn told(topic: &str, notice_id: &str) -> Spooled {
        let line = Line { topic: topic.to_owned(), channel: "ops".to_owned() };
        let said = ToldLine {
            line,
            via: "ops".to_owned(),
            notice_id: notice_id.to_owned(),
            vendor_ref: None,
            at: Wall(1_000),
            age_ms: 0,
            changes: vec![],
            unnamed: 0,
        };
        Spooled { said: Some(said), ..noticed("o1") }
    }

    fn noticed(outage: &str) -> Spooled {
        Spooled {
            said: None,
            is_sent: false,
            outage: outage.to_owned(),
            began_at: Wall(900),
            after_event: Some(7),
            summary: "the database takes no writes".to_owned(),
            votes: (3, 3),
            doubt: Doubt::DatabaseUnreachable,
        }
    }

    /// A message that told of one check.
    fn of_check(notice_id: &str, event: Event) -> Spooled {
        let change = Change {
            key: "check/shop".to_owned(),
            event,
            flaps: 0,
            is_back: false,
            began_at: Wall(950),
            severity: Severity::Critical,
            summary: String::new(),
            votes: (3, 3),
        };
        let mut entry = told("checks", notice_id);
        entry.said.as_mut().unwrap().changes = vec![change];
        entry
    }

    async fn spool_of(entries: Vec<Spooled>) -> Spool {
        let mut spool = Spool::open(StateDir::open(None)).await;
        spool.keep(entries).await;
        spool
    }

    fn said_of(entry: &Spooled) -> ToldLine {
        entry.said.clone().unwrap()
    }

    fn notices(spool: &Spool) -> Vec<&str> {
        spool.entries.iter().filter_map(|entry| entry.said.as_ref()).map(|said| said.notice_id.as_str()).collect()
    }

    #[tokio::test]
    async fn what_was_told_while_the_rest_is_being_entered_stays_though_something_is_refused_meanwhile() {
        let refused = told("database", "n1");
        let mut spool = spool_of(vec![refused.clone(), told("delivery/4", "n2")]).await;
        spool.take(0, Wall(2_000));
        let of = said_of(&refused);
        spool.forget(&(of.notice_id, of.via), [&of.line]).await;
        let late = told("delivery/5", "n3");
        spool.keep(vec![late.clone()]).await;
        spool.mark_sent(&[said_of(&late)]).await;
        spool.clear().await;
        assert_eq!(notices(&spool), ["n3"]);
        let (outages, _) = spool.take(0, Wall(3_000));
        assert_eq!(outages[0].told.len(), 1, "it is entered next");
    }

    #[tokio::test]
    async fn what_others_had_the_database_for_takes_nothing_along_that_was_told_meanwhile() {
        let mut spool = spool_of(vec![noticed("o1")]).await;
        spool.take(0, Wall(2_000));
        spool.withdraw().await;
        spool.keep(vec![told("database", "n1")]).await;
        spool.clear().await;
        assert_eq!(notices(&spool), ["n1"]);
    }

    #[tokio::test]
    async fn what_was_entered_as_unsure_and_is_known_to_have_arrived_since_is_entered_again() {
        let message = told("database", "n1");
        let mut spool = spool_of(vec![message.clone()]).await;
        let (outages, _) = spool.take(0, Wall(2_000));
        assert!(!outages[0].told[0].is_sent);
        spool.mark_sent(&[said_of(&message)]).await;
        spool.clear().await;
        let (outages, _) = spool.take(0, Wall(3_000));
        assert!(outages[0].told[0].is_sent);
        spool.clear().await;
        assert!(spool.is_empty());
    }

    #[tokio::test]
    async fn what_a_later_message_overtakes_is_gone_while_it_is_being_entered_and_the_later_one_stays() {
        let (first, second) = (of_check("n1", Event::Opened), of_check("n2", Event::Resolved));
        let mut spool = spool_of(vec![first.clone()]).await;
        spool.mark_sent(&[said_of(&first)]).await;
        spool.take(0, Wall(2_000));
        spool.keep(vec![second.clone()]).await;
        spool.mark_sent(&[said_of(&second)]).await;
        spool.clear().await;
        assert_eq!(notices(&spool), ["n2"]);
    }

    #[tokio::test]
    async fn what_could_not_be_entered_is_entered_next_time() {
        let mut spool = spool_of(vec![told("database", "n1")]).await;
        spool.take(0, Wall(2_000));
        spool.give_back();
        spool.clear().await;
        assert_eq!(notices(&spool), ["n1"], "nothing was being entered");
    }
}
