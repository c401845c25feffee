//! A session: somebody showed an API key once, and the browser carries a signed cookie since.
//!
//! The cookie names the key's row and not the key. It is good at every watchdog of the cluster, for twelve hours, and as long as the
//! key is there: see [`super::visit`].

use axum::http::{HeaderMap, HeaderValue, header};
use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use crate::api::Caller;
use crate::sealed::{Purpose, Seals};
use crate::store::apikeys::Scope;

/// A working day.
const LASTS_MS: i64 = 12 * 60 * 60 * 1_000;

/// The cookie's name.
const COOKIE: &str = "komainu_session";

/// Who signed in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    /// The row of the key.
    pub(super) key_id: i64,
    /// The key's name.
    pub(super) name: String,
    /// What the key allowed then; what it allows now is looked up while the database answers.
    scope: String,
    /// By the clock of the watchdog that signed it.
    expires_at: i64,
}

/// As far apart as clocks of two watchdogs may be.
pub(super) const CLOCKS_DIFFER_MS: i64 = 30_000;

impl Session {
    /// Of whoever has just shown a key.
    pub(super) fn of(caller: &Caller, now: Wall) -> Self {
        let scope = caller.scope.as_str().to_owned();
        Self { key_id: caller.key_id, name: caller.name.clone(), scope, expires_at: now.0.saturating_add(LASTS_MS) }
    }

    /// The same, that ends no later than the one it goes on from.
    pub(super) fn until(self, expires_at: i64) -> Self {
        Self { expires_at: self.expires_at.min(expires_at), ..self }
    }

    /// When it ends.
    pub(super) fn expires(&self) -> i64 {
        self.expires_at
    }

    /// The one that a browser sent; `None`: none, forged, or over.
    pub(super) fn sent(headers: &HeaderMap, seals: &Seals, now: Wall) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let ours = cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        // Of several of this name, all but one are another site's on the same host.
        let mut found =
            ours.filter(|(name, _)| *name == COOKIE).filter_map(|(_, value)| seals.open(Purpose::Session, value));
        found.find(|session: &Self| session.expires_at > now.0)
    }

    /// Whether somebody signed in before that moment, whichever watchdog's clock it was.
    pub(super) fn is_older_than(&self, moment: Wall) -> bool {
        self.expires_at - LASTS_MS < moment.0 - CLOCKS_DIFFER_MS
    }

    /// Whether the browser sent a cookie of this name, good or bad.
    pub(super) fn is_sent(headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        cookies.flat_map(|value| value.split(';')).any(|cookie| cookie.trim().starts_with(&format!("{COOKIE}=")))
    }

    /// What the key allowed when it was shown.
    pub(super) fn scope(&self) -> Option<Scope> {
        Scope::parse(&self.scope)
    }

    /// The header that gives it to the browser. `is_private`: the connection is encrypted, and must be to get it back.
    pub(super) fn cookie(&self, seals: &Seals, is_private: bool) -> HeaderValue {
        cookie(&seals.seal(Purpose::Session, self), LASTS_MS / 1_000, is_private)
    }
}

/// The header that takes it away.
pub(super) fn no_cookie(is_private: bool) -> HeaderValue {
    cookie("", 0, is_private)
}

fn cookie(value: &str, seconds: i64, is_private: bool) -> HeaderValue {
    let secure = if is_private { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/watch; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).expect("a sealed text has only letters, digits, `-`, `_` and `.`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ClusterKey;

    const NOW: Wall = Wall(1_763_800_000_000);

    fn seals() -> Seals {
        Seals::of(&ClusterKey::parse(&"a".repeat(64)).unwrap())
    }

    fn session() -> Session {
        Session { key_id: 7, name: "ops".to_owned(), scope: "write".to_owned(), expires_at: NOW.0 + LASTS_MS }
    }

    fn sent(cookies: &[&str], now: Wall) -> Option<Session> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        Session::sent(&headers, &seals(), now)
    }

    #[test]
    fn what_the_browser_got_it_sends_back_for_twelve_hours() {
        let set = session().cookie(&seals(), true);
        let set = set.to_str().unwrap();
        assert!(set.ends_with("; Path=/watch; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"), "{set}");
        let pair = set.split(';').next().unwrap();
        assert_eq!(sent(&[&format!("theme=dark; {pair}")], NOW), Some(session()));
        assert_eq!(sent(&[pair], Wall(NOW.0 + LASTS_MS - 1)), Some(session()));
        assert_eq!(sent(&[pair], Wall(NOW.0 + LASTS_MS)), None);
    }

    #[test]
    fn a_cookie_that_somebody_else_set_is_passed_over() {
        let set = session().cookie(&seals(), false);
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        assert_eq!(sent(&["komainu_session=forged", pair], NOW), Some(session()));
        assert_eq!(sent(&["komainu_session=forged", "komainu_sessions=x", "komainu_session"], NOW), None);
        assert_eq!(sent(&[], NOW), None);
        let gone = no_cookie(false);
        assert!(gone.to_str().unwrap().starts_with("komainu_session=; Path=/watch; Max-Age=0;"));
    }
}
