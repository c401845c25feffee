//! When each monitor is run next: a heap of times, and the spread of monitors that start together.
//!
//! Pure: knows monitors by their id only, reads no clock, runs nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Mono;

/// Monitors gained together are run for the first time at this rate, which neither the node nor a shared target notices: a few
/// are run at once.
const STARTS_PER_SECOND: f64 = 250.0;

/// More of them are all run within this span. A second of the five that a node may take for them is left for learning of them.
const START_SPAN: Duration = Duration::from_secs(4);

/// More than fit into [`START_SPAN`] at this rate take longer: a burst of connections would delay the answers that it measures.
const MOST_STARTS_PER_SECOND: f64 = 2_000.0;

/// How soon monitors that start together have their first run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StartSpread {
    /// 250 a second, all within 4 s or within their interval where that is shorter.
    #[default]
    Soon,
    /// Spread over their whole interval: for targets that must not be asked at once.
    OverInterval,
}

/// When a monitor that starts together with others has its first two runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// The monitor that is due.
    pub monitor: MonitorId,
    /// The first run.
    pub at: Mono,
    /// The second run begins so long after the first one, at most an interval: those that started within seconds are
    /// from then on spread over their interval.
    pub then: Duration,
}

/// Spreads monitors that start at `now`, in the order given.
pub fn spread(now: Mono, monitors: &[(MonitorId, Duration)], how: StartSpread) -> Vec<Start> {
    let count = u32::try_from(monitors.len()).unwrap_or(u32::MAX);
    let at_rate = |rate: f64| Duration::from_secs_f64(f64::from(count) / rate);
    let start_span = at_rate(STARTS_PER_SECOND).min(START_SPAN).max(at_rate(MOST_STARTS_PER_SECOND));
    let places = 0_u32..;
    places
        .zip(monitors)
        .map(|(place, &(monitor, interval))| {
            let span = match how {
                StartSpread::Soon => start_span.min(interval),
                StartSpread::OverInterval => interval,
            };
            let then = match how {
                StartSpread::Soon => share(interval, place + 1, count).max(Duration::from_secs(1).min(interval)),
                StartSpread::OverInterval => interval,
            };
            Start { monitor, at: now + share(span, place, count), then }
        })
        .collect()
}

fn share(span: Duration, place: u32, count: u32) -> Duration {
    span.mul_f64(f64::from(place) / f64::from(count.max(1)))
}

/// The next run of each monitor that is waiting for one.
#[derive(Debug, Default)]
pub struct Schedule {
    heap: BinaryHeap<Reverse<(Mono, MonitorId)>>,
    /// The truth; an entry of the heap that differs is left over.
    due: HashMap<MonitorId, Mono>,
}

impl Schedule {
    /// Sets or changes a monitor's next run.
    pub fn set(&mut self, monitor: MonitorId, at: Mono) {
        self.due.insert(monitor, at);
        self.heap.push(Reverse((at, monitor)));
        // Left-over entries cost memory only; many of them are swept at once.
        if self.heap.len() > 2 * self.due.len() + 1_024 {
            self.heap = self.due.iter().map(|(&monitor, &at)| Reverse((at, monitor))).collect();
        }
    }

    /// This monitor waits for nothing any more.
    pub fn remove(&mut self, monitor: MonitorId) {
        self.due.remove(&monitor);
    }

    /// The time of the next run.
    pub fn next_at(&mut self) -> Option<Mono> {
        self.drop_left_overs();
        self.heap.peek().map(|&Reverse((at, _))| at)
    }

