//! The list of monitors: found by words, filtered, sorted, a page at a time, from memory.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use komainu_watchdogs::ids::MonitorId;

use super::Desk;
use super::atlas::{self, Chart, MonitorState};
use super::form::Form;
use super::frame::{AWAY, Frame, Section, page, unread};
use super::visit::Visitor;
use super::words::{At, counted, grouped};
use crate::store::LastBeat;
use crate::store::monitors::MonitorBrief;

/// As many as a page holds.
const A_PAGE: usize = 100;

/// The last beats of a page's rows are read anew if that takes no longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lists that are searched and sorted at once: 100,000 monitors take a core for a tenth of a second, which rounds need too.
pub(super) const SORTED_AT_ONCE: usize = 2;

/// Whoever looks waits so long for their turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);

const BUSY: (StatusCode, &str) =
    (StatusCode::SERVICE_UNAVAILABLE, "Too many lists are being sorted just now. The page tries again by itself.");

/// More choices than this are typed, not chosen.
const MOST_CHOICES: usize = 200;

#[derive(Template)]
#[template(path = "monitors.html")]
struct Monitors {
    frame: Frame,
    wanted: Wanted,
    rows: Vec<MonitorRow>,
    found: String,
    counts: Vec<(MonitorState, String)>,
    choices: Choices,
    /// Links to the page before and after.
    before: Option<String>,
    after: Option<String>,
    read_at: Option<At>,
    is_cut: bool,
    /// Of so many no beat has been read yet.
    unread: usize,
}

/// What may be chosen.
struct Choices {
    nodes: Vec<String>,
    kinds: Vec<String>,
    tags: Vec<String>,
}

/// Which monitors, in which order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Wanted {
    text: String,
    status: String,
    node: String,
    kind: String,
    tag: String,
    sort: Sort,
    page: usize,
}

/// By what a list is sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Sort {
    /// What wants somebody first.
    #[default]
    Status,
    Name,
    Node,
    Kind,
    /// The newest first.
    Newest,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Status, Self::Name, Self::Node, Self::Kind, Self::Newest];

    fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Name => "name",
            Self::Node => "node",
            Self::Kind => "type",
            Self::Newest => "newest",
        }
    }
}

/// A monitor in the list.
struct MonitorRow {
    id: MonitorId,
    name: String,
    target: String,
    kind: String,
    node: Option<String>,
    pinned: bool,
    tags: Vec<String>,
    state: MonitorState,
    beat: Option<At>,
    ping_ms: Option<i64>,
}

impl Wanted {
    fn read(form: &Form) -> Self {
        let text = |name: &str| form.field(name).unwrap_or_default().to_owned();
        let sort = Sort::ALL.into_iter().find(|sort| Some(sort.name()) == form.field("sort")).unwrap_or_default();
        let page = form.field("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        Self {
            text: text("q"),
            status: text("status"),
            node: text("node"),
            kind: text("type"),
            tag: text("tag"),
            sort,
            page: usize::max(page, 1),
        }
    }

