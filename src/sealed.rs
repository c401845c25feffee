//! What a browser or a link carries for the cluster: signed, readable by anybody, made by nobody else.
//!
//! The keys follow from the cluster's key, so any watchdog opens what another one sealed, also while the database is away. Each
//! purpose has its own key: a notice is no session.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys::{ClusterKey, hmac};

/// What is sealed for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Who signed in.
    Session,
    /// What the page after a deed says of it.
    Notice,
    /// A link that signs in.
    Ticket,
    /// What a wall goes on with at another watchdog.
    Wall,
    /// A link of a message that does one thing about one incident.
    Answer,
}

/// The keys of all purposes.
pub(crate) struct Seals {
    session: [u8; 32],
    notice: [u8; 32],
    ticket: [u8; 32],
    wall: [u8; 32],
    answer: [u8; 32],
}

/// Longer texts were not sealed here.
const MOST_CHARS: usize = 3_000;

impl Seals {
    pub(crate) fn of(key: &ClusterKey) -> Self {
        let names = ["session", "notice", "ticket", "wall", "answer"];
        let [session, notice, ticket, wall, answer] = names.map(|name| key.page_key(name));
        Self { session, notice, ticket, wall, answer }
    }

    /// `content.signature`, fit for a cookie or a query.
    pub(crate) fn seal(&self, purpose: Purpose, content: &impl Serialize) -> String {
        let content = serde_json::to_vec(content).expect("what is sealed here has only names that are texts");
        let content = URL_SAFE_NO_PAD.encode(content);
        let signature = self.mac(purpose, &content).finalize().into_bytes();
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What was sealed; `None`: it was not, or for another purpose.
    pub(crate) fn open<T: DeserializeOwned>(&self, purpose: Purpose, text: &str) -> Option<T> {
        let (content, signature) = text.split_once('.').filter(|_| text.len() <= MOST_CHARS)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(purpose, content).verify_slice(&signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(content).ok()?).ok()
    }

    fn mac(&self, purpose: Purpose, content: &str) -> hmac::Hmac<sha2::Sha256> {
        let key = match purpose {
            Purpose::Session => &self.session,
            Purpose::Notice => &self.notice,
            Purpose::Ticket => &self.ticket,
            Purpose::Wall => &self.wall,
            Purpose::Answer => &self.answer,
        };
        let mut mac = hmac(key);
        mac.update(content.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals(key: char) -> Seals {
        Seals::of(&ClusterKey::parse(&key.to_string().repeat(64)).unwrap())
    }

    #[test]
    fn what_one_watchdog_sealed_any_of_its_cluster_opens_for_that_purpose_only() {
        let sealed = seals('a').seal(Purpose::Session, &("ops", 7));
        assert_eq!(seals('a').open(Purpose::Session, &sealed), Some(("ops".to_owned(), 7)));
        assert_eq!(seals('a').open::<(String, u8)>(Purpose::Notice, &sealed), None);
        assert_eq!(seals('b').open::<(String, u8)>(Purpose::Session, &sealed), None);
    }

    #[test]
    fn whatever_is_changed_of_it_it_is_not_opened() {
        let sealed = seals('a').seal(Purpose::Session, &("ops", 7));
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last character of each part has bits that say nothing.
            let is_same = seals('a').open::<(String, u8)>(Purpose::Session, &changed) == Some(("ops".to_owned(), 7));
            assert!(!is_same || at == sealed.len() - 1, "{at}");
        }
        for garbage in ["", ".", "a", "a.b", "a.b.c", &"a".repeat(10_000)] {
            assert_eq!(seals('a').open::<(String, u8)>(Purpose::Session, garbage), None, "{garbage}");
        }
    }
}
