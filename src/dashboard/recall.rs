//! What the API answered last, for many who look at the same, and for the time when the database is away.
//!
//! Who asks again within a second is shown the same answer. Where the API cannot answer, the last answer is shown with its age.
//! Bounded in answers and in bytes; who is asked for least recently goes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::view::DatabaseView;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::frame::{AWAY, Section, unread};
use super::visit::Visitor;
use super::{Desk, channels, checks, heartbeats, incidents, moves, overview, pages, silences};
use crate::api::{Answer, Caller};
use crate::clock;
use crate::store::apikeys::Scope;

/// An answer is believed for so long.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Somebody looks at a page and waits.
const PATIENCE: Duration = Duration::from_secs(3);

const MOST_ANSWERS: usize = 512;
const MOST_BYTES: usize = 16 * 1_024 * 1_024;

/// Which answer: to whom the API would give it, and where.
type Question = (&'static str, String);

/// The answers.
#[derive(Default)]
pub(super) struct Recall(Mutex<Held>);

#[derive(Default)]
struct Held {
    answers: BTreeMap<Question, Remembered>,
    bytes: usize,
}

#[derive(Clone)]
struct Remembered {
    body: Arc<Value>,
    bytes: usize,
    read_at: Mono,
    asked_at: Mono,
    is_outdated: bool,
}

/// What a page can show.
pub(super) enum Reading<T> {
    /// What the API says, and how old that is where it could not be asked now.
    Known(T, Option<Duration>),
    /// It refuses: there is no such thing, or this key may not see it.
    Refused(StatusCode, String),
    /// It cannot be asked, and was not before.
    Away,
}

impl<T> Reading<T> {
    /// What is known, if anything is.
    pub(super) fn known(self) -> Option<T> {
        match self {
            Self::Known(value, _) => Some(value),
            Self::Refused(..) | Self::Away => None,
        }
    }
}

/// A page of a list, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

impl Desk {
    /// What a page is about, and how old that is where it could not be read now; `Err`: the page that says why there is none.
    pub(super) async fn need<T: DeserializeOwned>(
        &self,
        visitor: &Visitor,
        (here, path): (Section, &str),
    ) -> Result<(T, Option<Duration>), Box<Response>> {
        self.needed((visitor, visitor), (here, path)).await
    }

    /// The same of what everybody with a key sees alike: read once for all of them.
    pub(super) async fn need_list<T: DeserializeOwned>(
        &self,
        visitor: &Visitor,
        asked: (Section, &str),
    ) -> Result<(T, Option<Duration>), Box<Response>> {
        self.needed((visitor, &visitor.as_reader()), asked).await
    }

    async fn needed<T: DeserializeOwned>(
        &self,
        (visitor, reader): (&Visitor, &Visitor),
        (here, path): (Section, &str),
    ) -> Result<(T, Option<Duration>), Box<Response>> {
        match self.read(reader, path).await {
            Reading::Known(value, age) => Ok((value, age)),
            Reading::Refused(status, words) => Err(Box::new(unread(self, visitor, here, (status, &words)))),
            Reading::Away => Err(Box::new(unread(self, visitor, here, AWAY))),
        }
    }

    /// Reads from the API what this visitor may see.
    pub(super) async fn read<T: DeserializeOwned>(&self, visitor: &Visitor, path: &str) -> Reading<T> {
        let question = (visitor.caller.scope.as_str(), path.to_owned());
        let now = clock::now();
        let before = self.recall.held().find(&question, now);
        if let Some(fresh) =
            before.as_ref().filter(|before| !before.is_outdated && now.since(before.read_at) < FRESH_FOR)
        {
            return fresh.reading(None);
        }
        let is_hopeless = before.is_some() && self.inside.state().view.borrow().database == DatabaseView::Down;
        let answer = if is_hopeless { None } else { self.asked(visitor, path).await };
        match answer {
            Some(answer) if answer.status.is_success() => {
                let remembered = Remembered::of(answer.body, now);
                self.recall.held().put(question, remembered.clone());
                remembered.reading(None)
            }
            Some(answer) if answer.status.is_client_error() => Reading::Refused(answer.status, detail(&answer.body)),
            Some(_) | None => before.map_or(Reading::Away, |before| {
                let age = now.since(before.read_at);
                before.reading(Some(age))
            }),
        }
    }

    /// Reads what people would look for first, so that it is known when the database goes.
    pub(super) async fn remember(&self) {
        let caller = Caller::on_page(0, "dashboard".to_owned(), Scope::Read);
        let visitor = Visitor { caller, address: None, place: String::new() };
        let lists = [
            overview::OPEN_INCIDENTS,
            incidents::FIRST,
            checks::FIRST,
            heartbeats::FIRST,
            channels::ALL,
            moves::LATELY,
            silences::ACTIVE,
            pages::FIRST,
        ];
        for path in lists {
            let _for_later = self.read::<Value>(&visitor, path).await;
        }
    }

    async fn asked(&self, visitor: &Visitor, path: &str) -> Option<Answer> {
        let asked = self.inside.ask(&visitor.caller, visitor.address, (Method::GET, path), None);
        tokio::time::timeout(PATIENCE, asked).await.ok()
    }
}

/// What an error of the API says to people.
pub(super) fn detail(body: &Value) -> String {
    body.get("detail").and_then(Value::as_str).unwrap_or("the API refused it and did not say why").to_owned()
}

impl Remembered {
    fn of(body: Value, read_at: Mono) -> Self {
        let bytes = body.to_string().len();
        Self { body: Arc::new(body), bytes, read_at, asked_at: read_at, is_outdated: false }
    }

    fn reading<T: DeserializeOwned>(&self, age: Option<Duration>) -> Reading<T> {
        match T::deserialize(&*self.body) {
            Ok(value) => Reading::Known(value, age),
            Err(error) => {
                tracing::error!(%error, "a page does not understand the API of its own program");
                Reading::Away
            }
        }
    }
}

impl Recall {
    /// Something was done here: what is shown next was asked for after it. What was known stays, for when it cannot be asked.
    pub(super) fn outdate(&self) {
        for held in self.held().answers.values_mut() {
            held.is_outdated = true;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn find(&mut self, question: &Question, now: Mono) -> Option<Remembered> {
        let found = self.answers.get_mut(question)?;
        found.asked_at = now;
        Some(found.clone())
    }

    fn put(&mut self, question: Question, remembered: Remembered) {
        if remembered.bytes > MOST_BYTES / 4 {
            return;
        }
        self.bytes += remembered.bytes;
        if let Some(before) = self.answers.insert(question, remembered) {
            self.bytes -= before.bytes;
        }
        while self.answers.len() > MOST_ANSWERS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.answers.iter().min_by_key(|(_, held)| held.asked_at).map(|(key, _)| key.clone())
            else {
                return;
            };
            if let Some(gone) = self.answers.remove(&oldest) {
                self.bytes -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_least_recently_goes_first() {
        let mut held = Held::default();
        for number in 0..=u64::try_from(MOST_ANSWERS).unwrap() {
            held.put(("read", number.to_string()), Remembered::of(Value::from(number), Mono::secs(number)));
            // The first one is looked at all the time.
            assert!(held.find(&("read", "0".to_owned()), Mono::secs(number)).is_some());
        }
        assert_eq!(held.answers.len(), MOST_ANSWERS);
        assert!(held.find(&("read", "1".to_owned()), Mono::secs(0)).is_none());
        assert_eq!(held.bytes, held.answers.values().map(|held| held.bytes).sum::<usize>());
    }

    #[test]
    fn long_answers_take_no_more_than_their_room() {
        let mut held = Held::default();
        let long = "x".repeat(MOST_BYTES / 5);
        for number in 0..20 {
            held.put(("read", number.to_string()), Remembered::of(Value::from(long.clone()), Mono::secs(number)));
        }
        assert!(held.bytes <= MOST_BYTES && held.answers.len() == 4, "{} {}", held.bytes, held.answers.len());
        held.put(("read", "x".to_owned()), Remembered::of(Value::from("x".repeat(MOST_BYTES)), Mono::secs(99)));
        assert_eq!(held.answers.len(), 4, "one that is too long takes nothing from the others");
    }
}
