//! `active` of a route: the hours at which it takes something. What they mean is [`komainu_watchdogs::routing::Hours`]'s.

use jiff::tz::TimeZone;
use komainu_watchdogs::routing::{DAY, DAYS, Hours};
use serde::Deserialize;

/// Spans of one route.
const MOST: usize = 20;

/// One span or several, as they are written.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be like \"Mon-Fri 09:00-18:00 Europe/Berlin\", or a list of such")]
pub(super) enum Active {
    One(String),
    Several(Vec<String>),
}

impl Active {
    /// What is wrong with it, for people.
    pub(super) fn hours(&self) -> Result<Vec<Hours>, String> {
        let spans = match self {
            Self::One(span) => std::slice::from_ref(span),
            Self::Several(spans) => spans.as_slice(),
        };
        if spans.is_empty() || spans.len() > MOST {
            return Err(format!("must have 1 to {MOST} entries; without `active` a route holds at all times"));
        }
        spans.iter().map(|span| hours(span)).collect()
    }
}

fn hours(text: &str) -> Result<Hours, String> {
    let wrong =
        || format!("\"{text}\" must be like \"22:00-07:00 Europe/Berlin\" or \"Mon-Fri 09:00-18:00 Europe/Berlin\"");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (written_days, span, zone) = match words.as_slice() {
        [span, zone] => (None, *span, *zone),
        [days, span, zone] => (Some(*days), *span, *zone),
        _ => return Err(wrong()),
    };
    let (from, until) = span.split_once('-').ok_or_else(wrong)?;
    let (from, until) = minute(from).zip(minute(until)).ok_or_else(wrong)?;
    if from == until || from == DAY {
        return Err(format!("\"{text}\" has no length; a whole day is 00:00-24:00"));
    }
    let zone = TimeZone::get(zone)
        .map_err(|_| format!("\"{text}\": there is no time zone \"{zone}\"; write it as Europe/Berlin"))?;
    let days = written_days
        .map_or(Some([true; 7]), days)
        .ok_or_else(|| format!("\"{text}\": write days as Mon-Fri or Sat,Sun, of {}", DAYS.join(", ")))?;
    Ok(Hours { days, from, until, zone })
}

/// `07:30` up to `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let is_written =
        [hour, minute].iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()));
    let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
    let total = hour * 60 + minute;
    (is_written && minute < 60 && total <= DAY).then_some(total)
}

/// `Mon-Fri`, `Sat,Sun`, `Fri-Mon`, and several of them.
fn days(text: &str) -> Option<[bool; 7]> {
    let mut found = [false; 7];
    let place = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = place(first).zip(place(last))?;
        let length = (last + 7 - first) % 7;
        for day in (first..=first + length).map(|day| day % 7) {
            *found.get_mut(day)? = true;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_people_write_them() {
        for (written, read) in [
            ("22:00-07:00 Europe/Berlin", "22:00-07:00 Europe/Berlin"),
            ("Mon-Fri 09:00-18:00 Europe/Berlin", "Mon,Tue,Wed,Thu,Fri 09:00-18:00 Europe/Berlin"),
            ("sat,Sun 00:00-24:00 UTC", "Sat,Sun 00:00-24:00 UTC"),
            ("Fri-Mon,Wed 18:30-24:00 Asia/Taipei", "Mon,Wed,Fri,Sat,Sun 18:30-24:00 Asia/Taipei"),
            ("Mon-Sun 08:00-09:00 UTC", "08:00-09:00 UTC"),
        ] {
            let hours = hours(written).unwrap();
            assert_eq!(hours.to_string(), read);
            assert_eq!(super::hours(read).unwrap(), hours, "what is printed reads as the same");
        }
    }

    #[test]
    fn what_is_no_span_is_refused_with_words() {
        for (written, problem) in [
            ("", "must be like"),
            ("22:00-07:00", "must be like"),
            ("22-07 Europe/Berlin", "must be like"),
            ("22:60-07:00 Europe/Berlin", "must be like"),
            ("22:00-24:01 Europe/Berlin", "must be like"),
            ("+1:00-07:00 Europe/Berlin", "must be like"),
            ("09:00-09:00 Europe/Berlin", "has no length"),
            ("24:00-09:00 Europe/Berlin", "has no length"),
            ("22:00-07:00 Europe/Nowhere", "there is no time zone \"Europe/Nowhere\""),
            ("Weekdays 09:00-18:00 UTC", "write days as Mon-Fri"),
            ("Mon-Fri-Sun 09:00-18:00 UTC", "write days as Mon-Fri"),
        ] {
            assert!(hours(written).unwrap_err().contains(problem), "{written}: {}", hours(written).unwrap_err());
        }
        assert!(Active::Several(vec![]).hours().is_err());
    }
}
