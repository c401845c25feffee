//! Checks in `/metrics`: how they are, what each is, and what this watchdog's own looks cost it.

use komainu_watchdogs::check::State;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::StateLabel;
use crate::api::Context;

const STATES: [State; 4] = [State::Up, State::Down, State::Partial, State::Unknown];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CheckLabel {
    check: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct LookLabel {
    looks: &'static str,
}

pub(super) fn register(registry: &mut Registry, context: &Context) {
    let looks = &context.state.looks;
    let counts = Family::<StateLabel, Gauge>::default();
    let (states, paused) = looks.counts();
    for state in STATES {
        let count = states.get(&state).copied().unwrap_or(0);
        counts.get_or_create(&StateLabel { state: state.as_str() }).set(i64::from(count));
    }
    counts.get_or_create(&StateLabel { state: "paused" }).set(i64::from(paused));
    registry.register("checks", "Checks by state", counts);
    let up = Family::<CheckLabel, Gauge>::default();
    for (name, state) in looks.states() {
        // What nobody can judge has no sample.
        let value = match state {
            State::Up | State::Partial => 1,
            State::Down => 0,
            State::Unknown => continue,
        };
        up.get_or_create(&CheckLabel { check: name }).set(value);
    }
    registry.register("check_up", "1: the check is up, or fails for a minority only; 0: it is down", up);
    let (running, waiting) = looks.load();
    let load = Family::<LookLabel, Gauge>::default();
    for (name, count) in [("running", running), ("waiting", waiting)] {
        load.get_or_create(&LookLabel { looks: name }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("looks", "Looks of this watchdog that run, and that wait for their turn", load);
}
