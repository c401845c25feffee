//! Monitors of type `push`: what a push becomes, and when the next one is overdue.
//!
//! Pure, by the rules of Uptime Kuma 2.5.3: `server/routers/api-router.js` (`determineStatus`) for a push that comes,
//! `server/model/monitor.js` for one that does not. A push that comes is a beat at once; a look at the clock makes a beat
//! only where none came in time, counted by this node's clock that does not step: the times of beats are those of other
//! clocks, or of this one before it was set, and one of the future must not silence its monitor.

use std::time::Duration;

use komainu_watchdogs::time::{Mono, Wall};

use super::beat::{self, Previous, Rules, Times};
use crate::run::spec;
use crate::run::{RunResult, RunStatus};
use crate::store::beats::{Beat, BeatStatus};
use crate::store::monitors::MonitorSpec;

/// A push travels.
const BUFFER: Duration = Duration::from_secs(1);

/// So many pushes in a row may fall into stalls: a job that is dead is told of all the same.
const MOST_EXCUSES: usize = 2;

/// A push that is due so shortly before or after a stall may have been sent within it.
const NEAR: Duration = Duration::from_secs(2);

/// The longest time a push may name, as in Kuma: it fits into every column that holds one.
const PING_MOST_MS: f64 = 100_000_000_000.0;

/// What a push says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// `status=up`, also when it says nothing.
    pub is_up: bool,
    /// What the beat says, for people.
    pub msg: String,
    /// How long something took, in milliseconds.
    pub ping_ms: Option<i64>,
}

impl Report {
    /// Reads the query of a push's address. The error is Kuma's.
    pub fn read(query: &str) -> Result<Self, String> {
        let value = |name: &str| {
            let found = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
        };
        let ping = value("ping").and_then(|text| leading_number(&text)).filter(|&ping| ping != 0.0);
        if ping.is_some_and(|ping| !(0.0..=PING_MOST_MS).contains(&ping)) {
            return Err(format!("Invalid ping value. Must be between 0 and {PING_MOST_MS} ms."));
        }
        Ok(Self {
            is_up: value("status").is_none_or(|status| status == "up"),
            msg: value("msg").unwrap_or_else(|| "OK".to_owned()),
            ping_ms: ping.map(whole_millis),
        })
    }
}

/// Since when a push is waited for, of which the last was heard then and one is due in each interval. `stalls`: from when to
/// when this node stood still since, the latest last.
///
/// What fell due while it stood still was given up by who sent it: the next one is waited for from the end of the stall. Any
/// other stall excuses nothing, or a job with a long interval could be dead for ever on a node that stands still now and then.
pub fn waits_since(heard_at: Mono, interval: Duration, stalls: &[(Mono, Mono)]) -> Mono {
    let (mut since, mut excuses) = (heard_at, 0);
    for (began_at, ended_at) in stalls {
        let due_at = since + interval;
        let is_lost = due_at + NEAR >= *began_at && due_at <= *ended_at + NEAR;
        if is_lost && excuses < MOST_EXCUSES {
            (since, excuses) = (*ended_at, excuses + 1);
        }
    }
    since
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "between 0 and a hundred billion")]
fn whole_millis(ping: f64) -> i64 {
    ping.round() as i64
}

/// As JavaScript's `parseFloat`: the number that a text begins with.
fn leading_number(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let ends = text.char_indices().map(|(at, next)| at + next.len_utf8());
    let longest = ends.filter_map(|end| text.get(..end)).rfind(|head| is_number(head))?;
    longest.parse().ok()
}

/// Rust reads `inf` and `nan` as numbers too; JavaScript knows only `Infinity`.
fn is_number(head: &str) -> bool {
    let unsigned = head.strip_prefix(['+', '-']).unwrap_or(head);
    let is_plain = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    (is_plain || unsigned == "Infinity") && head.parse::<f64>().is_ok()
}

