//! Routes that hold at certain hours: what is critical outside of them is told all the same.

use jiff::tz::TimeZone;
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::routing::{Hours, Matcher, Route};

use crate::simulation::prng::Prng;

/// Of every three worlds one has hours, which begin or end while it lasts. Warnings are told at any time.
pub(super) fn draw(route: Route, seed: u64) -> Vec<Route> {
    let mut rng = Prng::new(seed ^ 0x0068_6f75_7273);
    if !rng.per_mille(350) {
        return vec![route];
    }
    // All worlds begin at eight o'clock.
    let turn = 480 + u16::try_from(rng.between(1, 12)).unwrap();
    let (from, until) = if rng.per_mille(500) { (turn, 400) } else { (400, turn) };
    let hours = vec![Hours { days: [true; 7], from, until, zone: TimeZone::UTC }];
    let of = |severity| Matcher { severity: Some(severity), ..Matcher::default() };
    vec![
        Route { matcher: of(Severity::Critical), hours, ..route.clone() },
        Route { matcher: of(Severity::Warning), ..route },
    ]
}
