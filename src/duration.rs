//! Durations as people write them: `90s`, `1h30m`, `7d`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, SpanRound, Unit};

/// A day has 24 hours here: schedules that follow the calendar are cron's.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let span = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    span.ok()
        .and_then(|span| Duration::try_from(span).ok())
        .ok_or_else(|| "write it with its unit: 90s, 1h30m, 7d".to_owned())
}

/// Whole seconds, as schedules count; a bare number is one of seconds, as in the API.
pub(crate) fn parse_seconds(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let span = parse(text)?;
    if span.subsec_nanos() != 0 {
        return Err("write whole seconds".to_owned());
    }
    Ok(span.as_secs())
}

/// As it would be written: `1d`, `1h 30m`.
pub(crate) fn friendly(seconds: u64) -> String {
    let in_days = SpanRound::new().largest(Unit::Day).days_are_24_hours();
    let span = i64::try_from(seconds).ok().and_then(|seconds| Span::new().try_seconds(seconds).ok());
    let span = span.and_then(|span| span.round(in_days).ok());
    span.map_or_else(|| format!("{seconds}s"), |span| format!("{span:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| parse_seconds(text).unwrap();
        assert_eq!(["90s", "1h30m", "24h", "7d", "1d 2h", "0s"].map(seconds), [90, 5400, 86_400, 604_800, 93_600, 0]);
        assert_eq!(parse("250ms").unwrap(), Duration::from_millis(250));
        for wrong in ["", "5", "-5s", "soon", "1 moon"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_seconds("30"), Ok(30));
        assert!(parse_seconds("1500ms").is_err());
    }

    #[test]
    fn what_is_written_can_be_read() {
        for seconds in [0, 1, 60, 86_400, 93_784] {
            assert_eq!(parse_seconds(&friendly(seconds)), Ok(seconds), "{}", friendly(seconds));
        }
        assert_eq!(friendly(93_600), "1d 2h");
    }
}
