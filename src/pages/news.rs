//! What a page said once, as subscribers are told it: public words and nothing else. Pure.
//!
//! Made where it is said, under the same lock, and stored as it was: whoever is told an hour later is told what stood there then.

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::notice::{Notice, Stage};
use super::public::{PublicNotice, told};

/// Earlier updates that go with it.
const MOST_UPDATES: usize = 10;

/// One thing that was said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct News {
    /// The page's title.
    pub title: String,
    /// The page's public id.
    pub page: String,
    /// As it stood there, with its latest updates.
    pub notice: PublicNotice,
    /// What people said; `None`: it went on by the clock, or without words.
    pub words: Option<String>,
    /// Whether nothing was said of it before.
    pub is_first: bool,
    /// By the database's clock.
    pub at: Wall,
}

/// What is said of a notice now.
pub fn news(page: &Definition, notice: &Notice, words: Option<&str>, (is_first, now): (bool, Wall)) -> News {
    let mut shown = told(page, notice, now);
    let many = shown.updates.len().saturating_sub(MOST_UPDATES);
    shown.updates.drain(..many);
    News {
        title: page.title.clone(),
        page: page.id.clone(),
        notice: shown,
        words: words.map(str::to_owned),
        is_first,
        at: now,
    }
}

/// What subscribers have heard of a notice by now: what the clock did to it since is still to be told.
pub fn heard(notice: &Notice, now: Wall) -> Stage {
    let until = notice.turns_at.filter(|at| *at <= now).map_or(now, |at| Wall(at.0 - 1));
    notice.stage_at(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::notice::tests::notice;
    use crate::pages::notice::{Kind, Update};

    #[test]
    fn what_the_clock_did_is_heard_once_somebody_told_it() {
        let planned = notice(Kind::Maintenance);
        let planned_at = |turns_at: i64| Notice { turns_at: Some(Wall(turns_at)), ..planned.clone() };
        let at = |turns_at: i64, now: i64| heard(&planned_at(turns_at), Wall(now));
        assert_eq!(at(1_000, 999), Stage::Scheduled);
        assert_eq!(at(1_000, 1_001), Stage::Scheduled, "it began, and nobody was told yet");
        assert_eq!(at(2_000, 1_001), Stage::InProgress, "and now they were");
        assert_eq!(at(1_000, 5_000), Stage::Scheduled, "it passed while the database was away");
        let early = Notice { stage: Stage::InProgress, ..planned_at(1_000) };
        assert_eq!(heard(&early, Wall(1_000)), Stage::InProgress, "people were ahead of the clock");
    }

    #[test]
    fn only_the_latest_updates_go_with_it_and_keep_their_ids() {
        let said = |id| Update {
            id,
            stage: Stage::Investigating,
            words: id.to_string(),
            at: Wall(id),
            said_by: "key/x".to_owned(),
        };
        let long = Notice { updates: (1..=30).map(said).collect(), ..notice(Kind::Incident) };
        let made = news(&Definition::default(), &long, Some("30"), (false, Wall(40)));
        let ids: Vec<&str> = made.notice.updates.iter().map(|update| update.id.as_str()).collect();
        assert_eq!((ids.len(), ids[0], ids[9]), (10, "n1-21", "n1-30"));
        assert!(!serde_json::to_string(&made).unwrap().contains("key/x"));
    }
}