    /// Takes the monitor whose run is due longest.
    pub fn pop_due(&mut self, now: Mono) -> Option<MonitorId> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse((_, monitor)) = self.heap.pop()?;
        self.due.remove(&monitor);
        Some(monitor)
    }

    fn drop_left_overs(&mut self) {
        while let Some(Reverse((at, monitor))) = self.heap.peek() {
            if self.due.get(monitor) == Some(at) {
                return;
            }
            self.heap.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_monitors_have_their_first_run_within_four_seconds() {
        let starts = spread(Mono::secs(100), &monitors(1_000, 60), StartSpread::Soon);
        assert_eq!(starts.first().map(|start| start.at), Some(Mono::secs(100)));
        assert!(starts.iter().all(|start| start.at < Mono::secs(104)));
        let in_one_second = starts.iter().filter(|start| start.at < Mono::secs(101)).count();
        assert_eq!(in_one_second, 250);
    }

    #[test]
    fn a_few_monitors_do_not_wait_for_one_another() {
        let starts = spread(Mono::secs(100), &monitors(50, 60), StartSpread::Soon);
        assert!(starts.iter().all(|start| start.at < Mono::secs(100) + Duration::from_millis(200)));
    }

    #[test]
    fn monitors_with_a_short_interval_start_within_it() {
        let starts = spread(Mono::secs(100), &monitors(900, 2), StartSpread::Soon);
        assert!(starts.iter().all(|start| start.at < Mono::secs(102)));
        assert!(starts.iter().any(|start| start.at >= Mono::secs(101)));
    }

    #[test]
    fn from_the_second_run_on_they_are_spread_over_their_interval() {
        let starts = spread(Mono::secs(100), &monitors(600, 60), StartSpread::Soon);
        let mut per_second = HashMap::<u64, u32>::new();
        for start in &starts {
            assert!(start.then <= Duration::from_secs(60));
            *per_second.entry((start.at + start.then).as_micros() / 1_000_000).or_default() += 1;
        }
        assert!(per_second.values().all(|&runs| runs <= 20), "{per_second:?}");
    }

    #[test]
    fn a_monitor_that_starts_alone_keeps_its_interval() {
        let starts = spread(Mono::secs(100), &monitors(1, 60), StartSpread::Soon);
        assert_eq!(starts, [Start { monitor: MonitorId(1), at: Mono::secs(100), then: Duration::from_secs(60) }]);
    }

    #[test]
    fn on_request_the_first_runs_are_spread_over_the_interval() {
        let starts = spread(Mono::secs(0), &monitors(60, 60), StartSpread::OverInterval);
        assert_eq!(starts.last().map(|start| start.at), Some(Mono::secs(59)));
    }

    #[test]
    fn the_monitor_due_longest_comes_first() {
        let mut schedule = Schedule::default();
        schedule.set(MonitorId(1), Mono::secs(20));
        schedule.set(MonitorId(2), Mono::secs(10));
        assert_eq!(schedule.next_at(), Some(Mono::secs(10)));
        assert_eq!(schedule.pop_due(Mono::secs(9)), None);
        assert_eq!(schedule.pop_due(Mono::secs(30)), Some(MonitorId(2)));
        assert_eq!(schedule.pop_due(Mono::secs(30)), Some(MonitorId(1)));
        assert_eq!(schedule.pop_due(Mono::secs(30)), None);
    }

    #[test]
    fn a_changed_time_replaces_the_earlier_one() {
        let mut schedule = Schedule::default();
        schedule.set(MonitorId(1), Mono::secs(10));
        schedule.set(MonitorId(1), Mono::secs(40));
        assert_eq!(schedule.pop_due(Mono::secs(30)), None);
        assert_eq!(schedule.pop_due(Mono::secs(40)), Some(MonitorId(1)));
    }

    #[test]
    fn a_removed_monitor_is_not_due() {
        let mut schedule = Schedule::default();
        schedule.set(MonitorId(1), Mono::secs(10));
        schedule.remove(MonitorId(1));
        assert_eq!(schedule.next_at(), None);
        assert_eq!(schedule.pop_due(Mono::secs(30)), None);
    }

    #[test]
    fn left_over_entries_are_swept() {
        let mut schedule = Schedule::default();
        for second in 0..10_000 {
            schedule.set(MonitorId(1), Mono::secs(second));
        }
        assert!(schedule.heap.len() < 2_000);
        assert_eq!(schedule.next_at(), Some(Mono::secs(9_999)));
    }

    fn monitors(count: i64, interval_s: u64) -> Vec<(MonitorId, Duration)> {
        (1..=count).map(|id| (MonitorId(id), Duration::from_secs(interval_s))).collect()
    }
}
