//! Monitors of type `group`: as bad as the worst of their children, by the children's last beats, whoever runs them.

use super::failure::Failure;
use super::{RunResult, RunStatus, millis_since};
use crate::clock;
use crate::store::beats::BeatStatus;
use crate::store::families::{Child, Families};
use crate::store::monitors::MonitorSpec;

/// Reads the children's last beats.
pub async fn run(families: &impl Families, monitor: &MonitorSpec) -> RunResult {
    let began_at = clock::now();
    match families.children(monitor.id).await {
        Ok(children) => judge(&children)
            .map_or_else(RunResult::from, |result| RunResult { ping_ms: Some(millis_since(began_at)), ..result }),
        Err(error) => Failure::own(format!("this node could not read the group's beats: {error}")).into(),
    }
}

fn judge(children: &[Child]) -> Result<RunResult, Failure> {
    if children.is_empty() {
        return Ok(RunResult::new(RunStatus::Pending, "Group empty"));
    }
    let active = || children.iter().filter(|child| child.is_active);
    let named = |is_wanted: fn(Option<BeatStatus>) -> bool| {
        let labels: Vec<_> = active().filter(|child| is_wanted(child.last)).map(Child::label).collect();
        labels.join(", ")
    };
    let down = named(|last| last == Some(BeatStatus::Down));
    let pending = named(|last| last.is_none_or(|last| last == BeatStatus::Pending));
    match (down.as_str(), pending.as_str()) {
        ("", "") => Ok(RunResult::new(RunStatus::Up, "All children up and running")),
        ("", pending) => Ok(RunResult::new(RunStatus::Pending, format!("Pending child monitors: {pending}"))),
        (down, "") => Err(Failure::target(format!("Child monitors down: {down}"))),
        (down, pending) => Err(Failure::target(format!("Child monitors down: {down}; pending: {pending}"))),
    }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::ids::MonitorId;

    use super::*;
    use BeatStatus::{Down, Maintenance, Pending, Up};

    #[test]
    fn a_group_without_children_is_pending() {
        assert_eq!(told(&[]), (RunStatus::Pending, "Group empty".to_owned()));
    }

    #[test]
    fn a_group_is_up_when_none_of_its_active_children_is_down_or_pending() {
        let paused = Child { is_active: false, ..child(3, "old", Some(Down)) };
        let children = [child(1, "web", Some(Up)), child(2, "db", Some(Maintenance)), paused];
        assert_eq!(told(&children), (RunStatus::Up, "All children up and running".to_owned()));
    }

    #[test]
    fn a_child_without_a_beat_is_pending() {
        let children = [child(1, "web", Some(Up)), child(2, "", None), child(3, "db", Some(Pending))];
        assert_eq!(told(&children), (RunStatus::Pending, "Pending child monitors: #2, db".to_owned()));
    }

    #[test]
    fn children_that_are_down_are_named_and_the_pending_ones_after_them() {
        let one = [child(1, "web", Some(Down)), child(2, "db", Some(Up))];
        assert_eq!(told(&one), (RunStatus::Down, "Child monitors down: web".to_owned()));
        let more = [child(1, "web", Some(Down)), child(2, "db", Some(Pending)), child(3, "mail", Some(Down))];
        assert_eq!(told(&more), (RunStatus::Down, "Child monitors down: web, mail; pending: db".to_owned()));
    }

    fn told(children: &[Child]) -> (RunStatus, String) {
        let result = judge(children).unwrap_or_else(RunResult::from);
        (result.status, result.msg)
    }

    fn child(id: i64, name: &str, last: Option<BeatStatus>) -> Child {
        Child { id: MonitorId(id), name: name.to_owned(), is_active: true, last }
    }
}
