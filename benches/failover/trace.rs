//! What the watchdogs of this process log, as marks in time: when a decision was committed, and how long it took.

use std::sync::{Arc, Mutex};

use komainu::clock;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// One line of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark {
    /// Microseconds UTC.
    pub(crate) at_us: i64,
    /// The message, with its fields as text.
    pub(crate) text: String,
    /// Of a decision: monitors moved.
    pub(crate) moves: u64,
    /// Of a decision: how long its transaction took.
    pub(crate) duration_ms: u64,
}

/// All marks so far.
#[derive(Clone, Default)]
pub(crate) struct Marks(Arc<Mutex<Vec<Mark>>>);

impl Marks {
    /// Marks later than this.
    pub(crate) fn since(&self, at_us: i64) -> Vec<Mark> {
        self.0.lock().unwrap().iter().filter(|mark| mark.at_us > at_us).cloned().collect()
    }
}

/// Listens to the driver from now on.
pub(crate) fn install() -> Marks {
    let marks = Marks::default();
    let only = Targets::new().with_target("komainu::driver", Level::DEBUG);
    tracing_subscriber::registry().with(Recorder(marks.clone()).with_filter(only)).init();
    marks
}

struct Recorder(Marks);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut mark = Mark { at_us: clock::wall_micros(), ..Mark::default() };
        event.record(&mut mark);
        self.0.0.lock().unwrap().push(mark);
    }
}

impl Visit for Mark {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "moves" => self.moves = value,
            "duration_ms" => self.duration_ms = value,
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write;
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?} "),
            name => write!(self.text, "{name}={value:?} "),
        };
    }
}
