//! Hours of the week, as a clock on a wall of their place shows them.
//!
//! In the night in which clocks go back, the hour that comes twice counts twice; in the one in which they go forward, the hour that is
//! left out does not come. A span over midnight belongs to the day on which it begins. Reads no clock and no database of time zones.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::time::Wall;

/// Minutes of a day.
pub const DAY: u16 = 1_440;

/// The names of the days, from Monday.
pub const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A span of the day, on some days of the week.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hours {
    /// On which days it begins, from Monday.
    pub days: [bool; 7],
    /// The minute of the day at which it begins.
    pub from: u16,
    /// The minute at which it ends, at most [`DAY`]; one that is not after `from` is of the next day.
    pub until: u16,
    /// Whose clock.
    pub zone: TimeZone,
}

impl Hours {
    /// Whether it is on at this time. A time that no calendar has is: rather too much is told than nothing.
    pub fn is_on(&self, now: Wall) -> bool {
        let Ok(now) = Timestamp::from_millisecond(now.0) else { return true };
        let local = now.to_zoned(self.zone.clone());
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let (is_begun, is_over) = (minute >= i32::from(self.from), minute >= i32::from(self.until));
        let today = self.begins_on(local.weekday());
        if self.from < self.until {
            return today && is_begun && !is_over;
        }
        (today && is_begun) || (self.begins_on(local.weekday().previous()) && !is_over)
    }

    fn begins_on(&self, day: Weekday) -> bool {
        usize::try_from(day.to_monday_zero_offset()).ok().and_then(|day| self.days.get(day)).is_some_and(|is_on| *is_on)
    }
}

/// As it is written in the configuration.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days.contains(&false) {
            let days: Vec<&str> = DAYS.iter().zip(self.days).filter(|(_, is_on)| *is_on).map(|(day, _)| *day).collect();
            write!(f, "{} ", days.join(","))?;
        }
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let (from, until) = (self.from, self.until);
        write!(f, "{:02}:{:02}-{:02}:{:02} {zone}", from / 60, from % 60, until / 60, until % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn berlin(days: [bool; 7], from: u16, until: u16) -> Hours {
        Hours { days, from, until, zone: TimeZone::get("Europe/Berlin").unwrap() }
    }

    #[test]
    fn office_hours_begin_and_end_by_the_clock_on_the_wall_in_summer_and_in_winter() {
        let office = berlin([true, true, true, true, true, false, false], 9 * 60, 18 * 60);
        assert_eq!(office.to_string(), "Mon,Tue,Wed,Thu,Fri 09:00-18:00 Europe/Berlin");
        for (time, is_on) in [
            ("2026-01-05T07:59:59Z", false),
            ("2026-01-05T08:00:00Z", true),
            ("2026-01-05T16:59:59Z", true),
            ("2026-01-05T17:00:00Z", false),
            ("2026-07-06T07:00:00Z", true),
            ("2026-07-06T16:00:00Z", false),
            ("2026-01-10T10:00:00Z", false),
        ] {
            assert_eq!(office.is_on(at(time)), is_on, "{time}");
        }
    }

    #[test]
    fn a_span_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let fridays = berlin([false, false, false, false, true, false, false], 22 * 60, 7 * 60);
        for (time, is_on) in [
            ("2026-01-09T00:00:00Z", false),
            ("2026-01-09T20:59:59Z", false),
            ("2026-01-09T21:00:00Z", true),
            ("2026-01-09T23:30:00Z", true),
            ("2026-01-10T05:59:59Z", true),
            ("2026-01-10T06:00:00Z", false),
            ("2026-01-10T21:30:00Z", false),
        ] {
            assert_eq!(fridays.is_on(at(time)), is_on, "{time}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_counts_twice_and_one_that_is_left_out_is_missed_by_nothing_else() {
        let early = berlin([true; 7], 2 * 60, 3 * 60);
        assert_eq!(early.to_string(), "02:00-03:00 Europe/Berlin");
        // In October three o'clock is two o'clock again.
        let autumn = ["2026-10-24T23:59:59Z", "2026-10-25T00:00:00Z", "2026-10-25T01:59:59Z", "2026-10-25T02:00:00Z"];
        assert_eq!(autumn.map(|time| early.is_on(at(time))), [false, true, true, false]);
        // In March two o'clock is three o'clock already.
        let spring = ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
        assert_eq!(spring.map(|time| early.is_on(at(time))), [false; 3]);
        let half = berlin([true; 7], 2 * 60 + 30, 3 * 60 + 30);
        assert_eq!(spring.map(|time| half.is_on(at(time))), [false, true, false], "what is left of it");
    }

    #[test]
    fn a_whole_day_has_no_gap_at_its_end() {
        let sundays = berlin([false, false, false, false, false, false, true], 0, DAY);
        assert_eq!(sundays.to_string(), "Sun 00:00-24:00 Europe/Berlin");
        let times = ["2026-01-10T22:59:59Z", "2026-01-10T23:00:00Z", "2026-01-11T22:59:59Z", "2026-01-11T23:00:00Z"];
        assert_eq!(times.map(|time| sundays.is_on(at(time))), [false, true, true, false]);
        assert!(sundays.is_on(Wall(i64::MAX)), "a time that no calendar has");
    }
}
