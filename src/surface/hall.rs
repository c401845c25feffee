//! The crowd, with the means to send somebody away.

use std::collections::HashMap;
use std::net::IpAddr;

use komainu_watchdogs::time::Mono;
use tokio_util::sync::CancellationToken;

use super::crowd::{Admission, Crowd, Key, Places};

/// All connections.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) crowd: Crowd,
    sent_away: HashMap<Key, CancellationToken>,
}

/// Somebody who may come in.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) key: Key,
    pub(super) sent_away: CancellationToken,
    /// Somebody else had to go.
    pub(super) is_in_anothers_place: bool,
}

impl Hall {
    pub(super) fn new(places: Places) -> Self {
        Self { crowd: Crowd::new(places), sent_away: HashMap::new() }
    }

    /// Somebody connects; `None`: all are busy.
    pub(super) fn admit(&mut self, address: IpAddr, now: Mono) -> Option<Guest> {
        let (key, leaver) = match self.crowd.admit(address, now) {
            Admission::Welcome(key) => (key, None),
            Admission::InsteadOf(key, leaver) => (key, Some(leaver)),
            Admission::Full => return None,
        };
        if let Some(leaver) = leaver {
            self.send_away(leaver);
        }
        let sent_away = CancellationToken::new();
        self.sent_away.insert(key, sent_away.clone());
        Some(Guest { key, sent_away, is_in_anothers_place: leaver.is_some() })
    }

    /// A proxy said whose connection it is; that address may have too many.
    pub(super) fn rename(&mut self, key: Key, address: IpAddr, now: Mono) {
        if let Some(leaver) = self.crowd.rename(key, address, now) {
            self.send_away(leaver);
        }
    }

    pub(super) fn leave(&mut self, key: Key) {
        self.crowd.leave(key);
        self.sent_away.remove(&key);
    }

    fn send_away(&mut self, leaver: Key) {
        if let Some(token) = self.sent_away.remove(&leaver) {
            token.cancel();
        }
    }
}
