//! One run of a case by a native node, up to its beat.

use std::time::Duration;

use komainu::node::beat::{self, Previous, Rules, Times};
use komainu::node::push::{self, PushLook};
use komainu::run::{RunResult, Runs, group};
use komainu::store::StoreError;
use komainu::store::beats::BeatStatus;
use komainu::store::families::{Child, Families};
use komainu::store::monitors::MonitorSpec;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use crate::case::{Before, Case};
use crate::columns::spec;
use crate::target::Target;
use crate::verdict::{Status, Verdict};

pub(crate) struct Node {
    runs: Runs,
}

/// The children that a case names, whichever group asks.
struct Named<'a>(&'a [String]);

impl Families for Named<'_> {
    async fn children(&self, _group: MonitorId) -> Result<Vec<Child>, StoreError> {
        let last = |word: &str| match word {
            "up" => Some(BeatStatus::Up),
            "down" | "paused" => Some(BeatStatus::Down),
            "pending" => Some(BeatStatus::Pending),
            "maintenance" => Some(BeatStatus::Maintenance),
            _ => None,
        };
        let child = |(word, id): (&String, i64)| Child {
            id: MonitorId(id),
            name: format!("child {id}"),
            is_active: word != "paused",
            last: last(word),
        };
        Ok(self.0.iter().zip(1..).map(child).collect())
    }
}

impl Node {
    pub(crate) fn new() -> Self {
        Self { runs: crate::columns::runs() }
    }

    pub(crate) async fn run(&self, case: &Case, target: &Target) -> Verdict {
        let monitor = spec(case, target);
        let limit = Duration::from_secs(20);
        let Ok(result) = tokio::time::timeout(limit, Box::pin(self.result(case, &monitor))).await else {
            return Verdict { status: None, says: Some("the run did not end".to_owned()) };
        };
        let Some(result) = result else { return Verdict { status: Some(Status::Up), says: None } };
        // What a column asks for is known beforehand, and no finding.
        let is_found = !result.msg.starts_with("a native node");
        let is_people_told = is_found && result.msg.contains("move this monitor to an Uptime Kuma node");
        assert_eq!(result.is_only_kumas, is_people_told, "{}: the planner is told what people are", case.id());
        let previous = case.before.as_ref().map(previous);
        let times = Times { began_at: Wall(100_000_000), ended_at: Wall(100_000_000) };
        let (beat, _) = beat::next(previous.as_ref(), Rules::from(&monitor), result, times);
        let status = match beat.status {
            BeatStatus::Up => Some(Status::Up),
            BeatStatus::Down => Some(Status::Down),
            BeatStatus::Pending => Some(Status::Pending),
            BeatStatus::Maintenance => None,
        };
        Verdict { status, says: Some(beat.msg) }
    }

    /// `None`: a push came in time, which makes no beat.
    async fn result(&self, case: &Case, monitor: &MonitorSpec) -> Option<RunResult> {
        match case.kind() {
            "group" => Some(group::run(&Named(&case.children), monitor).await),
            "push" => {
                let since = case.before.as_ref().map_or(0, |before| before.ago);
                match push::look(case.before.as_ref().map(previous).as_ref(), monitor, Duration::from_secs(since)) {
                    PushLook::InTime(_) => None,
                    PushLook::Late(result) => Some(result),
                }
            }
            _ => Some(self.runs.run(monitor).await),
        }
    }
}

fn previous(before: &Before) -> Previous {
    let settled = match before.status {
        Status::Up => BeatStatus::Up,
        Status::Down => BeatStatus::Down,
        Status::Pending => BeatStatus::Pending,
    };
    Previous { settled, retries: before.retries, down_count: 0, time: Wall(0) }
}
