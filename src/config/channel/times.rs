//! Times at which a channel is told something although nothing is wrong.

use jiff::tz::TimeZone;
use komainu_watchdogs::time::Wall;

use crate::heartbeat::schedule::Schedule;

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// `0 10 * * 1`, or `0 10 * * 1 Europe/Berlin`; UTC unless said.
pub(super) fn cron(text: &str) -> Result<Schedule, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (fields, zone) = match words.as_slice() {
        [fields @ .., zone] if fields.len() == 5 => (fields.join(" "), *zone),
        fields => (fields.join(" "), "UTC"),
    };
    // Whether it ever comes true does not hang on which year it is.
    let of_old = Wall(0);
    Schedule::cron(&fields, zone, of_old).map_err(|error| format!("{error}; write \"0 10 * * 1 Europe/Berlin\""))
}

/// `Mon 09:00`, or `Mon 09:00 Europe/Berlin`; UTC unless said.
pub(super) fn weekly(text: &str) -> Result<Schedule, String> {
    let wrong = || format!("\"{text}\" must be like \"Mon 09:00 Europe/Berlin\"");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (day, at, zone) = match words.as_slice() {
        [day, at] => (*day, *at, "UTC"),
        [day, at, zone] => (*day, *at, *zone),
        _ => return Err(wrong()),
    };
    let day = DAYS.iter().position(|known| known.eq_ignore_ascii_case(day)).ok_or_else(wrong)?;
    let (hour, minute) = at.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str, most: u8| text.parse::<u8>().ok().filter(|number| *number <= most).ok_or_else(wrong);
    let (hour, minute) = (number(hour, 23)?, number(minute, 59)?);
    TimeZone::get(zone).map_err(|error| format!("{error}; write Europe/Berlin"))?;
    Schedule::cron(&format!("{minute} {hour} * * {day}"), zone, Wall(0)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &Schedule) -> String {
        let from = Wall("2026-03-25T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
        jiff::Timestamp::from_millisecond(schedule.next_due(from).unwrap().0).unwrap().to_string()
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(next(&weekly("Mon 09:00 Europe/Berlin").unwrap()), "2026-03-30T07:00:00Z", "clocks changed before");
        assert_eq!(next(&weekly("thu 0:05").unwrap()), "2026-03-26T00:05:00Z");
        assert_eq!(next(&cron("0 10 * * 1 Asia/Taipei").unwrap()), "2026-03-30T02:00:00Z");
        assert_eq!(next(&cron("0 10 1 * *").unwrap()), "2026-04-01T10:00:00Z");
        for text in ["", "Mon", "Moon 09:00", "Mon 9", "Mon 24:00", "Mon 09:60", "Mon 09:00 Mars", "Mon 09:00 UTC x"] {
            assert!(weekly(text).is_err(), "{text}");
        }
        for text in ["", "soon", "0 10 * * 1 Mars", "0 10 31 2 *", "* * * *"] {
            assert!(cron(text).is_err(), "{text}");
        }
    }
}
