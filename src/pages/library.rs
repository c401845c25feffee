//! All pages as they are answered: drawn once for each change, and then only copied.
//!
//! A face of a page (its HTML in a language, a feed, a document) is drawn when somebody asks for it for the first time after a change, and
//! packed with it; what was asked for before is drawn again before it is put up, so that nobody waits for it. Bounded by the number of pages
//! and faces; what nobody asks for takes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use komainu_watchdogs::time::{Mono, Wall};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Write as _;
use tokio::sync::Notify;

use super::definition::Language;
use super::html::Age;
use super::public::{PublicComponent, PublicPage};
use super::statuspage::{self, Document};
use super::{draft, feeds, html, kuma, words};

/// A form in which a page is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Face {
    Html(Language),
    Atom,
    Rss,
    JsonFeed,
    Statuspage(Document),
    Kuma,
    KumaHeartbeats,
}

/// As many as [`Face::place`] tells apart.
const FACES: usize = 15;

impl Face {
    fn place(self) -> usize {
        let documents = || Document::ALL.iter();
        match self {
            Self::Html(Language::English) => 0,
            Self::Html(Language::TraditionalChinese) => 1,
            Self::Atom => 2,
            Self::Rss => 3,
            Self::JsonFeed => 4,
            Self::Kuma => 5,
            Self::KumaHeartbeats => 6,
            Self::Statuspage(document) => 7 + documents().position(|one| *one == document).unwrap_or(0),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let others = [Self::Atom, Self::Rss, Self::JsonFeed, Self::Kuma, Self::KumaHeartbeats];
        let languages = Language::ALL.into_iter().map(Self::Html);
        languages.chain(Document::ALL.into_iter().map(Self::Statuspage)).chain(others)
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Html(_) => "text/html; charset=utf-8",
            Self::Atom => "application/atom+xml; charset=utf-8",
            Self::Rss => "application/rss+xml; charset=utf-8",
            Self::JsonFeed => "application/feed+json; charset=utf-8",
            Self::Statuspage(_) | Self::Kuma | Self::KumaHeartbeats => "application/json",
        }
    }
}

/// What is sent.
#[derive(Clone)]
pub(super) struct Drawn {
    pub(super) plain: Bytes,
    pub(super) packed: Bytes,
    /// Weak: packed or not, it is the same. With its quotes.
    pub(super) etag: String,
}

/// A face, if it was drawn.
#[derive(Default)]
struct Slot {
    drawn: OnceLock<Drawn>,
    /// Somebody wanted it.
    is_asked: AtomicBool,
}

/// One page, with what it needs beside what is public.
pub(super) struct Volume {
    pub(super) page: PublicPage,
    pub(super) age: Age,
    /// The hash that opens it.
    pub(super) password: Option<String>,
    pub(super) logo: Option<(&'static str, Bytes)>,
    /// As people sent it.
    pub(super) logo_text: Option<String>,
    base: Arc<str>,
    faces: [Slot; FACES],
    /// Those that somebody asked for.
    months: Mutex<BTreeMap<(Language, String), Drawn>>,
}

impl Volume {
    pub(super) fn new(page: PublicPage, age: Age, secrets: Secrets<'_>, base: Arc<str>) -> Self {
        let logo = secrets.logo.and_then(draft::picture).map(|(kind, bytes)| (kind, Bytes::from(bytes)));
        let faces = std::array::from_fn(|_| Slot::default());
        let (password, logo_text) = (secrets.password.map(str::to_owned), secrets.logo.map(str::to_owned));
        Self { page, age, password, logo, logo_text, base, faces, months: Mutex::default() }
    }

    /// What it has that no answer bears.
    pub(super) fn secrets(&self) -> Secrets<'_> {
        Secrets { password: self.password.as_deref(), logo: self.logo_text.as_deref() }
    }

