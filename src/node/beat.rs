//! What the next beat of a monitor is: Kuma's rules for retries, importance, resending and "upside down".
//!
//! Pure: the beat before, the monitor's rules and a run's result go in, a beat comes out. Runs nothing, stores nothing,
//! notifies nobody. The rules are those of Uptime Kuma 2.5.3, `server/model/monitor.js`, from `beat()` to
//! `isImportantBeat()`, with one addition: a run that failed for the node's own trouble ([`RunStatus::Unable`]) becomes
//! PENDING without counting as a retry, and importance afterwards is judged against what was known before it.

use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use crate::run::{RunResult, RunStatus};
use crate::store::beats::{Beat, BeatStatus, LastBeat};
use crate::store::monitors::MonitorSpec;

/// What must be remembered of the beat before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Previous {
    /// The last status that says something of the target: a PENDING for the node's own trouble does not.
    pub settled: BeatStatus,
    /// Failures in a row.
    pub retries: u32,
    /// DOWN beats since the last notification.
    pub down_count: u32,
    /// When its run began.
    pub time: Wall,
}

impl From<&LastBeat> for Previous {
    fn from(last: &LastBeat) -> Self {
        // A PENDING that follows DOWN, or a maintenance, was for the node's own trouble: see `judge`.
        let settled = match (last.status, last.settled) {
            (BeatStatus::Pending, Some(before @ (BeatStatus::Down | BeatStatus::Maintenance))) => before,
            (status, _) => status,
        };
        Self { settled, retries: last.retries, down_count: last.down_count, time: last.time }
    }
}

/// The numbers of a monitor that decide what its next beat is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The monitor that was run.
    pub monitor: MonitorId,
    /// Failures that are PENDING before one is DOWN.
    pub max_retries: u32,
    /// A notification is repeated after so many DOWN beats; 0: never.
    pub resend_interval: u32,
    /// UP is DOWN and DOWN is UP.
    pub upside_down: bool,
}

impl From<&MonitorSpec> for Rules {
    fn from(monitor: &MonitorSpec) -> Self {
        Self {
            monitor: monitor.id,
            max_retries: monitor.maxretries,
            resend_interval: monitor.resend_interval,
            upside_down: monitor.upside_down,
        }
    }
}

/// When a run began and ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// When the run began: the beat's time.
    pub began_at: Wall,
    /// When its result was there.
    pub ended_at: Wall,
}

/// The beat that follows `previous`, and what to remember of it.
pub fn next(previous: Option<&Previous>, rules: Rules, run: RunResult, times: Times) -> (Beat, Previous) {
    let retries_before = previous.map_or(0, |previous| previous.retries);
    let judged = judge(rules, run, retries_before);
    let important = is_important(previous.map(|previous| previous.settled), judged.status) && !judged.is_own_trouble
        || previous.is_none();
    let down_count = down_count(previous, rules, judged.status, important);
    let settled = match previous {
        Some(previous) if judged.is_own_trouble => previous.settled,
        Some(_) | None => judged.status,
    };
    let beat = Beat {
        monitor: rules.monitor,
        status: judged.status,
        important,
        msg: judged.msg,
        time: times.began_at,
        ping_ms: judged.ping_ms,
        duration_s: judged.duration_s,
        down_count,
        retries: judged.retries,
        end_time: times.ended_at,
        response: judged.response,
        is_own_trouble: judged.is_own_trouble,
    };
    let memory = Previous { settled, retries: beat.retries, down_count, time: beat.time };
    (beat, memory)
}

/// How long after the beginning of this run the next one begins.
pub fn delay(status: BeatStatus, interval: Duration, retry_interval: Duration) -> Duration {
    match status {
        BeatStatus::Pending if !retry_interval.is_zero() => retry_interval,
        BeatStatus::Pending | BeatStatus::Up | BeatStatus::Down | BeatStatus::Maintenance => interval,
    }
}