    /// The link to another page of the same.
    fn link(&self, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let (sort, page) = (self.sort.name(), page.to_string());
        for (name, value) in [
            ("q", self.text.as_str()),
            ("status", &self.status),
            ("node", &self.node),
            ("type", &self.kind),
            ("tag", &self.tag),
            ("sort", sort),
            ("page", &page),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/watch/monitors?{}", query.finish())
    }

    /// Those that are wanted but for their state.
    fn takes(&self, brief: &MonitorBrief, words: &[String]) -> bool {
        let is_named = |word: &String| {
            brief.name.to_lowercase().contains(word)
                || brief.target.to_lowercase().contains(word)
                || brief.id.to_string() == *word
        };
        let node = brief.effective_node.as_ref().map_or("", |node| node.as_str());
        (self.node.is_empty() || self.node == node)
            && (self.kind.is_empty() || self.kind == brief.kind)
            && (self.tag.is_empty() || brief.tags.contains(&self.tag))
            && words.iter().all(is_named)
    }
}

/// Those that are wanted, in their order, and how many there are in each state whatever state is wanted.
fn select<'a>(
    chart: &'a Chart,
    states: &[MonitorState],
    wanted: &Wanted,
) -> (Vec<(&'a MonitorBrief, MonitorState)>, BTreeMap<MonitorState, u64>) {
    let words: Vec<String> = wanted.text.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let mut counts = BTreeMap::new();
    let mut found = Vec::new();
    for (brief, state) in chart.briefs.iter().zip(states.iter().copied()) {
        if wanted.takes(brief, &words) {
            *counts.entry(state).or_default() += 1;
            if wanted.status.is_empty() || wanted.status == state.name() {
                found.push((brief, state));
            }
        }
    }
    let name = |brief: &MonitorBrief| brief.name.to_lowercase();
    match wanted.sort {
        Sort::Status => found.sort_by_cached_key(|(brief, state)| (*state, name(brief))),
        Sort::Name => found.sort_by_cached_key(|(brief, _)| name(brief)),
        Sort::Node => found.sort_by_cached_key(|(brief, _)| (brief.effective_node.clone(), name(brief))),
        Sort::Kind => found.sort_by_cached_key(|(brief, _)| (brief.kind.clone(), name(brief))),
        Sort::Newest => found.sort_by_key(|(brief, _)| Reverse(brief.id)),
    }
    (found, counts)
}

/// What a page of the list needs, found and sorted away from those who answer.
struct Selected {
    wanted: Wanted,
    shown: Vec<(MonitorBrief, MonitorState)>,
    found: usize,
    pages: usize,
    counts: BTreeMap<MonitorState, u64>,
    choices: Choices,
}

impl Selected {
    fn of(chart: &Chart, states: &[MonitorState], mut wanted: Wanted) -> Self {
        let (found, counts) = select(chart, states, &wanted);
        let pages = found.len().div_ceil(A_PAGE).max(1);
        wanted.page = wanted.page.min(pages);
        let shown = found.iter().skip((wanted.page - 1) * A_PAGE).take(A_PAGE);
        let shown = shown.map(|(brief, state)| (MonitorBrief::clone(brief), *state)).collect();
        Self { shown, found: found.len(), pages, counts, choices: Choices::of(chart, &wanted), wanted }
    }
}

/// `None`: too many others ask for the same.
async fn selected(desk: &Arc<Desk>, chart: &Arc<Chart>, wanted: Wanted) -> Option<Selected> {
    let turn = Arc::clone(&desk.sorting).acquire_owned();
    let turn = tokio::time::timeout(TURN_WITHIN, turn).await.ok()?.ok()?;
    let (desk, chart) = (Arc::clone(desk), Arc::clone(chart));
    let sorted = tokio::task::spawn_blocking(move || {
        // Whoever asked may be gone: the turn ends with the work.
        let _turn = turn;
        Selected::of(&chart, &desk.atlas.states(&chart.briefs), wanted)
    });
    sorted.await.ok()
}

pub(super) async fn list(
    State(desk): super::Counter,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let wanted = Wanted::read(&Form::of_query(query.as_deref()));
    let chart = desk.atlas.chart().await;
    let Some(read_at) = chart.read_at else { return unread(&desk, &visitor, Section::Monitors, AWAY) };
    let Some(selected) = selected(&desk, &chart, wanted).await else {
        return unread(&desk, &visitor, Section::Monitors, BUSY);
    };
    let Selected { wanted, shown, found, pages, counts, choices } = selected;
    let beats = last_beats(&desk, shown.iter().map(|(brief, _)| brief.id).collect()).await;
    let rows = shown.iter().map(|(brief, state)| row(brief, *state, beats.get(&brief.id))).collect();
    let all = MonitorState::ALL.into_iter();
    page(&Monitors {
        rows,
        found: counted(u64::try_from(found).unwrap_or(u64::MAX), "monitor"),
        counts: all.filter_map(|state| Some((state, grouped(*counts.get(&state)?)))).collect(),
        choices,
        before: (wanted.page > 1).then(|| wanted.link(wanted.page - 1)),
        after: (wanted.page < pages).then(|| wanted.link(wanted.page + 1)),
        read_at: Some(At(read_at)),
        is_cut: chart.is_cut,
        unread: desk.atlas.unread(),
        frame: Frame::of(&desk, &visitor, Section::Monitors, &desk.inside.view()),
        wanted,
    })
}

/// What these found last; nothing where that cannot be read soon.
async fn last_beats(desk: &Desk, ids: Vec<MonitorId>) -> BTreeMap<MonitorId, LastBeat> {
    if desk.inside.state().view.borrow().database == komainu_watchdogs::view::DatabaseView::Down {
        return BTreeMap::new();
    }
    let read = tokio::time::timeout(PATIENCE, desk.inside.reads().last_beats(&ids)).await;
    let beats = read.ok().and_then(Result::ok).unwrap_or_default();
    beats.into_iter().map(|beat| (beat.monitor, beat)).collect()
}

fn row(brief: &MonitorBrief, state: MonitorState, beat: Option<&LastBeat>) -> MonitorRow {
    MonitorRow {
        id: brief.id,
        name: brief.name.clone(),
        target: brief.target.clone(),
        kind: brief.kind.clone(),
        node: brief.effective_node.as_ref().map(ToString::to_string),
        pinned: brief.pinned,
        tags: brief.tags.clone(),
        state: beat.map_or(state, |beat| atlas::state(brief, Some(beat.status))),
        beat: beat.map(|beat| At(beat.time)),
        ping_ms: beat.and_then(|beat| beat.ping_ms),
    }
}

impl Choices {
    fn of(chart: &Chart, wanted: &Wanted) -> Self {
        let distinct = |names: &mut dyn Iterator<Item = &str>, chosen: &str| {
            let mut all: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
            all.extend([chosen].into_iter().filter(|chosen| !chosen.is_empty()));
            for name in names {
                if all.len() >= MOST_CHOICES {
                    break;
                }
                all.insert(name);
            }
            all.into_iter().map(str::to_owned).collect()
        };
        let briefs = &chart.briefs;
        Self {
            nodes: distinct(
                &mut briefs.iter().filter_map(|brief| Some(brief.effective_node.as_ref()?.as_str())),
                &wanted.node,
            ),
            kinds: distinct(&mut briefs.iter().map(|brief| brief.kind.as_str()), &wanted.kind),
            tags: distinct(&mut briefs.iter().flat_map(|brief| brief.tags.iter().map(String::as_str)), &wanted.tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief(id: i64, name: &str, node: &str) -> MonitorBrief {
        MonitorBrief {
            id: MonitorId(id),
            name: name.to_owned(),
            kind: "http".to_owned(),
            target: format!("https://{name}.example/"),
            active: true,
            effective_node: (!node.is_empty()).then(|| node.into()),
            pinned: false,
            tags: vec![format!("team-{node}")],
        }
    }

    fn chart() -> (Chart, Vec<MonitorState>) {
        let briefs = vec![brief(1, "Shop", "node1"), brief(2, "api", "node2"), brief(3, "Backend", "node1")];
        let states = vec![MonitorState::Up, MonitorState::Up, MonitorState::Down];
        (Chart { briefs, read_at: None, is_cut: false }, states)
    }

    fn ids(query: &str) -> Vec<i64> {
        let (chart, states) = chart();
        let wanted = Wanted::read(&Form::of_query(Some(query)));
        select(&chart, &states, &wanted).0.iter().map(|(brief, _)| brief.id.0).collect()
    }

    #[test]
    fn what_is_down_comes_first_and_then_the_alphabet_whatever_the_case() {
        assert_eq!(ids(""), [3, 2, 1]);
        assert_eq!(ids("sort=name"), [2, 3, 1]);
        assert_eq!(ids("sort=node"), [3, 1, 2]);
        assert_eq!(ids("sort=newest"), [3, 2, 1]);
    }

    #[test]
    fn all_words_and_filters_must_hold() {
        assert_eq!(ids("q=SHOP"), [1]);
        assert_eq!(ids("q=example+back"), [3]);
        assert_eq!(ids("q=2"), [2], "by its number");
        assert_eq!(ids("status=down"), [3]);
        assert_eq!(ids("node=node1&status=up"), [1]);
        assert_eq!(ids("tag=team-node2&type=http"), [2]);
        assert!(ids("type=dns").is_empty());
    }

    #[test]
    fn counts_by_state_are_those_of_the_other_filters() {
        let (chart, states) = chart();
        let wanted = Wanted::read(&Form::of_query(Some("node=node1&status=up")));
        let counts = select(&chart, &states, &wanted).1;
        assert_eq!(counts, BTreeMap::from([(MonitorState::Up, 1), (MonitorState::Down, 1)]));
    }

    #[test]
    fn a_link_to_the_next_page_keeps_what_is_wanted() {
        let wanted = Wanted::read(&Form::of_query(Some("q=a%26b&node=node1&page=x")));
        assert_eq!(wanted.link(2), "/watch/monitors?q=a%26b&node=node1&sort=status&page=2");
        assert_eq!(Wanted::read(&Form::of_query(wanted.link(2).split_once('?').map(|(_, query)| query))).page, 2);
    }
}
