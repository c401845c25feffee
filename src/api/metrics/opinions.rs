//! Second opinions in `/metrics`: on how many monitors, how many wait, and whether watchdogs look at those that are up in time.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::StateLabel;
use crate::api::Context;
use crate::store::opinions;

pub(super) async fn register(registry: &mut Registry, context: &Context) {
    let sampling = *context.state.sampling.borrow();
    let monitors = Family::<StateLabel, Gauge>::default();
    for (state, count) in [("looked_at", sampling.wished), ("left_out", sampling.left_out)] {
        monitors.get_or_create(&StateLabel { state }).set(i64::from(count));
    }
    registry.register("second_opinion_monitors", "Monitors on which somebody wants a second opinion", monitors);
    let late = Gauge::<i64>::default();
    late.set(sampling.late.map_or(0, |late| i64::try_from(late.as_secs()).unwrap_or(i64::MAX)));
    let words = "How long it takes to look once at each monitor that is up, where that is longer than it should be; 0: it is not";
    registry.register("second_opinion_round_late_seconds", words, late);
    // What cannot be counted has no sample.
    if let Ok(waiting) = opinions::waiting(&context.reads).await {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        registry.register("second_opinions_waiting", "Monitors that are told once the watchdogs have looked", gauge);
    }
}
