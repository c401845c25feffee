//! Durations on the command line: `90s`, `1h30m`, `7d`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// A day has 24 hours here: schedules that follow the calendar are cron's.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let span = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    span.ok()
        .and_then(|span| Duration::try_from(span).ok())
        .ok_or_else(|| "write it with its unit: 90s, 1h30m, 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| parse(text).unwrap().as_secs();
        assert_eq!(["90s", "1h30m", "24h", "7d", "1d 2h", "0s"].map(seconds), [90, 5400, 86_400, 604_800, 93_600, 0]);
        assert_eq!(parse("250ms").unwrap(), Duration::from_millis(250));
        for wrong in ["", "5", "-5s", "soon", "1 moon"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
