//! The table: a line for each figure, with the bar of DESIGN §11 beside it.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::it::cluster::database::Kind;

/// The table; its head is printed when it begins, each line when it is known.
pub(crate) struct Table(());

/// What a figure is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// The 99th percentile.
    P99(Duration),
    /// The slowest.
    Most(Duration),
    /// DESIGN §11 names none.
    None,
}

impl Bar {
    fn words(self) -> String {
        match self {
            Self::P99(limit) => format!("p99 <= {}", seconds(limit)),
            Self::Most(limit) => format!("<= {}", seconds(limit)),
            Self::None => "no bar".to_owned(),
        }
    }

    fn verdict(self, times: &Times) -> &'static str {
        let (figure, limit) = match self {
            Self::P99(limit) => (times.percentile(0.99), limit),
            Self::Most(limit) => (times.most(), limit),
            Self::None => return "-",
        };
        if figure <= limit { "ok" } else { "MISSED" }
    }
}

/// Measured times.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn of(times: &[Duration]) -> Self {
        // Up to ten minutes, in microseconds, three digits exact.
        let mut histogram = Histogram::new_with_bounds(1, 600_000_000, 3).unwrap();
        for time in times {
            histogram.saturating_record(u64::try_from(time.as_micros()).unwrap());
        }
        Self(histogram)
    }

    fn percentile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    fn most(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }
}

impl Table {
    pub(crate) fn begin() -> Self {
        println!(
            "{:<52} {:<8} {:>3} {:>9} {:>9} {:>9}  {:<16} verdict",
            "what", "database", "n", "p50", "p99", "max", "bar (DESIGN 11)"
        );
        Self(())
    }

    /// A line of times.
    pub(crate) fn times(&self, what: &str, kind: Kind, times: &[Duration], bar: Bar) {
        let Self(()) = self;
        let measured = Times::of(times);
        let [p50, p99] = [0.5, 0.99].map(|quantile| seconds(measured.percentile(quantile)));
        let verdict = if times.is_empty() { "not measured" } else { bar.verdict(&measured) };
        println!(
            "{what:<52} {:<8} {:>3} {p50:>9} {p99:>9} {:>9}  {:<16} {verdict}",
            name(kind),
            times.len(),
            seconds(measured.most()),
            bar.words()
        );
    }

    /// A line of anything else.
    pub(crate) fn figure(&self, what: &str, kind: Kind, (figure, bar): (&str, &str), is_ok: bool) {
        let Self(()) = self;
        let verdict = if is_ok { "ok" } else { "MISSED" };
        println!("{what:<52} {:<8} {:>3} {figure:>29}  {bar:<16} {verdict}", name(kind), 1);
    }
}

/// As the option names it.
pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => "sqlite",
        Kind::MariaDb => "mariadb",
    }
}

/// Three decimals below ten seconds, otherwise one.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.3} s", time.as_secs_f64())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
