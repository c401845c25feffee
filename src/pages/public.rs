//! What the public is shown of a page: types of their own, which have no field for anything private. Pure.
//!
//! Everything that is rendered takes these and nothing else, so that what a component is about (a target, a message, a node, a tag, a
//! name that was not made public) cannot slip through: it has ended here.

use std::collections::BTreeMap;

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::day::Day;
use super::definition::{Component, Definition, Language, Source, Way};
use super::notice::{Impact, Kind, Notice, Stage};
use super::standing::Standing;

/// Days of the bars.
pub const DAYS: i64 = 90;

const DAY_MS: i64 = 86_400_000;

/// What is known of everything that stands on pages.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Known {
    /// How each is.
    pub standings: BTreeMap<Source, Standing>,
    /// What was counted of each, by the second at which the day began.
    pub days: BTreeMap<Source, BTreeMap<i64, Day>>,
    /// How long answers took, milliseconds, by the second at which the hour began.
    pub hours: BTreeMap<Source, BTreeMap<i64, f64>>,
}

/// A page as everybody may see it.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicPage {
    /// Its place.
    pub slug: String,
    /// For clients of Statuspage.
    pub id: String,
    /// In its author's words.
    pub title: String,
    /// In its author's words.
    pub description: String,
    /// In its author's words.
    pub footer: String,
    /// Unless somebody asks for another.
    pub language: Language,
    /// `#rrggbb`.
    pub accent: Option<String>,
    /// Whether there is a picture.
    pub has_logo: bool,
    /// Search engines are asked to leave it out.
    pub noindex: bool,
    /// Whether it asks for a password.
    pub is_closed: bool,
    /// Origins that may frame it.
    pub embed_from: Vec<String>,
    /// How people may subscribe to it.
    pub ways: Vec<Way>,
    /// What everything amounts to.
    pub overall: Standing,
    /// In order.
    pub groups: Vec<PublicGroup>,
    /// The latest first.
    pub notices: Vec<PublicNotice>,
    /// When somebody last wrote on it, or changed it.
    pub changed_at: Wall,
}

/// Components that stand together.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicGroup {
    /// Follows from the page and the name.
    pub id: String,
    /// Empty: they stand by themselves.
    pub name: String,
    /// In order.
    pub components: Vec<PublicComponent>,
}

/// One thing under its public name.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicComponent {
    /// Unguessable.
    pub id: String,
    /// Its public name.
    pub name: String,
    /// In its author's words.
    pub description: String,
    /// How it is.
    pub standing: Standing,
    /// The last 90, oldest first, with the second at which each began.
    pub days: Vec<(i64, Day)>,
    /// How long answers took by hour, where that is shown.
    pub hours: Option<Vec<(i64, f64)>>,
}

/// An incident or a maintenance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublicNotice {
    /// Unguessable.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// In one line.
    pub title: String,
    /// How much it matters.
    pub impact: Impact,
    /// How far it has come.
    pub stage: Stage,
    /// Ids and names of what it is about.
    pub components: Vec<(String, String)>,
    /// Of a maintenance.
    pub window: Option<(Wall, Wall)>,
    /// When it was written.
    pub created_at: Wall,
    /// When it was changed last.
    pub changed_at: Wall,
    /// When it was over.
    pub resolved_at: Option<Wall>,
    /// In order.
    pub updates: Vec<PublicUpdate>,
}

/// What was said of it once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublicUpdate {
    /// Follows from its notice and its place.
    pub id: String,
    /// How far it had come.
    pub stage: Stage,
    /// In words.
    pub words: String,
    /// When.
    pub at: Wall,
}

impl PublicComponent {
    /// What was counted in all days that are shown.
    pub fn total(&self) -> Day {
        self.days.iter().fold(Day::default(), |sum, (_, day)| sum.with(*day))
    }
}

impl PublicPage {
    /// All components, in order.
    pub fn components(&self) -> impl Iterator<Item = &PublicComponent> {
        self.groups.iter().flat_map(|group| &group.components)
    }

    /// Incidents that are not over.
    pub fn open_incidents(&self) -> impl Iterator<Item = &PublicNotice> {
        self.notices.iter().filter(|notice| notice.kind == Kind::Incident && !notice.stage.is_over())
    }

