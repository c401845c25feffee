//! Pages as HTML: readable without a script, with nothing from another host. Takes public types only.

use askama::Template;
use komainu_watchdogs::time::Wall;

use super::day::Day;
use super::definition::Language;
use super::notice::Impact;
use super::public::{PublicComponent, PublicGroup, PublicNotice, PublicPage, PublicUpdate};
use super::words::{self, Words, iso, minute};
use crate::dashboard::chart::{Caption, Line, Took, line_in};

/// What is over is shown on the page itself for so long.
const RECENT_MS: i64 = 14 * 86_400_000;

const HOUR_S: i64 = 3_600;

/// When a page's knowledge is from, and what time it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Age {
    /// When what is shown was read, or was found to be still so.
    pub(super) as_of: Wall,
    pub(super) now: Wall,
}

/// Older than this is said to be old.
const OLD_MS: i64 = 60_000;

impl Age {
    /// Minutes, of what is old.
    pub(super) fn old_minutes(self) -> Option<i64> {
        let age = self.now.0.saturating_sub(self.as_of.0);
        (age > OLD_MS).then_some(age / 60_000)
    }
}

#[derive(Template)]
#[template(path = "public_page.html")]
struct Shown<'a> {
    page: &'a PublicPage,
    language: Language,
    words: &'static Words,
    overall: &'static str,
    incidents: Vec<Told<'a>>,
    planned: Vec<Told<'a>>,
    groups: Vec<Section<'a>>,
    past: Vec<Told<'a>>,
    as_of: String,
    old: Option<String>,
    query: String,
    /// Code and name of each.
    languages: Vec<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "public_history.html")]
struct History<'a> {
    page: &'a PublicPage,
    language: Language,
    words: &'static Words,
    month: String,
    months: Vec<String>,
    told: Vec<Told<'a>>,
    query: String,
}

#[derive(Template)]
#[template(path = "public_door.html")]
struct Door<'a> {
    slug: &'a str,
    language: Language,
    words: &'static Words,
    trouble: Option<&'static str>,
    query: String,
}

#[derive(Template)]
#[template(path = "public_refusal.html")]
struct Refusal {
    language: Language,
    words: &'static Words,
    text: &'static str,
}

/// A group in a language.
struct Section<'a> {
    id: &'a str,
    name: &'a str,
    parts: Vec<Part<'a>>,
}

/// A component in a language.
struct Part<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    class: &'static str,
    standing: &'static str,
    /// How each looks, and what it says.
    bars: Vec<(&'static str, String)>,
    total: String,
    graph: Option<Line>,
}

/// A notice in a language.
struct Told<'a> {
    id: &'a str,
    title: &'a str,
    stage: &'static str,
    is_over: bool,
    impact: Option<&'static str>,
    at: Moment,
    until: Option<Moment>,
    about: Option<String>,
    updates: Vec<Said<'a>>,
}

/// What was said of it once.
struct Said<'a> {
    stage: &'static str,
    words: &'a str,
    at: Moment,
}

/// A time, for programs and for people.
struct Moment {
    iso: String,
    text: String,
}

impl Moment {
    fn of(at: Wall) -> Self {
        Self { iso: iso(at), text: minute(at) }
    }
}

impl<'a> Told<'a> {
    fn of(notice: &'a PublicNotice, words: &'static Words) -> Self {
        let names: Vec<&str> = notice.components.iter().map(|(_, name)| name.as_str()).collect();
        let said = |update: &'a PublicUpdate| Said {
            stage: words.stage(update.stage),
            words: &update.words,
            at: Moment::of(update.at),
        };
        Self {
            id: &notice.id,
            title: &notice.title,
            stage: words.stage(notice.stage),
            is_over: notice.stage.is_over(),
            impact: (notice.impact != Impact::None).then(|| words.impact(notice.impact)),
            at: Moment::of(notice.at()),
            until: notice.window.map(|(_, until)| Moment::of(until)),
            about: (!names.is_empty()).then(|| words.about.replace("{}", &names.join(", "))),
            updates: notice.updates.iter().rev().map(said).collect(),
        }
    }
}

impl<'a> Section<'a> {
    fn of(group: &'a PublicGroup, words: &'static Words) -> Self {
        let name = if group.name.is_empty() { words.services } else { &group.name };
        Self { id: &group.id, name, parts: group.components.iter().map(|one| Part::of(one, words)).collect() }
    }
}

impl<'a> Part<'a> {
    fn of(component: &'a PublicComponent, words: &'static Words) -> Self {
        let bar = |day: &(i64, Day)| (day.1.bar().class(), words.day(*day));
        let share = component.total().share();
        Self {
            id: &component.id,
            name: &component.name,
            description: &component.description,
            class: component.standing.class(),
            standing: words.standing(component.standing),
            bars: component.days.iter().map(bar).collect(),
            total: share.map_or_else(|| words.uncounted.to_owned(), |share| words.share(share)),
            graph: graph(component, words),
        }
    }
}