/// The beat that a push makes.
pub fn beat_of(
    previous: Option<&Previous>,
    rules: Rules,
    report: Report,
    is_maintained: bool,
    at: Wall,
) -> (Beat, Previous) {
    let (status, retries) =
        if is_maintained { (BeatStatus::Maintenance, 0) } else { judge(previous, rules, report.is_up) };
    let settled = previous.map(|previous| previous.settled);
    let important = beat::is_important(settled, status);
    let down_count = down_count(previous, rules, status, important);
    // None where a clock stepped back.
    let duration_s = previous.map_or(0, |previous| ((at.0 - previous.time.0) / 1_000).max(0));
    let said = RunResult { ping_ms: report.ping_ms, duration_s, ..RunResult::new(RunStatus::Up, report.msg) };
    let plain = Rules { upside_down: false, ..rules };
    let (as_run, _) = beat::next(previous, plain, said, Times { began_at: at, ended_at: at });
    let beat = Beat { status, important, down_count, retries, ..as_run };
    (beat, Previous { settled: status, retries, down_count, time: at })
}

fn judge(previous: Option<&Previous>, rules: Rules, is_up: bool) -> (BeatStatus, u32) {
    if is_up != rules.upside_down {
        return (BeatStatus::Up, 0);
    }
    let Some(previous) = previous else {
        return if rules.max_retries > 0 { (BeatStatus::Pending, 1) } else { (BeatStatus::Down, 0) };
    };
    let is_left = previous.retries < rules.max_retries;
    match previous.settled {
        BeatStatus::Up | BeatStatus::Pending if is_left => (BeatStatus::Pending, previous.retries + 1),
        BeatStatus::Up => (BeatStatus::Down, 0),
        BeatStatus::Pending | BeatStatus::Down | BeatStatus::Maintenance => {
            (BeatStatus::Down, previous.retries.saturating_add(1))
        }
    }
}

/// What is worth a notification starts the count anew; a change from or to maintenance is not.
fn down_count(previous: Option<&Previous>, rules: Rules, status: BeatStatus, important: bool) -> u32 {
    let Some(previous) = previous else { return 0 };
    let is_quiet =
        status == BeatStatus::Maintenance || (previous.settled == BeatStatus::Maintenance && status == BeatStatus::Up);
    if important && !is_quiet {
        return 0;
    }
    if status != BeatStatus::Down || rules.resend_interval == 0 {
        return previous.down_count;
    }
    let counted = previous.down_count.saturating_add(1);
    if counted >= rules.resend_interval { 0 } else { counted }
}

/// What a look at the clock shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PushLook {
    /// The last push is recent enough: look again after so long.
    InTime(Duration),
    /// None came in time.
    Late(RunResult),
}

/// Whether a push is overdue, so long after the last beat was made here or the monitor began.
pub fn look(previous: Option<&Previous>, monitor: &MonitorSpec, since: Duration) -> PushLook {
    let interval = spec::interval(monitor);
    let Some(previous) = previous else { return late(interval) };
    let good = if monitor.upside_down { BeatStatus::Down } else { BeatStatus::Up };
    // Kuma takes the end of a maintenance for a push that did not come; here the next one has its interval.
    let is_good = previous.settled == good || previous.settled == BeatStatus::Maintenance;
    if !is_good || since > interval + BUFFER {
        return late(since);
    }
    PushLook::InTime(interval.saturating_sub(since) + BUFFER)
}