/// Whether a change is worth an entry in Kuma's list of events. `None`: there was no beat before.
pub fn is_important(previous: Option<BeatStatus>, current: BeatStatus) -> bool {
    use BeatStatus::{Down, Maintenance, Pending, Up};
    let Some(previous) = previous else { return true };
    match (previous, current) {
        (Up | Maintenance | Pending, Down) | (Down | Maintenance, Up) | (Up | Down, Maintenance) => true,
        (Up | Pending, Up | Pending)
        | (Down, Down | Pending)
        | (Maintenance, Maintenance | Pending)
        | (Pending, Maintenance) => false,
    }
}

struct Judged {
    status: BeatStatus,
    msg: String,
    ping_ms: Option<i64>,
    retries: u32,
    response: Option<String>,
    duration_s: i64,
    is_own_trouble: bool,
}

fn judge(rules: Rules, run: RunResult, retries_before: u32) -> Judged {
    let is_own_trouble = run.status == RunStatus::Unable;
    let is_flipped = rules.upside_down && run.status == RunStatus::Up;
    let (status, retries) = match run.status {
        RunStatus::Unable => (BeatStatus::Pending, retries_before),
        RunStatus::Pending => (BeatStatus::Pending, 0),
        RunStatus::Maintenance => (BeatStatus::Maintenance, 0),
        RunStatus::Up if !rules.upside_down => (BeatStatus::Up, 0),
        RunStatus::Down if rules.upside_down => (BeatStatus::Up, 0),
        RunStatus::Down if run.is_final => (BeatStatus::Down, 0),
        RunStatus::Up | RunStatus::Down if retries_before < rules.max_retries => {
            (BeatStatus::Pending, retries_before + 1)
        }
        // The count goes on while DOWN, so that a PENDING never follows a DOWN.
        RunStatus::Up | RunStatus::Down => (BeatStatus::Down, retries_before.saturating_add(1)),
    };
    Judged {
        status,
        msg: if is_flipped { "Flip UP to DOWN".to_owned() } else { run.msg },
        ping_ms: run.ping_ms,
        retries,
        response: run.response,
        duration_s: run.duration_s,
        is_own_trouble,
    }
}

