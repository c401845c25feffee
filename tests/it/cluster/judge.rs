//! The judge of "one owner": what nodes ran and stored, held against the history of assignments.
//!
//! Two witnesses for runs: the nodes' own traces, and the target's log of who asked. Two for beats: the trace says who stored
//! one, the database when; a process that was frozen after its commit writes the line of it late. A run that starts, or a beat that is stored, after the monitor was given to another node is a violation. A request that
//! was on its way when its node froze is the one exception the design makes: it left before, so no trace line follows.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::database::{Change, StoredBeat};
use super::target::Request;

/// A line of a node's trace.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TraceLine {
    /// Microseconds UTC.
    pub(crate) at_us: i64,
    /// Who writes.
    pub(crate) node: String,
    /// Which process of that node.
    pub(crate) incarnation: String,
    /// `run`, `stored`, `start`, `stop`, `ack`, `fenced`.
    pub(crate) event: String,
    /// About which monitor.
    pub(crate) monitor: Option<i64>,
    /// Of `stored`: the beat's own time, milliseconds UTC.
    pub(crate) beat_ms: Option<i64>,
}

/// Between a request's arrival at the target and its line in the target's log, on a busy machine.
const LOG_DELAY_US: i64 = 50_000;

/// Between a beat's statement and the one that moved its monitor: either may have begun before it waited for the other.
const STORED_DELAY_US: i64 = 500_000;

/// All traces of a folder, in order of time.
pub(crate) fn read_traces(folder: &Path) -> Vec<TraceLine> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "trace") {
            let text = std::fs::read_to_string(path).unwrap();
            // A killed process may leave half a line.
            lines.extend(text.lines().filter_map(|line| serde_json::from_str::<TraceLine>(line).ok()));
        }
    }
    lines.sort_by_key(|line| line.at_us);
    lines
}

/// Everything that breaks "one owner", in words.
pub(crate) fn violations(
    history: &[Change],
    (traces, beats): (&[TraceLine], &[StoredBeat]),
    requests: &[Request],
) -> Vec<String> {
    let mut owners: BTreeMap<i64, Vec<&Change>> = BTreeMap::new();
    for change in history {
        owners.entry(change.monitor).or_default().push(change);
    }
    let owner_at = |monitor: i64, at_us: i64| {
        let changes = owners.get(&monitor)?;
        changes.iter().rev().find(|change| change.at_us <= at_us).map(|change| change.node.as_str())
    };
    let stored: BTreeMap<_, _> = beats.iter().map(|beat| ((beat.monitor, beat.beat_ms), beat.at_us)).collect();
    let mut found = Vec::new();
    for line in traces {
        let Some(monitor) = line.monitor else { continue };
        let delay = match line.event.as_str() {
            "run" => 0,
            "stored" => STORED_DELAY_US,
            _ => continue,
        };
        let stored_at = line.beat_ms.and_then(|beat_ms| stored.get(&(monitor, beat_ms)));
        let at_us = stored_at.copied().unwrap_or(line.at_us);
        // The owner at the moment and, for what is only written down later, a moment before.
        let may_be = [owner_at(monitor, at_us), owner_at(monitor, at_us - delay)];
        if !may_be.contains(&Some(line.node.as_str())) {
            found.push(format!(
                "{} {} of monitor {monitor} at {} belongs to {:?}",
                line.node, line.event, at_us, may_be[0]
            ));
        }
    }
    for request in requests {
        let may_be =
            [owner_at(request.monitor, request.at_us), owner_at(request.monitor, request.at_us - LOG_DELAY_US)];
        if !may_be.contains(&Some(request.node.as_str())) {
            found.push(format!(
                "{} asked for monitor {} at {}, owner {:?}",
                request.node, request.monitor, request.at_us, may_be[0]
            ));
        }
    }
    found.extend(overlaps(traces));
    found
}

/// Two processes that both ran a monitor between the other's first and last run of one tenure.
fn overlaps(traces: &[TraceLine]) -> Vec<String> {
    let mut last: BTreeMap<i64, &TraceLine> = BTreeMap::new();
    let mut left: BTreeMap<(i64, &str), i64> = BTreeMap::new();
    let mut found = Vec::new();
    for line in traces.iter().filter(|line| line.event == "run" || line.event == "start") {
        let Some(monitor) = line.monitor else { continue };
        if line.event == "start" {
            // A new tenure of this process: runs of it are lawful again.
            left.remove(&(monitor, line.incarnation.as_str()));
            continue;
        }
        if let Some(before) = last.insert(monitor, line)
            && before.incarnation != line.incarnation
        {
            left.insert((monitor, before.incarnation.as_str()), line.at_us);
        }
        if let Some(since) = left.get(&(monitor, line.incarnation.as_str())) {
            found.push(format!(
                "{} ran monitor {monitor} at {}, another has run it since {since}",
                line.node, line.at_us
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(at_us: i64, node: &str) -> Change {
        Change { at_us, monitor: 1, node: node.to_owned() }
    }

    fn line(at_us: i64, node: &str, event: &str) -> TraceLine {
        let (incarnation, event) = (node.to_owned(), event.to_owned());
        TraceLine { at_us, node: node.to_owned(), incarnation, event, monitor: Some(1), beat_ms: None }
    }

    fn moved() -> Vec<Change> {
        vec![owner(0, "a"), owner(10_000_000, "b")]
    }

    #[test]
    fn a_lawful_move_is_no_violation() {
        let traces = [line(9_000_000, "a", "run"), line(11_000_000, "b", "start"), line(11_000_001, "b", "run")];
        assert!(violations(&moved(), (&traces, &[]), &[]).is_empty());
    }

    #[test]
    fn a_run_after_the_monitor_was_given_away_is_found() {
        assert_eq!(violations(&moved(), (&[line(10_000_001, "a", "run")], &[]), &[]).len(), 1);
    }

    #[test]
    fn a_beat_stored_after_the_monitor_was_given_away_is_found() {
        assert_eq!(violations(&moved(), (&[line(12_000_000, "a", "stored")], &[]), &[]).len(), 1);
    }

    #[test]
    fn a_beat_counts_when_it_was_stored_and_not_when_its_process_came_to_say_so() {
        let said = TraceLine { beat_ms: Some(8_000), ..line(12_000_000, "a", "stored") };
        let stored = |at_us| StoredBeat { monitor: 1, status: 1, at_us, beat_ms: 8_000 };
        assert_eq!(violations(&moved(), (std::slice::from_ref(&said), &[stored(9_000_000)]), &[]), [""; 0]);
        assert_eq!(violations(&moved(), (&[said], &[stored(11_000_000)]), &[]).len(), 1);
    }

    #[test]
    fn a_run_before_the_monitor_was_given_is_found() {
        assert_eq!(violations(&moved(), (&[line(5_000_000, "b", "run")], &[]), &[]).len(), 1);
    }

    #[test]
    fn a_request_of_a_former_owner_is_found() {
        let request = Request { at_us: 12_000_000, node: "a".to_owned(), monitor: 1 };
        assert_eq!(violations(&moved(), (&[], &[]), &[request]).len(), 1);
    }

    #[test]
    fn two_processes_of_one_node_that_take_turns_are_found() {
        let mut twin = line(2, "a", "run");
        twin.incarnation = "twin".to_owned();
        let traces = [line(1, "a", "run"), twin, line(3, "a", "run")];
        assert_eq!(violations(&[owner(0, "a")], (&traces, &[]), &[]).len(), 1);
    }
}