    /// Whether it says the same, and the same opens it.
    pub(super) fn is_like(&self, page: &PublicPage, secrets: Secrets<'_>) -> bool {
        self.page == *page && self.secrets() == secrets
    }

    /// In that form.
    pub(super) fn face(&self, face: Face) -> Drawn {
        let Some(slot) = self.faces.get(face.place()) else { return drawn(String::new()) };
        slot.is_asked.store(true, Ordering::Relaxed);
        slot.drawn.get_or_init(|| drawn(self.draw(face))).clone()
    }

    /// A month of what was told, drawn once. Kept only where something was: there are no more such months than notices.
    pub(super) fn month(&self, language: Language, month: &str) -> Drawn {
        let place = (language, month.to_owned());
        let kept = self.months.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        kept.unwrap_or_else(|| {
            let drawn = drawn(html::history(&self.page, language, month));
            if self.page.notices.iter().any(|notice| words::month(notice.at()) == month) {
                self.months.lock().unwrap_or_else(PoisonError::into_inner).insert(place, drawn.clone());
            }
            drawn
        })
    }

    /// Draws what was asked for of the page as it was before. Takes milliseconds for each face.
    pub(super) fn draw_as_asked(&self, before: &Self) {
        let is_asked =
            |face: &Face| before.faces.get(face.place()).is_some_and(|slot| slot.is_asked.load(Ordering::Relaxed));
        for face in Face::all().filter(is_asked) {
            if let Some(slot) = self.faces.get(face.place()) {
                slot.drawn.get_or_init(|| drawn(self.draw(face)));
            }
        }
    }

    fn draw(&self, face: Face) -> String {
        let (page, age, base) = (&self.page, self.age, &self.base);
        let text = |value: Value| value.to_string();
        match face {
            Face::Html(language) => html::page(page, language, age),
            Face::Atom => feeds::atom(page, base),
            Face::Rss => feeds::rss(page, base),
            Face::JsonFeed => text(feeds::json_feed(page, base)),
            Face::Statuspage(document) => text(statuspage::document(document, page, base, age.as_of)),
            Face::Kuma => text(kuma::page(page)),
            Face::KumaHeartbeats => text(kuma::heartbeats(page, age.as_of)),
        }
    }

    pub(super) fn component(&self, id: &str) -> Option<&PublicComponent> {
        self.page.components().find(|component| component.id == id)
    }
}

/// What a page has that no answer bears.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Secrets<'a> {
    pub(super) password: Option<&'a str>,
    pub(super) logo: Option<&'a str>,
}

pub(super) fn drawn(text: String) -> Drawn {
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    let etag = format!("W/\"{}\"", hash.get(..24).unwrap_or_default());
    let mut writer = GzEncoder::new(Vec::new(), Compression::new(4));
    // Writing into memory cannot fail; where it did, nothing would be packed.
    let packed = writer.write_all(text.as_bytes()).and_then(|()| writer.finish()).unwrap_or_default();
    Drawn { plain: Bytes::from(text), packed: Bytes::from(packed), etag }
}

/// All pages at one moment.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) volumes: BTreeMap<String, Arc<Volume>>,
    /// `None`: pages were never read.
    pub(super) read_at: Option<Wall>,
}

/// The pages of this watchdog; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Library(Arc<Inner>);

#[derive(Default)]
struct Inner {
    shelf: RwLock<Arc<Shelf>>,
    wake: Notify,
}

impl Library {
    pub(super) fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.0.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn put(&self, all: Shelf) {
        *self.0.shelf.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
    }

