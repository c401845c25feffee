//! Second opinions in `/metrics`: on how many monitors, how many wait, and whether watchdogs look at those that are up in time.

use std::sync::atomic::AtomicU64;

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
    let lateness = Gauge::<f64, AtomicU64>::default();
    lateness.set(sampling.lateness.as_secs_f64());
    let words = "How long ago it was the turn of those monitors that are up and that this watchdog looks at next";
    registry.register("second_opinion_sampling_lateness_seconds", words, lateness);
    let broken = Gauge::<f64, AtomicU64>::default();
    broken.set(sampling.broken_by.map_or(0.0, |late| late.as_secs_f64()));
    let words =
        "How much longer than sample_each it takes until each monitor that is up is looked at once; 0: no longer";
    registry.register("second_opinion_sampling_broken_by_seconds", words, broken);
    // What cannot be counted has no sample.
    if let Ok(waiting) = opinions::waiting(&context.reads).await {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        registry.register("second_opinions_waiting", "Monitors that are told once the watchdogs have looked", gauge);
    }
}
