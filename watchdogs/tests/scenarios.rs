//! Named stories that drive the real decision core of one watchdog through a scripted world.
//!
//! Each test tells one sentence of the design; times are literal seconds of a virtual clock. The world and its
//! questions are in `scenarios/world.rs`, `scenarios/cast.rs`, `scenarios/database.rs` and
//! `scenarios/story.rs`.
#![expect(clippy::unwrap_used, reason = "a story that cannot be set up has failed")]

mod scenarios {
    mod beginning;
    mod blackout;
    mod caution;
    mod checks;
    mod checks_believed;
    mod checks_judged;
    mod checks_lasting;
    mod checks_outside;
    mod checks_told;
    mod doubt;
    mod handover;
    mod hands;
    mod heartbeats;
    mod homecoming;
    mod incidents;
    mod killed;
    mod kinds;
    mod large;
    mod leading;
    mod lost_tail;
    mod no_verdict;
    mod operators;
    mod opinions;
    mod opinions_disputes;
    mod opinions_heard;
    mod opinions_turns;
    mod page;
    mod refill;
    mod status_table;
    mod subscribers;
    mod votes;

    mod cast;
    mod checks_desk;
    mod dark;
    mod dark_checks;
    mod database;
    mod story;
    mod world;
}
