//! What signs in once, within five minutes: a link, made by `komainu up` for whoever sits at this very machine, good over loopback
//! only; and what a wall goes on with at another watchdog, good from anywhere and to read only.
//!
//! It names one watchdog, which alone takes it and remembers that it did. What was made before that process started is not taken: it
//! could have been used already.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use super::ROOT;
use super::session::CLOCKS_DIFFER_MS;
use crate::api::Caller;
use crate::keys::ClusterKey;
use crate::sealed::{Purpose, Seals};
use crate::store::apikeys::{ApiKeyInfo, Scope};

/// Long enough to switch to a browser.
const LASTS_MS: i64 = 5 * 60 * 1_000;

/// What the link holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Ticket {
    key_id: i64,
    name: String,
    scope: String,
    /// Who takes it.
    watchdog: String,
    made_at: i64,
    /// Tells it from others.
    number: u64,
    /// When the session that it goes on from ends; `None`: it begins one.
    #[serde(default)]
    expires_at: Option<i64>,
}

impl Ticket {
    /// Signs in at that watchdog to read, until the session ends from which it was made.
    pub(super) fn to_read(caller: &Caller, watchdog: &str, (now, expires_at): (Wall, i64)) -> Self {
        Self {
            key_id: caller.key_id,
            name: caller.name.clone(),
            scope: Scope::Read.as_str().to_owned(),
            watchdog: watchdog.to_owned(),
            made_at: now.0,
            number: rand::random(),
            expires_at: Some(expires_at),
        }
    }

    /// When the session that it goes on from ends.
    pub(super) fn expires(&self) -> Option<i64> {
        self.expires_at
    }
}

/// The path of a link that signs in with that key at that watchdog.
pub(crate) fn link(cluster: &ClusterKey, watchdog: &str, key: &ApiKeyInfo, now: Wall) -> String {
    let ticket = Ticket {
        key_id: key.id,
        name: key.name.clone(),
        scope: key.scope.as_str().to_owned(),
        watchdog: watchdog.to_owned(),
        made_at: now.0,
        number: rand::random(),
        expires_at: None,
    };
    format!("{ROOT}/sign-in?ticket={}", Seals::of(cluster).seal(Purpose::Ticket, &ticket))
}

/// The links that were used.
pub(super) struct Tickets {
    started_at: Wall,
    used: Mutex<BTreeMap<u64, i64>>,
}

impl Tickets {
    /// Of a process that starts now.
    pub(super) fn since(started_at: Wall) -> Self {
        Self { started_at, used: Mutex::default() }
    }

    /// Takes a link, once. `None`: it is another watchdog's, too old, used, or comes from elsewhere.
    pub(super) fn redeem(
        &self,
        ticket: &Ticket,
        watchdog: &str,
        from: Option<SocketAddr>,
        now: Wall,
    ) -> Option<Caller> {
        let is_here = from.is_some_and(|from| from.ip().to_canonical().is_loopback());
        if is_here { self.take(ticket, watchdog, (now, now)) } else { None }
    }

    /// The same of a wall's, which another watchdog made, whose clock may be ahead, and which comes from anywhere.
    pub(super) fn redeem_walls(&self, ticket: &Ticket, watchdog: &str, now: Wall) -> Option<Caller> {
        self.take(ticket, watchdog, (now, Wall(now.0 + CLOCKS_DIFFER_MS)))
    }

    fn take(&self, ticket: &Ticket, watchdog: &str, (now, latest): (Wall, Wall)) -> Option<Caller> {
        let is_good = (self.started_at.0..=latest.0).contains(&ticket.made_at) && now.0 - ticket.made_at < LASTS_MS;
        if !is_good || ticket.watchdog != watchdog {
            return None;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are too old are refused anyway.
        used.retain(|_, made_at| now.0 - *made_at < LASTS_MS);
        used.insert(ticket.number, ticket.made_at).is_none().then(|| {
            let scope = Scope::parse(&ticket.scope)?;
            Some(Caller::on_page(ticket.key_id, ticket.name.clone(), scope))
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_763_800_000_000);

    fn ticket() -> Ticket {
        let (name, scope, watchdog) = ("up-admin".to_owned(), "admin".to_owned(), "w1".to_owned());
        Ticket { key_id: 1, name, scope, watchdog, made_at: NOW.0, number: 7, expires_at: None }
    }

    fn redeemed(tickets: &Tickets, ticket: &Ticket, from: &str, after_ms: i64) -> bool {
        tickets.redeem(ticket, "w1", from.parse().ok(), Wall(NOW.0 + after_ms)).is_some()
    }

    #[test]
    fn a_link_signs_in_once_here_and_soon() {
        let tickets = Tickets::since(NOW);
        let here = "127.0.0.1:4000";
        assert!(!redeemed(&tickets, &ticket(), "192.0.2.7:4000", 1_000), "from elsewhere");
        assert!(!redeemed(&tickets, &Ticket { watchdog: "w2".to_owned(), ..ticket() }, here, 1_000));
        assert!(!redeemed(&tickets, &ticket(), here, LASTS_MS), "too late");
        assert!(redeemed(&tickets, &ticket(), here, LASTS_MS - 1));
        assert!(!redeemed(&tickets, &ticket(), here, LASTS_MS - 1), "twice");
        assert!(redeemed(&tickets, &Ticket { number: 8, ..ticket() }, "[::1]:4000", 1_000));
    }

    #[test]
    fn a_link_from_before_this_process_may_have_been_used_and_one_from_the_future_is_not_believed() {
        let tickets = Tickets::since(Wall(NOW.0 + 1));
        assert!(!redeemed(&tickets, &ticket(), "127.0.0.1:4000", 1_000));
        assert!(!redeemed(&Tickets::since(Wall(0)), &ticket(), "127.0.0.1:4000", -1));
    }
}
