//! Tells people when no push can be taken for long, and when one can again.
//!
//! Every watchdog does; the database's look at the proofs decides, and the incident is there once. Right after an outage of
//! the database the proofs are old although pushes can be taken: so an outage is believed that was seen in the database for a
//! while.

use std::time::Duration;

use komainu_watchdogs::heartbeat::outage_need;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::{Mono, Wall};

use super::words;
use crate::store::StoreError;
use crate::store::heartbeats::SettleConnection;

/// Between two looks while there may be news.
const LOOK: Duration = Duration::from_secs(1);

/// Between two looks while there is none: whoever opened the incident may have died.
const IDLE: Duration = Duration::from_secs(60);

/// For so long an outage is seen in a database that answers: several proofs, if anybody could make one.
const SEEN_FOR: Duration = Duration::from_secs(5);

/// What one watchdog knows of the outage that it may have to tell of.
#[derive(Default)]
pub(super) struct Teller {
    looked_at: Option<Mono>,
    /// What people believe, as far as this watchdog saw to it.
    was_long: bool,
    /// Since when pushes cannot be taken, and when that was first read.
    seen: Option<(Wall, Mono)>,
}

impl Teller {
    /// Whether it is time to look at the database.
    pub(super) fn is_due(&self, outage: Option<Duration>, now: Mono) -> bool {
        let is_news = is_long(outage) != self.was_long && (is_long(outage) || outage.is_none());
        let pause = if is_news { LOOK } else { IDLE };
        self.looked_at.is_none_or(|at| now.since(at) >= pause)
    }

    /// Looks, and tells what is news.
    pub(super) async fn tell(
        &mut self,
        connection: &mut SettleConnection,
        (outage, now): (Option<Duration>, Mono),
        routing: &Routing,
    ) -> Result<(), StoreError> {
        self.looked_at = Some(now);
        let is_long = is_long(outage);
        let since = connection.outage_since().await?;
        if is_long && !self.is_believed(since, now) {
            return Ok(());
        }
        if connection.tell_outage(&words::outage(outage.unwrap_or_default()), routing).await? {
            tracing::warn!(is_long, "people are told whether pushes can be taken");
        }
        self.was_long = is_long;
        Ok(())
    }

    fn is_believed(&mut self, since: Option<Wall>, now: Mono) -> bool {
        match (since, self.seen) {
            (Some(since), Some((seen, at))) if since == seen => now.since(at) >= SEEN_FOR,
            (since, _) => {
                self.seen = since.map(|since| (since, now));
                false
            }
        }
    }
}

fn is_long(outage: Option<Duration>) -> bool {
    outage_need(outage, false).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_believed_that_a_database_which_answers_shows_for_a_while() {
        let mut teller = Teller::default();
        assert!(!teller.is_believed(Some(Wall(1)), Mono::secs(10)), "the database has just come back");
        assert!(!teller.is_believed(None, Mono::secs(11)), "and somebody proved that pushes can be taken");
        assert!(!teller.is_believed(Some(Wall(2)), Mono::secs(12)));
        assert!(!teller.is_believed(Some(Wall(2)), Mono::secs(16)));
        assert!(teller.is_believed(Some(Wall(2)), Mono::secs(17)));
    }

    #[test]
    fn what_may_be_news_is_looked_at_each_second_and_all_else_each_minute() {
        let mut teller = Teller::default();
        assert!(teller.is_due(None, Mono::secs(1)), "whoever opened the incident may have died");
        teller.looked_at = Some(Mono::secs(1));
        let long = Some(Duration::from_secs(61));
        assert!(!teller.is_due(None, Mono::secs(2)) && teller.is_due(long, Mono::secs(2)));
        assert!(!teller.is_due(Some(Duration::from_secs(5)), Mono::secs(2)));
        assert!(teller.is_due(None, Mono::secs(61)));
        teller.was_long = true;
        assert!(!teller.is_due(long, Mono::secs(2)) && teller.is_due(None, Mono::secs(2)));
    }
}
