//! Pictures: bars of what was found, and how long answers took, as SVG that is drawn here.
//!
//! Pure. Each bar says in words what it stands for and can be reached with the keyboard; its height tells what its colour tells. A
//! line has a table beside it, for those who cannot see it.

use std::fmt::Write as _;

use komainu_watchdogs::time::Wall;
use serde::Deserialize;

use super::words::At;

/// A bar: one beat, or one day.
pub(super) struct Bar {
    /// `up`, `down` …: its colour, and its height.
    pub(super) state: &'static str,
    /// In words.
    pub(super) label: String,
}

/// How long answers took at one time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Took {
    pub(crate) at: Wall,
    /// Milliseconds; `None`: nothing was up.
    pub(crate) ms: Option<f64>,
}

/// A line over time.
pub(crate) struct Line {
    /// The drawing.
    pub(crate) svg: Svg,
    /// What it says, in a sentence.
    pub(crate) summary: String,
    /// Some of its points, for the table.
    pub(crate) rows: Vec<(At, String)>,
}

/// What a line says by itself, in the language of its reader.
pub(crate) struct Caption {
    /// What is drawn.
    pub(crate) title: &'static str,
    /// `{}` and `{}`: how long on average, and at most.
    pub(crate) summary: &'static str,
    /// All of it is a gap.
    pub(crate) nothing: &'static str,
    /// A point is a gap.
    pub(crate) gap: &'static str,
}

const ENGLISH: Caption = Caption {
    title: "How long answers took.",
    summary: "On average {}, at most {}.",
    nothing: "Nothing was up in this time.",
    gap: "nothing was up",
};

/// A drawing that holds numbers and words of the program only.
pub(crate) struct Svg(String);

impl std::fmt::Display for Svg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Svg {}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;
/// Room for the words at the left.
const LEFT: f64 = 64.0;
/// Points in the table: a day has one an hour.
const TABLE_ROWS: usize = 24;

/// How long answers took. `step`: how much time a point stands for, milliseconds; a gap in the line is a time of which nothing is known,
/// or in which nothing was up. `None`: there is nothing to draw.
pub(super) fn line(points: &[Took], step: i64) -> Option<Line> {
    line_in(points, step, &ENGLISH)
}

/// The same in another language.
pub(crate) fn line_in(points: &[Took], step: i64, caption: &Caption) -> Option<Line> {
    let known: Vec<(Wall, f64)> = points.iter().filter_map(|point| Some((point.at, point.ms?))).collect();
    let (first, last) = (points.first()?.at, points.last()?.at);
    let most = known.iter().map(|(_, ms)| *ms).fold(0.0, f64::max);
    let top = if most > 0.0 { most * 1.1 } else { 1.0 };
    let across = real(last.0.saturating_sub(first.0)).max(1.0);
    let x = |at: Wall| LEFT + real(at.0.saturating_sub(first.0)) / across * (WIDTH - LEFT);
    let y = |ms: f64| HEIGHT - 8.0 - ms / top * (HEIGHT - 24.0);
    let mut path = String::new();
    let mut before: Option<Wall> = None;
    for (at, ms) in &known {
        let joins = before.is_some_and(|before| at.0 - before.0 <= 2 * step);
        let command = if joins { 'L' } else { 'M' };
        // A point without a neighbour is a short stroke.
        let tail = if joins { String::new() } else { "h0.01".to_owned() };
        let _ = write!(path, "{command}{:.1} {:.1}{tail}", x(*at), y(*ms));
        before = Some(*at);
    }
    let average = known.iter().map(|(_, ms)| ms).sum::<f64>() / real(i64::try_from(known.len()).unwrap_or(1)).max(1.0);
    let summary = if known.is_empty() {
        caption.nothing.to_owned()
    } else {
        caption.summary.replacen("{}", &millis(average), 1).replacen("{}", &millis(most), 1)
    };
    let label = format!("{} {summary}", caption.title);
    let svg = if known.is_empty() { Svg(String::new()) } else { drawn(&path, y(most), &millis(most), &label) };
    Some(Line { svg, summary, rows: rows(points, caption.gap) })
}

