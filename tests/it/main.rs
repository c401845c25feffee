//! Everything that needs a real database or real processes, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing element fails the test")]

mod cluster;
mod stories;
