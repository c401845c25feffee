//! A rotation: a list of people who take turns at a fixed hour, and who stands in for whom.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use komainu_watchdogs::time::Wall;

/// People in the order of their turns.
#[derive(Clone, PartialEq, Debug)]
pub struct Rotation {
    /// At least one.
    pub people: Vec<String>,
    /// The day on which the first of them begins.
    pub begins_on: Date,
    /// When each day, or week, begins.
    pub handover: Time,
    /// Days of one turn.
    pub every_days: i32,
    /// Of the handover; nights of the clocks' change are an hour shorter or longer.
    pub time_zone: TimeZone,
    /// The first that holds counts.
    pub overrides: Vec<Override>,
}

/// Somebody who stands in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// From then.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
    /// Who.
    pub person: String,
}

impl Rotation {
    /// Whose turn it is; `None`: there is nobody.
    pub fn on_duty(&self, now: Wall) -> Option<&str> {
        let now = Timestamp::from_millisecond(now.0).ok()?;
        if let Some(one) = self.overrides.iter().find(|one| one.from <= now && now < one.until) {
            return Some(&one.person);
        }
        let local = now.to_zoned(self.time_zone.clone()).datetime();
        let days = self.begins_on.until(local.date()).ok()?.get_days();
        // Before the handover it is still the day before.
        let days = if local.time() < self.handover { days.saturating_sub(1) } else { days };
        let turn = days.div_euclid(self.every_days.max(1));
        let place = i64::from(turn).rem_euclid(i64::try_from(self.people.len()).ok()?.max(1));
        self.people.get(usize::try_from(place).ok()?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Rotation {
        /// From a Monday, by weeks, at nine in Berlin.
        pub(in crate::oncall) fn weekly(people: Vec<String>) -> Self {
            Self {
                people,
                begins_on: Date::constant(2026, 1, 5),
                handover: Time::constant(9, 0, 0, 0),
                every_days: 7,
                time_zone: TimeZone::get("Europe/Berlin").unwrap(),
                overrides: vec![],
            }
        }
    }

    fn at(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn people() -> Vec<String> {
        ["ada", "bob", "eve"].map(str::to_owned).to_vec()
    }

    #[test]
    fn turns_change_at_the_handover_also_when_the_clocks_change() {
        let weekly = Rotation::weekly(people());
        let on_duty = |text: &str| weekly.on_duty(at(text)).unwrap();
        assert_eq!([on_duty("2026-01-05T07:59:59Z"), on_duty("2026-01-05T08:00:00Z")], ["eve", "ada"]);
        assert_eq!([on_duty("2026-01-12T07:59:59Z"), on_duty("2026-01-12T08:00:00Z")], ["ada", "bob"]);
        // In summer nine o'clock is an hour earlier: twelve weeks later it is the first one's turn again.
        assert_eq!([on_duty("2026-03-30T06:59:59Z"), on_duty("2026-03-30T07:00:00Z")], ["eve", "ada"]);
        let daily = Rotation { every_days: 1, ..weekly.clone() };
        assert_eq!(daily.on_duty(at("2026-01-06T08:00:00Z")), Some("bob"));
        assert_eq!(daily.on_duty(at("2025-12-31T12:00:00Z")), Some("bob"), "before the first day turns go backwards");
    }

    #[test]
    fn whoever_stands_in_is_on_duty_and_nobody_where_there_is_nobody() {
        let one = Override {
            from: "2026-01-05T12:00:00Z".parse().unwrap(),
            until: "2026-01-06T12:00:00Z".parse().unwrap(),
            person: "kim".to_owned(),
        };
        let weekly = Rotation { overrides: vec![one], ..Rotation::weekly(people()) };
        let on_duty = |text: &str| weekly.on_duty(at(text)).unwrap();
        assert_eq!(
            ["2026-01-05T11:59:59Z", "2026-01-05T12:00:00Z", "2026-01-06T12:00:00Z"].map(on_duty),
            ["ada", "kim", "ada"]
        );
        assert_eq!(Rotation::weekly(vec![]).on_duty(Wall(0)), None);
    }
}
