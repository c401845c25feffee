//! What people write on a page: incidents with their updates, and planned maintenances. Pure.
//!
//! An incident goes from *investigating* to *resolved*, as people say. A maintenance goes from *scheduled* to *completed* by the clock, and
//! people may be ahead of it, never behind: what was said to be over is over.

use std::collections::BTreeSet;

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use crate::monitor::FieldFault;

/// Notices of one page that are kept; older ones are deleted by hand.
pub const MOST_NOTICES: u32 = 2_000;
/// Updates of one notice.
pub const MOST_UPDATES: u32 = 200;
/// Of a title.
pub const TITLE_CHARS: usize = 200;
/// Of an update.
pub const WORDS_CHARS: usize = 5_000;

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something is or was wrong.
    Incident,
    /// Somebody works on it, and said so before.
    Maintenance,
}

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Of an incident: somebody looks into it.
    Investigating,
    /// The cause is known.
    Identified,
    /// It was repaired, and is watched.
    Monitoring,
    /// It is over.
    Resolved,
    /// Of a maintenance: it is to come.
    Scheduled,
    /// It goes on.
    InProgress,
    /// The work is done, and is looked at.
    Verifying,
    /// It is over.
    Completed,
}

/// How much it matters to the public.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Nothing fails.
    None,
    /// Something is slow.
    Minor,
    /// Something fails for some.
    Major,
    /// Something fails for all.
    Critical,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Incident, Self::Maintenance];

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Maintenance => "maintenance",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// In the order in which it goes through them.
    pub fn stages(self) -> [Stage; 4] {
        match self {
            Self::Incident => [Stage::Investigating, Stage::Identified, Stage::Monitoring, Stage::Resolved],
            Self::Maintenance => [Stage::Scheduled, Stage::InProgress, Stage::Verifying, Stage::Completed],
        }
    }

    /// The stage of that name, if it is one of this kind.
    pub fn stage(self, text: &str) -> Option<Stage> {
        self.stages().into_iter().find(|stage| stage.as_str() == text)
    }
}

impl Stage {
    /// As it is stored, and as Statuspage has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Identified => "identified",
            Self::Monitoring => "monitoring",
            Self::Resolved => "resolved",
            Self::Scheduled => "scheduled",
            Self::InProgress => "in_progress",
            Self::Verifying => "verifying",
            Self::Completed => "completed",
        }
    }

    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Resolved | Self::Completed)
    }
}

impl Impact {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Minor, Self::Major, Self::Critical];

    /// As it is stored, and as Statuspage has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }

    /// The impact of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|impact| impact.as_str() == text)
    }
}

/// One of them, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The row's key; private.
    pub id: i64,
    /// Public and unguessable.
    pub public_id: String,
    /// On which page.
    pub slug: String,
    /// What it is.
    pub kind: Kind,
    /// In one line.
    pub title: String,
    /// How much it matters.
    pub impact: Impact,
    /// As it was said last.
    pub stage: Stage,
    /// Public ids of what it is about.
    pub components: Vec<String>,
    /// Of a maintenance: from when, until when.
    pub window: Option<(Wall, Wall)>,
    /// Private: when subscribers are to be told that it went on by the clock.
    pub turns_at: Option<Wall>,
    /// When it was said to be over.
    pub resolved_at: Option<Wall>,
    /// Private: the incident that it was opened from.
    pub incident_id: Option<i64>,
    /// Of the last write.
    pub revision: u64,
    /// By the database's clock.
    pub created_at: Wall,
    /// Private: who wrote it.
    pub created_by: String,
    /// By the database's clock.
    pub changed_at: Wall,
    /// In order.
    pub updates: Vec<Update>,
}

/// What was said of it once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// The row's key.
    pub id: i64,
    /// How far it had come.
    pub stage: Stage,
    /// In words.
    pub words: String,
    /// By the database's clock.
    pub at: Wall,
    /// Private: who said it.
    pub said_by: String,
}

impl Notice {
    /// How far it has come by now: a maintenance goes on by the clock.
    pub fn stage_at(&self, now: Wall) -> Stage {
        let by_clock = match self.window {
            Some((_, ends_at)) if now >= ends_at => Stage::Completed,
            Some((starts_at, _)) if now >= starts_at => Stage::InProgress,
            Some(_) => Stage::Scheduled,
            None => self.stage,
        };
        self.stage.max(by_clock)
    }

    /// When its stage changes next by itself.
    pub fn next_change(&self, now: Wall) -> Option<Wall> {
        let (starts_at, ends_at) = self.window.filter(|_| !self.stage_at(now).is_over())?;
        [starts_at, ends_at].into_iter().find(|at| *at > now)
    }

