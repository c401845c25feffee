//! Times, spans and counts in words, as pages print them.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use komainu_watchdogs::time::Wall;

/// A point in time: for machines, for people without a script, and for the script, which makes it local.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct At(pub(crate) Wall);

impl At {
    /// `2025-11-22T08:26:40Z`
    pub(super) fn iso(self) -> String {
        Timestamp::from_millisecond(self.0.0)
            .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// How long ago it was, by the clock of this host.
    pub(super) fn ago(self, now: Wall) -> Ago {
        Ago { at: self, now }
    }
}

/// A point in time, however often templates refer to it.
pub(super) trait Moment {
    fn at(&self) -> At;
}

impl Moment for At {
    fn at(&self) -> At {
        *self
    }
}

impl<T: Moment> Moment for &T {
    fn at(&self) -> At {
        (**self).at()
    }
}

/// A point in time as a page shows it: how long ago, and the time itself for whoever wants to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ago {
    at: At,
    now: Wall,
}

impl Ago {
    fn words(self) -> String {
        let age = u64::try_from(self.now.0.saturating_sub(self.at.0.0)).unwrap_or(0);
        format!("{} ago", span(Duration::from_millis(age)))
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (iso, words) = (self.at.iso(), self.words());
        write!(f, "<time datetime=\"{iso}\" data-ago title=\"{}\">{words}</time>", self.at)
    }
}

/// It holds numbers and words of this file only.
impl askama::filters::HtmlSafe for Ago {}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0.0) {
            Ok(at) => write!(f, "{}", at.strftime("%Y-%m-%d %H:%M:%S UTC")),
            Err(_) => f.write_str("an impossible time"),
        }
    }
}

/// `8 s`, `3 min`, `2 h 5 min`, `4 d`: as exact as anybody wants to know.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 if minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        3_600..86_400 => format!("{hours} h"),
        _ if days < 10 && hours % 24 > 0 => format!("{days} d {} h", hours % 24),
        _ => format!("{days} d"),
    }
}

/// `1 monitor`, `1,204 monitors`
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// `1,204,311`
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_as_exact_as_anybody_wants_to_know() {
        let words = |seconds| span(Duration::from_secs(seconds));
        let all = [0, 59, 60, 3_599, 3_600, 7_500, 86_399, 86_400, 93_600, 864_000].map(words);
        let wanted = ["0 s", "59 s", "1 min", "59 min", "1 h", "2 h 5 min", "23 h 59 min", "1 d", "1 d 2 h", "10 d"];
        assert_eq!(all, wanted);
    }

    #[test]
    fn a_time_says_its_zone_and_how_long_ago_it_was() {
        let at = At(Wall(1_763_800_000_250));
        assert_eq!((at.to_string().as_str(), at.iso().as_str()), ("2025-11-22 08:26:40 UTC", "2025-11-22T08:26:40Z"));
        assert_eq!(at.ago(Wall(0)).words(), "0 s ago", "a clock that is behind");
        let shown = at.ago(Wall(1_763_800_010_250)).to_string();
        let tag = "<time datetime=\"2025-11-22T08:26:40Z\" data-ago title=\"2025-11-22 08:26:40 UTC\">10 s ago</time>";
        assert_eq!(shown, tag);
    }

    #[test]
    fn counts_are_read_at_a_glance() {
        assert_eq!([0, 999, 1_000, 1_204_311].map(grouped), ["0", "999", "1,000", "1,204,311"]);
        assert_eq!(
            (counted(1, "monitor"), counted(2_000, "monitor")),
            ("1 monitor".to_owned(), "2,000 monitors".to_owned())
        );
    }
}
