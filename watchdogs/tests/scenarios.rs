//! Named stories that drive the real decision core of one watchdog through a scripted world.
//!
//! Each test tells one sentence of the design; times are literal seconds of a virtual clock. The world and its
//! questions are in `scenarios/world.rs`, `scenarios/database.rs` and `scenarios/story.rs`.

mod scenarios {
    mod caution;
    mod homecoming;
    mod leading;
    mod page;
    mod status_table;
    mod votes;

    mod database;
    mod story;
    mod world;
}