fn late(since: Duration) -> PushLook {
    let duration_s = i64::try_from((since.as_millis() + 500) / 1_000).unwrap_or(i64::MAX);
    PushLook::Late(RunResult { duration_s, ..RunResult::new(RunStatus::Down, "No heartbeat in the time window") })
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::ids::MonitorId;

    use super::*;
    use BeatStatus::{Down, Maintenance, Pending, Up};

    const RULES: Rules = Rules { monitor: MonitorId(7), max_retries: 0, resend_interval: 0, upside_down: false };

    #[test]
    fn only_a_push_that_fell_due_while_this_node_stood_still_is_waited_for_anew() {
        let (heard_at, day) = (Mono::secs(1_000), Duration::from_secs(86_400));
        let stalls = [(50_000, 50_010), (87_395, 87_405), (87_500, 87_510)];
        let stalls = stalls.map(|(from, to)| (Mono::secs(from), Mono::secs(to)));
        assert_eq!(waits_since(heard_at, day, &stalls[..1]), heard_at, "nothing was due then");
        assert_eq!(waits_since(heard_at, day, &stalls[..2]), Mono::secs(87_405));
        assert_eq!(waits_since(heard_at, day, &stalls), Mono::secs(87_405), "a stall more takes nothing back");
        assert_eq!(waits_since(Mono::secs(87_450), day, &stalls[2..]), Mono::secs(87_450), "one that came is heard");
    }

    #[test]
    fn a_job_that_is_dead_is_late_however_often_this_node_stands_still() {
        let stalls: Vec<_> = (10..3_000).step_by(10).map(|at| (Mono::secs(at), Mono::secs(at + 5))).collect();
        assert!(waits_since(Mono::secs(5), Duration::from_secs(20), &stalls) < Mono::secs(100));
    }

    #[test]
    fn a_push_without_words_is_ok_and_up() {
        let plain = Report { is_up: true, msg: "OK".to_owned(), ping_ms: None };
        assert_eq!(Report::read(""), Ok(plain.clone()));
        assert_eq!(Report::read("status=up&msg=OK&ping="), Ok(plain));
    }

    #[test]
    fn a_push_says_its_status_its_message_and_its_time() {
        let report = Report::read("status=down&msg=disk%20full+now&ping=12.6ms").unwrap();
        assert_eq!(report, Report { is_up: false, msg: "disk full now".to_owned(), ping_ms: Some(13) });
        for (text, ping_ms) in [("0", None), ("abc", None), ("1e3", Some(1_000)), ("7e", Some(7)), (" 8 9", Some(8))] {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("ping", text).finish();
            assert_eq!(Report::read(&query).unwrap().ping_ms, ping_ms, "{text}");
        }
    }

    #[test]
    fn a_time_beyond_reason_is_refused() {
        for ping in ["-1", "100000000001", "Infinity"] {
            let refused = Report::read(&format!("ping={ping}")).unwrap_err();
            assert_eq!(refused, "Invalid ping value. Must be between 0 and 100000000000 ms.");
        }
    }

    #[test]
    fn a_push_follows_kumas_table() {
        let with_retries = Rules { max_retries: 2, ..RULES };
        for (rules, previous, is_up, expected) in [
            (RULES, None, true, (Up, true, 0)),
            (RULES, None, false, (Down, true, 0)),
            (with_retries, None, false, (Pending, true, 1)),
            (RULES, Some((Up, 0)), false, (Down, true, 0)),
            (with_retries, Some((Up, 0)), false, (Pending, false, 1)),
            (with_retries, Some((Pending, 1)), false, (Pending, false, 2)),
            (with_retries, Some((Pending, 2)), false, (Down, true, 3)),
            (with_retries, Some((Up, 2)), false, (Down, true, 0)),
            (RULES, Some((Down, 3)), false, (Down, false, 4)),
            (RULES, Some((Down, 3)), true, (Up, true, 0)),
            (RULES, Some((Maintenance, 0)), true, (Up, true, 0)),
            (Rules { upside_down: true, ..RULES }, Some((Up, 0)), true, (Down, true, 0)),
            (Rules { upside_down: true, ..RULES }, Some((Down, 1)), false, (Up, true, 0)),
        ] {
            let previous = previous.map(|(settled, retries)| Previous { settled, retries, ..was(Up) });
            let (beat, memory) = beat_of(previous.as_ref(), rules, report(is_up), false, Wall(60_400));
            assert_eq!((beat.status, beat.important, beat.retries), expected, "{previous:?} {is_up}");
            assert_eq!((memory.settled, memory.retries, memory.time), (beat.status, beat.retries, beat.time));
        }
    }

    #[test]
    fn a_push_tells_the_seconds_since_the_beat_before_it() {
        let (beat, _) = beat_of(Some(&was(Up)), RULES, report(true), false, Wall(61_999));
        assert_eq!((beat.duration_s, beat.msg.as_str(), beat.ping_ms), (61, "said", Some(5)));
        assert_eq!(beat_of(None, RULES, report(true), false, Wall(61_999)).0.duration_s, 0);
    }

    #[test]
    fn a_push_during_maintenance_keeps_its_words() {
        let (beat, _) = beat_of(Some(&was(Up)), RULES, report(false), true, Wall(60_000));
        assert_eq!((beat.status, beat.important, beat.msg.as_str()), (Maintenance, true, "said"));
    }

    #[test]
    fn failures_that_are_pushed_are_counted_up_to_the_resend_interval() {
        let rules = Rules { resend_interval: 2, ..RULES };
        let mut previous = was(Up);
        let mut counts = Vec::new();
        for minute in 1..=4 {
            let (beat, memory) = beat_of(Some(&previous), rules, report(false), false, Wall(minute * 60_000));
            counts.push(beat.down_count);
            previous = memory;
        }
        assert_eq!(counts, [0, 1, 0, 1]);
    }

    #[test]
    fn a_push_in_time_is_looked_after_again_when_the_next_one_is_due() {
        let monitor = MonitorSpec { interval: 60, ..MonitorSpec::default() };
        let again = |since| look(Some(&was(Up)), &monitor, Duration::from_millis(since));
        assert_eq!(again(20_000), PushLook::InTime(Duration::from_secs(41)));
        assert_eq!(again(60_500), PushLook::InTime(Duration::from_secs(1)));
    }

    #[test]
    fn a_beat_of_an_hour_or_a_day_ahead_silences_no_monitor() {
        let monitor = MonitorSpec { interval: 60, ..MonitorSpec::default() };
        for time in [Wall(3_600_000), Wall(86_400_000), Wall(-3_600_000), Wall(-86_400_000)] {
            let previous = Previous { time, ..was(Up) };
            assert!(matches!(look(Some(&previous), &monitor, Duration::from_secs(62)), PushLook::Late(_)), "{time:?}");
            assert!(
                matches!(look(Some(&previous), &monitor, Duration::from_secs(30)), PushLook::InTime(_)),
                "{time:?}"
            );
        }
    }

    #[test]
    fn a_push_after_a_step_back_tells_no_negative_time() {
        let previous = Previous { time: Wall(3_600_000), ..was(Up) };
        assert_eq!(beat_of(Some(&previous), RULES, report(true), false, Wall(1_000)).0.duration_s, 0);
    }

    #[test]
    fn a_push_that_does_not_come_is_late() {
        let monitor = MonitorSpec { interval: 60, ..MonitorSpec::default() };
        let late_s = |previous: Option<&Previous>, since| match look(previous, &monitor, Duration::from_millis(since)) {
            PushLook::Late(result) => Some((result.msg, result.duration_s)),
            PushLook::InTime(_) => None,
        };
        let told = |seconds| Some(("No heartbeat in the time window".to_owned(), seconds));
        assert_eq!(late_s(Some(&was(Up)), 61_001), told(61));
        assert_eq!(late_s(Some(&was(Maintenance)), 61_001), told(61));
        assert_eq!(late_s(Some(&was(Maintenance)), 61_000), None, "its next push has an interval");
        assert_eq!(late_s(None, 5_000), told(60));
        assert_eq!(late_s(Some(&was(Down)), 30_000), told(30));
        let inverted = MonitorSpec { upside_down: true, ..monitor.clone() };
        let half = Duration::from_secs(30);
        assert!(matches!(look(Some(&was(Down)), &inverted, half), PushLook::InTime(_)));
        assert!(matches!(look(Some(&was(Up)), &inverted, half), PushLook::Late(_)));
    }

    fn was(status: BeatStatus) -> Previous {
        Previous { settled: status, retries: 0, down_count: 0, time: Wall(0) }
    }

    fn report(is_up: bool) -> Report {
        Report { is_up, msg: "said".to_owned(), ping_ms: Some(5) }
    }
}