    /// Another one after each write. With its quotes, as it stands in the header.
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.public_id, self.revision)
    }
}

/// A new one, or what changes of one; `None`: as it was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Draft {
    /// In one line.
    pub title: Option<String>,
    /// How much it matters.
    pub impact: Option<Impact>,
    /// How far it has come.
    pub stage: Option<Stage>,
    /// Public ids.
    pub components: Option<Vec<String>>,
    /// Of a maintenance.
    pub starts_at: Option<Wall>,
    /// Of a maintenance.
    pub ends_at: Option<Wall>,
    /// What is said of it.
    pub words: Option<String>,
    /// The incident that it is opened from.
    pub incident_id: Option<i64>,
}

/// What is wrong with the components that a draft names.
pub fn components_fault(components: &[String], page: &Definition) -> Option<FieldFault> {
    let known: BTreeSet<&str> = page.components().map(|component| component.id.as_str()).collect();
    let lost = components.iter().find(|id| !known.contains(id.as_str()))?;
    Some(FieldFault::new("components", format!("there is no component {lost} on this page")))
}

/// What is wrong with the time of a maintenance.
pub fn window_fault(starts_at: Option<Wall>, ends_at: Option<Wall>) -> Result<(Wall, Wall), FieldFault> {
    const MOST: i64 = 90 * 86_400_000;
    match (starts_at, ends_at) {
        (None, _) => Err(FieldFault::new("starts_at", "is missing")),
        (_, None) => Err(FieldFault::new("ends_at", "is missing")),
        (Some(from), Some(until)) if until <= from => Err(FieldFault::new("ends_at", "must be later than starts_at")),
        (Some(from), Some(until)) if until.0 - from.0 > MOST => {
            Err(FieldFault::new("ends_at", "a maintenance lasts 90 days at most"))
        }
        (Some(from), Some(until)) => Ok((from, until)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::pages) fn notice(kind: Kind) -> Notice {
        let [stage, ..] = kind.stages();
        Notice {
            id: 1,
            public_id: "n1".to_owned(),
            slug: "shop".to_owned(),
            kind,
            title: "Mail is slow".to_owned(),
            impact: Impact::Minor,
            stage,
            components: vec![],
            window: (kind == Kind::Maintenance).then_some((Wall(1_000), Wall(2_000))),
            turns_at: None,
            resolved_at: None,
            incident_id: None,
            revision: 1,
            created_at: Wall(1),
            created_by: "key/ops".to_owned(),
            changed_at: Wall(1),
            updates: vec![],
        }
    }

    #[test]
    fn a_maintenance_goes_by_the_clock_and_people_may_be_ahead_of_it() {
        let planned = notice(Kind::Maintenance);
        let stages = [999, 1_000, 1_999, 2_000].map(|at| planned.stage_at(Wall(at)));
        assert_eq!(stages, [Stage::Scheduled, Stage::InProgress, Stage::InProgress, Stage::Completed]);
        let changes = [0, 1_000, 2_000].map(|at| planned.next_change(Wall(at)));
        assert_eq!(changes, [Some(Wall(1_000)), Some(Wall(2_000)), None]);
        let early = Notice { stage: Stage::Verifying, ..planned.clone() };
        assert_eq!(
            [0, 1_500, 2_000].map(|at| early.stage_at(Wall(at))),
            [Stage::Verifying, Stage::Verifying, Stage::Completed]
        );
        let over = Notice { stage: Stage::Completed, ..planned };
        assert_eq!((over.stage_at(Wall(0)), over.next_change(Wall(0))), (Stage::Completed, None));
    }

    #[test]
    fn an_incident_waits_for_people() {
        let incident = notice(Kind::Incident);
        assert_eq!(incident.stage_at(Wall(i64::MAX)), Stage::Investigating);
        assert_eq!(Kind::Incident.stage("scheduled"), None);
    }

    #[test]
    fn a_window_has_a_beginning_before_its_end() {
        let field = |from: Option<i64>, until: Option<i64>| {
            window_fault(from.map(Wall), until.map(Wall)).map_err(|fault| fault.field)
        };
        assert_eq!(field(Some(1), Some(2)), Ok((Wall(1), Wall(2))));
        assert_eq!(field(None, Some(2)), Err("starts_at".to_owned()));
        for (from, until) in [(Some(1), None), (Some(2), Some(2)), (Some(0), Some(i64::MAX))] {
            assert_eq!(field(from, until), Err("ends_at".to_owned()));
        }
    }
}