    /// Maintenances that are to come or go on.
    pub fn planned(&self) -> impl Iterator<Item = &PublicNotice> {
        self.notices.iter().filter(|notice| notice.kind == Kind::Maintenance && !notice.stage.is_over())
    }
}

impl PublicNotice {
    /// When it belongs to: a maintenance to its beginning.
    pub fn at(&self) -> Wall {
        self.window.map_or(self.created_at, |(from, _)| from)
    }

    /// When it ended: when people said so, or by the clock.
    pub fn ended_at(&self) -> Option<Wall> {
        let by_clock = self.window.map(|(_, until)| until).filter(|_| self.stage.is_over());
        self.resolved_at.or(by_clock)
    }
}

/// A page at this moment.
pub fn public(page: &Definition, notices: &[Notice], (known, now): (&Known, Wall), changed_at: Wall) -> PublicPage {
    let names = names(page);
    let notices: Vec<PublicNotice> = notices.iter().map(|notice| public_notice(notice, &names, now)).collect();
    let groups: Vec<PublicGroup> = page
        .groups
        .iter()
        .map(|group| PublicGroup {
            id: group_id(&page.id, &group.name),
            name: group.name.clone(),
            components: group.components.iter().map(|one| public_component(one, &notices, known, now)).collect(),
        })
        .collect();
    let standings: Vec<Standing> =
        groups.iter().flat_map(|group| &group.components).map(|component| component.standing).collect();
    // An incident without components is about the whole.
    let whole = notices.iter().filter(|notice| notice.components.is_empty() && is_standing(notice));
    let overall = whole.fold(Standing::of_all(&standings), |overall, notice| overall.said(notice.impact));
    PublicPage {
        slug: page.slug.clone(),
        id: page.id.clone(),
        title: page.title.clone(),
        description: page.description.clone(),
        footer: page.footer.clone(),
        language: page.language,
        accent: page.accent.clone(),
        has_logo: page.logo.is_some(),
        noindex: page.noindex,
        is_closed: page.password.is_some(),
        embed_from: page.embed_from.clone(),
        ways: page.subscribe.clone(),
        overall,
        groups,
        notices,
        changed_at,
    }
}

/// An incident that is not over.
fn is_standing(notice: &PublicNotice) -> bool {
    notice.kind == Kind::Incident && !notice.stage.is_over()
}

fn group_id(page: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("{page}/{name}").as_bytes());
    hex::encode(hash).get(..24).unwrap_or_default().to_owned()
}

fn public_component(one: &Component, notices: &[PublicNotice], known: &Known, now: Wall) -> PublicComponent {
    let seen = known.standings.get(&one.source).copied().unwrap_or(Standing::Unknown);
    let about = || notices.iter().filter(|notice| notice.components.iter().any(|(id, _)| *id == one.id));
    let is_worked_on = about().any(|notice| matches!(notice.stage, Stage::InProgress | Stage::Verifying));
    let standing = if is_worked_on {
        Standing::Maintenance
    } else {
        about().filter(|notice| is_standing(notice)).fold(seen, |seen, notice| seen.said(notice.impact))
    };
    let today = now.0.div_euclid(DAY_MS) * 86_400;
    let counted = known.days.get(&one.source);
    let day = |at: i64| (at, counted.and_then(|days| days.get(&at)).copied().unwrap_or_default());
    let hours = known.hours.get(&one.source).filter(|_| one.graph);
    PublicComponent {
        id: one.id.clone(),
        name: one.name.clone(),
        description: one.description.clone(),
        standing,
        days: (0..DAYS).rev().map(|back| day(today - back * 86_400)).collect(),
        hours: hours.map(|hours| hours.iter().map(|(at, ms)| (*at, *ms)).collect()),
    }
}

/// A notice as a page shows it at this moment.
pub fn told(page: &Definition, notice: &Notice, now: Wall) -> PublicNotice {
    public_notice(notice, &names(page), now)
}

fn names(page: &Definition) -> BTreeMap<&str, &str> {
    page.components().map(|component| (component.id.as_str(), component.name.as_str())).collect()
}

