//! What public pages say of maintenance windows: which notice a window wants on a page, and what becomes of the one that it has. Pure.
//!
//! A window has at most one notice on a page that is not over: of the time that is on, or of the next one if that begins within
//! [`ANNOUNCED_BEFORE`]. When a time is over its notice stays in the page's history, and belongs to nobody any more.

use std::time::Duration;

use komainu_watchdogs::time::Wall;

use super::definition::{Component, Definition, Language, Source};
use super::notice::{Draft, Impact, Notice, Stage};
use super::words;
use crate::silence::window::PublicWords;

/// So long before it begins a time is shown.
pub const ANNOUNCED_BEFORE: Duration = Duration::from_secs(7 * 86_400);

/// What a window wants to be said on a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// From when, until when.
    pub time: (Wall, Wall),
    /// Public ids of what it is about, in the page's order.
    pub components: Vec<String>,
    /// The words.
    pub public: PublicWords,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Write a notice.
    Post(Draft),
    /// Say something else of the one that is there.
    Update(Draft),
    /// It belongs to the window no longer; before that this is said of it, if anything.
    Leave(Option<Draft>),
}

/// Which of a page's components this takes, by their public ids.
pub fn components(page: &Definition, mut takes: impl FnMut(&Source) -> bool) -> Vec<String> {
    let shown = page.components().filter(|component: &&Component| takes(&component.source));
    shown.map(|component| component.id.clone()).collect()
}

/// What is to be done about a window on a page, one thing at a time; `None`: nothing.
pub fn act(there: Option<&Notice>, wanted: Option<&Wanted>, (language, now): (Language, Wall)) -> Option<Act> {
    let (there, wanted) = match (there, wanted) {
        (None, None) => return None,
        (None, Some(wanted)) => return Some(Act::Post(posted(wanted))),
        (Some(there), None) => return Some(Act::Leave(last_words(there, language, now))),
        (Some(there), Some(wanted)) => (there, wanted),
    };
    let time = there.window.unwrap_or_default();
    let is_same_time = time == wanted.time || (time.0 < wanted.time.1 && wanted.time.0 < time.1);
    let has_begun = there.stage_at(now) != Stage::Scheduled;
    // What people called over stays so for that time; and what has begun is not moved to another one.
    if there.stage_at(now).is_over() {
        return (!is_same_time || now >= time.1).then_some(Act::Leave(None));
    }
    if has_begun && !is_same_time {
        return Some(Act::Leave(last_words(there, language, now)));
    }
    let change = changed(there, wanted);
    (change != Draft::default()).then_some(Act::Update(change))
}

fn posted(wanted: &Wanted) -> Draft {
    Draft {
        title: Some(wanted.public.title.clone()),
        impact: Some(Impact::None),
        components: Some(wanted.components.clone()),
        starts_at: Some(wanted.time.0),
        ends_at: Some(wanted.time.1),
        words: Some(wanted.public.text.clone()).filter(|text| !text.is_empty()),
        ..Draft::default()
    }
}

/// What differs. Words that were said once are not said again: people may have said more since.
fn changed(there: &Notice, wanted: &Wanted) -> Draft {
    let (text, time) = (&wanted.public.text, there.window.unwrap_or_default());
    let is_said = text.is_empty() || there.updates.iter().any(|update| update.words == *text);
    Draft {
        title: (there.title != wanted.public.title).then(|| wanted.public.title.clone()),
        components: (there.components != wanted.components).then(|| wanted.components.clone()),
        starts_at: (time.0 != wanted.time.0).then_some(wanted.time.0),
        ends_at: (time.1 != wanted.time.1).then_some(wanted.time.1),
        words: (!is_said).then(|| text.clone()),
        ..Draft::default()
    }
}

/// Of one that ends before its time, or does not begin.
fn last_words(there: &Notice, language: Language, now: Wall) -> Option<Draft> {
    let stage = there.stage_at(now);
    let words = (stage == Stage::Scheduled).then(|| words::words(language).not_taking_place.to_owned());
    (!stage.is_over()).then_some(Draft { stage: Some(Stage::Completed), words, ..Draft::default() })
}

#[cfg(test)]
mod tests {
    use super::super::notice::Kind;
    use super::super::notice::tests::notice;
    use super::*;

    fn wanted(from: i64, until: i64) -> Wanted {
        let public = PublicWords { title: "Mail is slow".to_owned(), text: String::new() };
        Wanted { time: (Wall(from), Wall(until)), components: vec![], public }
    }

    fn at(now: i64, there: Option<&Notice>, wanted: Option<&Wanted>) -> Option<Act> {
        act(there, wanted, (Language::English, Wall(now)))
    }

    #[test]
    fn a_window_is_announced_once_and_then_left_alone() {
        let there = notice(Kind::Maintenance);
        let Some(Act::Post(draft)) = at(0, None, Some(&wanted(1_000, 2_000))) else { panic!("it is new") };
        assert_eq!((draft.starts_at, draft.ends_at, draft.words), (Some(Wall(1_000)), Some(Wall(2_000)), None));
        for now in [0, 1_500] {
            assert_eq!(at(now, Some(&there), Some(&wanted(1_000, 2_000))), None, "{now}");
        }
        assert_eq!(at(0, None, None), None);
    }

    #[test]
    fn what_changes_is_said_and_nothing_is_said_twice() {
        let there = notice(Kind::Maintenance);
        let moved = Draft { starts_at: Some(Wall(5_000)), ends_at: Some(Wall(6_000)), ..Draft::default() };
        assert_eq!(at(0, Some(&there), Some(&wanted(5_000, 6_000))), Some(Act::Update(moved)), "it has not begun");
        let longer = Draft { ends_at: Some(Wall(2_500)), ..Draft::default() };
        assert_eq!(at(1_500, Some(&there), Some(&wanted(1_000, 2_500))), Some(Act::Update(longer)));
        let mut wordy = wanted(1_000, 2_000);
        "We work.".clone_into(&mut wordy.public.text);
        let said = Draft { words: Some("We work.".to_owned()), ..Draft::default() };
        assert_eq!(at(0, Some(&there), Some(&wordy)), Some(Act::Update(said)));
    }

    #[test]
    fn one_that_is_not_wanted_any_more_is_said_to_be_over() {
        let there = notice(Kind::Maintenance);
        let Some(Act::Leave(Some(draft))) = at(0, Some(&there), None) else { panic!("it was announced") };
        assert_eq!((draft.stage, draft.words.is_some()), (Some(Stage::Completed), true), "it does not take place");
        let Some(Act::Leave(Some(draft))) = at(1_500, Some(&there), None) else { panic!("it is on") };
        assert_eq!((draft.stage, draft.words), (Some(Stage::Completed), None));
        assert_eq!(at(2_000, Some(&there), None), Some(Act::Leave(None)), "the clock said so already");
    }

    #[test]
    fn the_next_time_waits_until_the_notice_of_the_one_before_is_left() {
        let there = notice(Kind::Maintenance);
        assert_eq!(at(2_000, Some(&there), Some(&wanted(9_000, 9_500))), Some(Act::Leave(None)));
        let early = Notice { stage: Stage::Completed, ..there.clone() };
        assert_eq!(at(1_500, Some(&early), Some(&wanted(1_000, 2_000))), None, "people said that it is over");
        assert_eq!(at(1_500, Some(&early), Some(&wanted(9_000, 9_500))), Some(Act::Leave(None)));
        let Some(Act::Leave(Some(_))) = at(1_500, Some(&there), Some(&wanted(9_000, 9_500))) else {
            panic!("it was ended before its time")
        };
    }
}