fn graph(component: &PublicComponent, words: &'static Words) -> Option<Line> {
    let hours = component.hours.as_ref()?;
    let took = |(at, ms): &(i64, f64)| Took { at: Wall(at.saturating_mul(1_000)), ms: Some(*ms) };
    let points: Vec<Took> = hours.iter().map(took).collect();
    let Words { took, took_summary, took_nothing, uncounted, .. } = words;
    let caption = Caption { title: took, summary: took_summary, nothing: took_nothing, gap: uncounted };
    line_in(&points, HOUR_S * 1_000, &caption)
}

/// Links keep the language that was asked for.
pub(super) fn query(page: Language, language: Language) -> String {
    if page == language { String::new() } else { format!("?lang={}", language.code()) }
}

/// The page itself.
pub(super) fn page(page: &PublicPage, language: Language, age: Age) -> String {
    let words = words::words(language);
    let ended = |notice: &&PublicNotice| notice.ended_at().is_some_and(|at| age.now.0 - at.0 < RECENT_MS);
    let past = page.notices.iter().filter(|notice| notice.stage.is_over()).filter(ended);
    let told = |notice| Told::of(notice, words);
    drawn(&Shown {
        overall: words.overall(page.overall),
        incidents: page.open_incidents().map(told).collect(),
        planned: page.planned().map(told).collect(),
        groups: page.groups.iter().map(|group| Section::of(group, words)).collect(),
        past: past.map(told).collect(),
        as_of: words.as_of.replace("{}", &minute(age.as_of)),
        old: age.old_minutes().map(|minutes| words.old.replace("{}", &minutes.to_string())),
        languages: Language::ALL.map(|language| (language.code(), words::words(language).name)).to_vec(),
        query: query(page.language, language),
        page,
        language,
        words,
    })
}

/// One month of what was told.
pub(super) fn history(page: &PublicPage, language: Language, month: &str) -> String {
    let words = words::words(language);
    let of_month = page.notices.iter().filter(|notice| words::month(notice.at()) == month);
    let told = of_month.map(|notice| Told::of(notice, words)).collect();
    let months = months(page, month);
    drawn(&History {
        words,
        told,
        months,
        month: month.to_owned(),
        query: query(page.language, language),
        page,
        language,
    })
}

/// Months of which something was told, and the one that is shown; the latest first.
fn months(page: &PublicPage, shown: &str) -> Vec<String> {
    let mut months: Vec<String> = page.notices.iter().map(|notice| words::month(notice.at())).collect();
    months.push(shown.to_owned());
    months.sort_unstable();
    months.dedup();
    months.reverse();
    months
}

/// Where one says the password; nothing of the page.
pub(super) fn door(slug: &str, language: Language, trouble: Option<fn(&Words) -> &'static str>) -> String {
    let words = words::words(language);
    let query = format!("?lang={}", language.code());
    drawn(&Door { slug, language, words, trouble: trouble.map(|trouble| trouble(words)), query })
}

/// Why there is no page.
pub(super) fn refusal(language: Language, text: fn(&Words) -> &'static str) -> String {
    let words = words::words(language);
    drawn(&Refusal { language, words, text: text(words) })
}

pub(super) fn drawn(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a public page could not be drawn");
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Definition;
    use crate::pages::public::{Known, public};

    fn shop() -> PublicPage {
        let page = Definition { slug: "shop".to_owned(), title: "Shop".to_owned(), ..Definition::default() };
        public(&page, &[], (&Known::default(), Wall(0)), Wall(0))
    }

    #[test]
    fn what_is_old_says_how_old_it_is() {
        let at = |as_of, now| page(&shop(), Language::English, Age { as_of: Wall(as_of), now: Wall(now) });
        let fresh = at(1_763_800_000_000, 1_763_800_060_000);
        assert!(!fresh.contains("minutes old") && fresh.contains("As of 2025-11-22 08:26 UTC."), "{fresh}");
        let old = at(1_763_800_000_000, 1_763_800_420_000);
        assert!(old.contains("What stands here is 7 minutes old."), "{old}");
    }

    #[test]
    fn an_empty_page_claims_nothing() {
        let html = page(&shop(), Language::English, Age { as_of: Wall(0), now: Wall(0) });
        assert!(html.contains("Nothing stands here yet.") && !html.contains("All systems operational"), "{html}");
    }

    #[test]
    fn a_page_asks_nobody_else_for_anything() {
        let html = page(&shop(), Language::TraditionalChinese, Age { as_of: Wall(0), now: Wall(0) });
        assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("style="), "{html}");
    }
}