    /// Something was written through this watchdog: pages are read at once.
    pub(crate) fn refresh(&self) {
        self.0.wake.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// Nobody else has it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

/// When something was read, by both clocks: the database's is asked seldom, and counted on with this process'.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reading {
    pub(super) database: Wall,
    pub(super) at: Mono,
}

impl Reading {
    /// The database's clock by now.
    pub(super) fn wall(self, now: Mono) -> Wall {
        let since = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        Wall(self.database.0.saturating_add(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Definition;
    use crate::pages::notice::Kind;
    use crate::pages::notice::tests::notice;
    use crate::pages::public::{Known, public};

    #[test]
    fn a_face_is_drawn_once_and_then_only_copied() {
        let page = Definition { slug: "shop".to_owned(), title: "Shop".to_owned(), ..Definition::default() };
        let shown = public(&page, &[], (&Known::default(), Wall(0)), Wall(0));
        let age = Age { as_of: Wall(0), now: Wall(0) };
        let volume = Volume::new(shown, age, Secrets { password: None, logo: None }, Arc::from("https://a.example"));
        let all: Vec<Face> = Face::all().collect();
        let drawn: Vec<Drawn> = all.iter().map(|face| volume.face(*face)).collect();
        for (face, first) in all.iter().zip(&drawn) {
            let again = volume.face(*face);
            assert_eq!(again.plain.as_ptr(), first.plain.as_ptr(), "{face:?}");
            assert!(!first.plain.is_empty() && !first.packed.is_empty(), "{face:?}");
        }
        let places: std::collections::BTreeSet<usize> = all.iter().map(|face| face.place()).collect();
        assert_eq!((places.len(), places.last().copied()), (FACES, Some(FACES - 1)), "each has a place of its own");
    }

    #[test]
    fn what_was_asked_for_is_drawn_anew_before_anybody_asks_again_and_nothing_else_is() {
        let volume = |title: &str| {
            let page = Definition { slug: "shop".to_owned(), title: title.to_owned(), ..Definition::default() };
            let shown = public(&page, &[], (&Known::default(), Wall(0)), Wall(0));
            let age = Age { as_of: Wall(0), now: Wall(0) };
            Volume::new(shown, age, Secrets { password: None, logo: None }, Arc::from(""))
        };
        let is_drawn = |volume: &Volume, face: Face| volume.faces[face.place()].drawn.get().is_some();
        let (first, second, third) = (volume("a"), volume("b"), volume("c"));
        first.face(Face::Rss);
        second.draw_as_asked(&first);
        let drawn: Vec<Face> = Face::all().filter(|face| is_drawn(&second, *face)).collect();
        assert_eq!(drawn, [Face::Rss]);
        third.draw_as_asked(&second);
        assert!(!is_drawn(&third, Face::Rss), "nobody asked for it since");
    }

    #[test]
    fn another_password_is_another_page_although_it_says_the_same() {
        let page = Definition { slug: "shop".to_owned(), title: "Shop".to_owned(), ..Definition::default() };
        let shown = || public(&page, &[], (&Known::default(), Wall(0)), Wall(0));
        let age = Age { as_of: Wall(0), now: Wall(0) };
        let secrets = |password| Secrets { password, logo: None };
        let volume = Volume::new(shown(), age, secrets(Some("old")), Arc::from(""));
        assert!(volume.is_like(&shown(), secrets(Some("old"))));
        assert!(!volume.is_like(&shown(), secrets(Some("new"))) && !volume.is_like(&shown(), secrets(None)));
    }

    #[test]
    fn a_month_is_kept_only_if_something_was_told_in_it() {
        let page = Definition { slug: "shop".to_owned(), title: "Shop".to_owned(), ..Definition::default() };
        let told = [notice(Kind::Incident)];
        let shown = public(&page, &told, (&Known::default(), Wall(0)), Wall(0));
        let age = Age { as_of: Wall(0), now: Wall(0) };
        let volume = Volume::new(shown, age, Secrets { password: None, logo: None }, Arc::from(""));
        let place = |month: &str| volume.month(Language::English, month).plain.as_ptr();
        assert_eq!(place("1970-01"), place("1970-01"));
        for year in 1971..2_000 {
            volume.month(Language::English, &format!("{year}-01"));
        }
        assert_eq!(volume.months.lock().unwrap().len(), 1);
    }
}