fn public_notice(notice: &Notice, names: &BTreeMap<&str, &str>, now: Wall) -> PublicNotice {
    let with_name = |id: &String| Some((id.clone(), (*names.get(id.as_str())?).to_owned()));
    let update = |(at, update): (usize, &super::notice::Update)| PublicUpdate {
        id: format!("{}-{}", notice.public_id, at + 1),
        stage: update.stage,
        words: update.words.clone(),
        at: update.at,
    };
    PublicNotice {
        id: notice.public_id.clone(),
        kind: notice.kind,
        title: notice.title.clone(),
        impact: notice.impact,
        stage: notice.stage_at(now),
        components: notice.components.iter().filter_map(with_name).collect(),
        window: notice.window,
        created_at: notice.created_at,
        changed_at: notice.changed_at,
        resolved_at: notice.resolved_at,
        updates: notice.updates.iter().enumerate().map(update).collect(),
    }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::ids::MonitorId;

    use super::*;
    use crate::pages::definition::Group;
    use crate::pages::notice::tests::notice;

    fn page() -> Definition {
        let component = |id: &str, number| Component {
            id: id.to_owned(),
            name: format!("Public {id}"),
            description: String::new(),
            source: Source::Monitor(MonitorId(number)),
            graph: false,
        };
        let groups = vec![Group { name: "Web".to_owned(), components: vec![component("a", 1), component("b", 2)] }];
        Definition {
            slug: "shop".to_owned(),
            id: "p".to_owned(),
            title: "Shop".to_owned(),
            groups,
            ..Definition::default()
        }
    }

    fn known(standings: &[(i64, Standing)]) -> Known {
        let standings = standings.iter().map(|(id, standing)| (Source::Monitor(MonitorId(*id)), *standing)).collect();
        Known { standings, ..Known::default() }
    }

    fn shown(notices: &[Notice], standings: &[(i64, Standing)], now: i64) -> (Standing, Vec<Standing>) {
        let page = public(&page(), notices, (&known(standings), Wall(now)), Wall(0));
        let of = page.components().map(|component| component.standing).collect();
        (page.overall, of)
    }

    #[test]
    fn a_maintenance_covers_what_it_is_about_while_it_goes_on() {
        let down = [(1, Standing::Major), (2, Standing::Operational)];
        let planned = Notice { components: vec!["a".to_owned()], ..notice(Kind::Maintenance) };
        let before = (Standing::Partial, vec![Standing::Major, Standing::Operational]);
        let during = (Standing::Maintenance, vec![Standing::Maintenance, Standing::Operational]);
        assert_eq!(shown(std::slice::from_ref(&planned), &down, 999), before);
        assert_eq!(shown(std::slice::from_ref(&planned), &down, 1_000), during);
        assert_eq!(shown(&[planned], &down, 2_000), before);
    }

    #[test]
    fn an_incident_that_people_told_shows_although_nothing_was_found_until_it_is_resolved() {
        let well = [(1, Standing::Operational), (2, Standing::Operational)];
        let told = Notice { impact: Impact::Major, components: vec!["b".to_owned()], ..notice(Kind::Incident) };
        assert_eq!(
            shown(std::slice::from_ref(&told), &well, 5),
            (Standing::Partial, vec![Standing::Operational, Standing::Partial])
        );
        let whole = Notice { components: vec![], ..told.clone() };
        assert_eq!(shown(&[whole], &well, 5).0, Standing::Partial);
        let over = Notice { stage: Stage::Resolved, ..told };
        assert_eq!(shown(&[over], &well, 5).0, Standing::Operational);
    }

    #[test]
    fn a_component_has_ninety_days_whatever_was_counted() {
        let now = Wall(100 * DAY_MS + 5);
        let source = Source::Monitor(MonitorId(1));
        let days = [(100 * 86_400, Day { good: 9, bad: 1 }), (10 * 86_400, Day { good: 0, bad: 5 })];
        let known = Known { days: [(source, days.into_iter().collect())].into(), ..known(&[]) };
        let page = public(&page(), &[], (&known, now), Wall(0));
        let component = page.components().next().unwrap();
        assert_eq!(component.days.len(), 90);
        assert_eq!(component.days[89], (100 * 86_400, Day { good: 9, bad: 1 }));
        assert_eq!(component.total(), Day { good: 9, bad: 1 }, "what is older is not shown");
    }
}
