//! A monitor's columns, read the way Kuma reads them: intervals, timeout, accepted status codes.
//!
//! Owns the defaults and the bounds of single columns; what a run does with them is the run's.

use std::time::Duration;

use crate::store::monitors::MonitorSpec;

/// Kinds of monitor a native node runs: Kuma's `type`.
pub const KINDS: &[&str] = &["dns", "group", "http", "json-query", "keyword", "manual", "ping", "port", "push"];

/// Whether a native node can run this kind of monitor.
pub fn is_supported(monitor: &MonitorSpec) -> bool {
    KINDS.contains(&monitor.kind.as_str())
}

/// Time between the beginnings of two runs. Kuma takes 0 as 1 s.
pub fn interval(monitor: &MonitorSpec) -> Duration {
    Duration::from_secs(u64::from(monitor.interval.max(1)))
}

/// The same while a monitor is PENDING; zero: as always.
pub fn retry_interval(monitor: &MonitorSpec) -> Duration {
    Duration::from_secs(u64::from(monitor.retry_interval))
}

/// How long one run may take. Kuma means 0.8 intervals when it is not set.
pub fn timeout(monitor: &MonitorSpec) -> Duration {
    /// A run longer than a day is a mistake in the row; it must not overflow a timer.
    const MOST_S: f64 = 86_400.0;
    if monitor.timeout.is_finite() && monitor.timeout > 0.0 {
        Duration::from_secs_f64(monitor.timeout.clamp(0.001, MOST_S))
    } else {
        interval(monitor).mul_f64(0.8)
    }
}

/// A text column that is set to something.
pub fn text(column: Option<&String>) -> Option<&str> {
    column.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// Whether `accepted` (`["200-299", "404"]`) takes this status code. Entries that are no code and no range count for
/// nothing, as in Kuma's `checkStatusCode`.
pub fn accepts_status(accepted: &[String], status: u16) -> bool {
    accepted.iter().any(|range| {
        let bounds: Option<Vec<u16>> = range.split('-').map(leading_whole).collect();
        match bounds.as_deref() {
            Some(&[only]) => status == only,
            Some(&[least, most]) => (least..=most).contains(&status),
            Some(_) | None => false,
        }
    })
}

/// As JavaScript's `parseInt`: what follows the digits means nothing.
fn leading_whole(text: &str) -> Option<u16> {
    let text = text.trim_start();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_status_codes_are_single_codes_or_ranges() {
        let accepted: Vec<String> = ["200-299", "404"].map(str::to_owned).into();
        assert!([200, 299, 404].iter().all(|&status| accepts_status(&accepted, status)));
        assert!([199, 300, 403].iter().all(|&status| !accepts_status(&accepted, status)));
    }

    #[test]
    fn what_is_no_status_code_is_not_accepted() {
        let accepted: Vec<String> = ["", "abc", "200-", "1-2-3"].map(str::to_owned).into();
        assert!(!accepts_status(&accepted, 200));
        assert!(!accepts_status(&[], 200));
    }
}