fn down_count(previous: Option<&Previous>, rules: Rules, status: BeatStatus, important: bool) -> u32 {
    let before = previous.map_or(0, |previous| previous.down_count);
    if important {
        return 0;
    }
    if status != BeatStatus::Down || rules.resend_interval == 0 {
        return before;
    }
    let counted = before.saturating_add(1);
    if counted >= rules.resend_interval { 0 } else { counted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BeatStatus::{Down, Maintenance, Pending, Up};

    const RULES: Rules = Rules { monitor: MonitorId(7), max_retries: 0, resend_interval: 0, upside_down: false };

    #[test]
    fn importance_follows_kumas_table() {
        let important = [
            (Up, Down),
            (Pending, Down),
            (Down, Up),
            (Maintenance, Up),
            (Maintenance, Down),
            (Down, Maintenance),
            (Up, Maintenance),
        ];
        for previous in [Up, Down, Pending, Maintenance] {
            for current in [Up, Down, Pending, Maintenance] {
                let expected = important.contains(&(previous, current));
                assert_eq!(is_important(Some(previous), current), expected, "{previous:?} to {current:?}");
            }
        }
    }

    #[test]
    fn the_first_beat_ever_is_important_whatever_it_says() {
        for result in [up(), down("no"), unable("no network")] {
            let (beat, _) = next(None, RULES, result, at(60));
            assert!(beat.important);
            assert_eq!(beat.duration_s, 0);
        }
    }

    #[test]
    fn an_up_after_an_up_is_not_important_and_tells_the_seconds_between() {
        let (beat, _) = next(Some(&was(Up)), RULES, up(), at(60));
        assert_eq!((beat.status, beat.important, beat.duration_s), (Up, false, 0));
        assert_eq!(beat.ping_ms, Some(12));
    }

    #[test]
    fn without_retries_a_failure_is_down_at_once() {
        let (beat, _) = next(Some(&was(Up)), RULES, down("connect ECONNREFUSED"), at(60));
        assert_eq!((beat.status, beat.important, beat.retries), (Down, true, 1));
        assert_eq!(beat.msg, "connect ECONNREFUSED");
    }

    #[test]
    fn failures_are_pending_until_the_retries_are_used_up() {
        let rules = Rules { max_retries: 2, ..RULES };
        let mut previous = was(Up);
        let mut seen = Vec::new();
        for second in 1..=4 {
            let (beat, memory) = next(Some(&previous), rules, down("no"), at(second * 60));
            seen.push((beat.status, beat.important, beat.retries));
            previous = memory;
        }
        assert_eq!(seen, [(Pending, false, 1), (Pending, false, 2), (Down, true, 3), (Down, false, 4)]);
    }

    #[test]
    fn a_recovery_before_the_last_retry_is_not_important_and_resets_the_count() {
        let rules = Rules { max_retries: 2, ..RULES };
        let previous = Previous { settled: Pending, retries: 1, ..was(Up) };
        let (beat, _) = next(Some(&previous), rules, up(), at(60));
        assert_eq!((beat.status, beat.important, beat.retries), (Up, false, 0));
    }

    #[test]
    fn retries_go_on_where_the_stored_beat_left_them() {
        let rules = Rules { max_retries: 3, ..RULES };
        let last = LastBeat {
            id: 1,
            monitor: MonitorId(7),
            status: Pending,
            important: false,
            time: Wall(0),
            down_count: 0,
            retries: 3,
            msg: "no".to_owned(),
            ping_ms: None,
            settled: None,
        };
        let (beat, _) = next(Some(&Previous::from(&last)), rules, down("no"), at(60));
        assert_eq!((beat.status, beat.important, beat.retries), (Down, true, 4));
    }

    #[test]
    fn upside_down_turns_an_answer_into_a_failure_that_may_be_retried() {
        let rules = Rules { upside_down: true, max_retries: 1, ..RULES };
        let (first, memory) = next(Some(&was(Up)), rules, up(), at(60));
        assert_eq!((first.status, first.msg.as_str(), first.retries), (Pending, "Flip UP to DOWN", 1));
        let (second, _) = next(Some(&memory), rules, up(), at(120));
        assert_eq!((second.status, second.important), (Down, true));
    }

    #[test]
    fn upside_down_turns_a_failure_into_up_and_keeps_its_message() {
        let rules = Rules { upside_down: true, ..RULES };
        let (beat, _) = next(Some(&was(Down)), rules, down("connect ECONNREFUSED"), at(60));
        assert_eq!((beat.status, beat.important, beat.retries), (Up, true, 0));
        assert_eq!(beat.msg, "connect ECONNREFUSED");
    }

    #[test]
    fn down_beats_are_counted_up_to_the_resend_interval_and_start_over() {
        let rules = Rules { resend_interval: 3, ..RULES };
        let mut previous = was(Up);
        let mut counts = Vec::new();
        for second in 1..=5 {
            let (beat, memory) = next(Some(&previous), rules, down("no"), at(second * 60));
            counts.push(beat.down_count);
            previous = memory;
        }
        assert_eq!(counts, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn an_important_beat_forgets_the_down_count() {
        let previous = Previous { down_count: 2, ..was(Down) };
        let (beat, _) = next(Some(&previous), Rules { resend_interval: 3, ..RULES }, up(), at(60));
        assert_eq!(beat.down_count, 0);
    }

    #[test]
    fn what_is_not_known_yet_is_pending_whatever_the_retries_and_upside_down_say() {
        let rules = Rules { max_retries: 2, upside_down: true, ..RULES };
        let previous = Previous { retries: 1, settled: Pending, ..was(Up) };
        let (beat, _) = next(Some(&previous), rules, RunResult::new(RunStatus::Pending, "Group empty"), at(60));
        assert_eq!((beat.status, beat.important, beat.retries), (Pending, false, 0));
    }

    #[test]
    fn a_final_failure_is_down_at_once_and_counts_as_no_retry() {
        let rules = Rules { max_retries: 2, ..RULES };
        let is_final = RunResult { is_final: true, ..down("Down") };
        let (beat, _) = next(Some(&was(Up)), rules, is_final.clone(), at(60));
        assert_eq!((beat.status, beat.important, beat.retries), (Down, true, 0));
        let (beat, _) = next(Some(&was(Up)), Rules { upside_down: true, ..rules }, is_final, at(60));
        assert_eq!((beat.status, beat.retries), (Up, 0));
    }

    #[test]
    fn maintenance_is_neither_turned_upside_down_nor_retried() {
        let rules = Rules { upside_down: true, max_retries: 2, ..RULES };
        let paused = RunResult::new(RunStatus::Maintenance, "Monitor under maintenance");
        let (beat, memory) = next(Some(&was(Up)), rules, paused, at(60));
        assert_eq!((beat.status, beat.important, beat.retries), (Maintenance, true, 0));
        let (beat, _) = next(Some(&memory), RULES, up(), at(120));
        assert_eq!((beat.status, beat.important), (Up, true));
    }

    #[test]
    fn own_trouble_is_pending_and_uses_up_no_retry() {
        let rules = Rules { max_retries: 2, ..RULES };
        let previous = Previous { retries: 1, settled: Pending, ..was(Up) };
        let (beat, _) = next(Some(&previous), rules, unable("no canary answers"), at(60));
        assert_eq!((beat.status, beat.important, beat.retries), (Pending, false, 1));
    }

    #[test]
    fn a_recovery_after_own_trouble_is_told_when_the_target_was_down_before() {
        let (_, memory) = next(Some(&was(Down)), RULES, unable("no canary answers"), at(60));
        let (beat, _) = next(Some(&memory), RULES, up(), at(120));
        assert!(beat.important);
    }

    #[test]
    fn a_target_that_was_and_is_down_is_not_told_again_after_own_trouble() {
        let (_, memory) = next(Some(&was(Down)), RULES, unable("no canary answers"), at(60));
        let (beat, _) = next(Some(&memory), RULES, down("no"), at(120));
        assert_eq!((beat.status, beat.important), (Down, false));
    }

    #[test]
    fn own_trouble_is_not_turned_upside_down() {
        let rules = Rules { upside_down: true, ..RULES };
        let (beat, _) = next(Some(&was(Up)), rules, unable("no canary answers"), at(60));
        assert_eq!(beat.status, Pending);
    }

    #[test]
    fn a_pending_monitor_is_run_at_its_retry_interval_if_it_has_one() {
        let (interval, retry) = (Duration::from_secs(60), Duration::from_secs(20));
        assert_eq!(delay(Pending, interval, retry), retry);
        assert_eq!(delay(Pending, interval, Duration::ZERO), interval);
        assert_eq!(delay(Down, interval, retry), interval);
        assert_eq!(delay(Up, interval, retry), interval);
    }

    fn was(status: BeatStatus) -> Previous {
        Previous { settled: status, retries: 0, down_count: 0, time: Wall(0) }
    }

    fn at(second: i64) -> Times {
        Times { began_at: Wall(second * 1_000), ended_at: Wall(second * 1_000 + 12) }
    }

    fn up() -> RunResult {
        RunResult { ping_ms: Some(12), ..RunResult::new(RunStatus::Up, "200 - OK") }
    }

    fn down(msg: &str) -> RunResult {
        RunResult::new(RunStatus::Down, msg)
    }

    fn unable(msg: &str) -> RunResult {
        RunResult::new(RunStatus::Unable, msg)
    }
}