fn drawn(path: &str, top: f64, most: &str, label: &str) -> Svg {
    let bottom = HEIGHT - 8.0;
    Svg(format!(
        "<svg class=\"line\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">\
         <line class=\"axis\" x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{WIDTH}\" y2=\"{bottom}\"/>\
         <line class=\"axis\" x1=\"{LEFT}\" y1=\"{top:.1}\" x2=\"{WIDTH}\" y2=\"{top:.1}\"/>\
         <text x=\"0\" y=\"{bottom}\">0</text><text x=\"0\" y=\"{:.1}\">{most}</text><path d=\"{path}\"/></svg>",
        top + 4.0
    ))
}

/// A point of the table stands for several of the line: the longest of them.
fn rows(points: &[Took], gap: &str) -> Vec<(At, String)> {
    let each = points.len().div_ceil(TABLE_ROWS).max(1);
    let row = |chunk: &[Took]| {
        let most = chunk.iter().filter_map(|point| point.ms).reduce(f64::max);
        Some((At(chunk.first()?.at), most.map_or_else(|| gap.to_owned(), millis)))
    };
    points.chunks(each).filter_map(row).collect()
}

/// `0.4 ms`, `120 ms`, `2.1 s`
pub(super) fn millis(ms: f64) -> String {
    if ms >= 1_000.0 {
        format!("{:.1} s", ms / 1_000.0)
    } else if ms >= 10.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.1} ms")
    }
}

/// `99.982 %`: as exact as it can be without being rounded up to all.
pub(crate) fn percent(share: f64) -> String {
    let floored = (share * 100_000.0).floor() / 1_000.0;
    format!("{floored} %")
}

/// How much of the time it was well, as the API says it.
#[derive(Deserialize)]
pub(super) struct Uptime {
    uptime: Option<f64>,
}

impl Uptime {
    pub(super) fn words(&self) -> String {
        self.uptime.map_or_else(|| "nothing counted".to_owned(), percent)
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "spans and counts are far below 2^53")]
fn real(whole: i64) -> f64 {
    whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(minute: i64, ms: Option<f64>) -> Took {
        Took { at: Wall(minute * 60_000), ms }
    }

    #[test]
    fn a_time_of_which_nothing_is_known_is_a_gap() {
        let points =
            [took(0, Some(10.0)), took(1, Some(20.0)), took(2, None), took(9, Some(30.0)), took(10, Some(10.0))];
        let line = line(&points, 60_000).unwrap();
        let svg = line.svg.to_string();
        assert_eq!(svg.matches('M').count(), 2, "{svg}");
        assert_eq!(svg.matches('L').count(), 2, "{svg}");
        assert_eq!(line.summary, "On average 18 ms, at most 30 ms.");
        assert_eq!(line.rows[2].1, "nothing was up");
    }

    #[test]
    fn a_day_by_the_minute_is_a_table_that_one_can_listen_to() {
        let points: Vec<Took> = (0..1_440).map(|minute| took(minute, Some(1.0))).collect();
        assert_eq!(line(&points, 60_000).unwrap().rows.len(), 24);
        assert!(line(&[], 60_000).is_none());
        let none = line(&[took(0, None)], 60_000).unwrap();
        assert_eq!(none.summary, "Nothing was up in this time.");
    }

    #[test]
    fn what_was_down_once_is_never_a_hundred_percent() {
        assert_eq!([1.0, 0.999_999, 0.5, 0.0].map(percent), ["100 %", "99.999 %", "50 %", "0 %"]);
        assert_eq!([0.42, 120.4, 2_140.0].map(millis), ["0.4 ms", "120 ms", "2.1 s"]);
    }
}
