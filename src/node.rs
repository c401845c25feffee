//! The native node.
pub mod beat;
pub mod run;
pub mod schedule;
pub mod spec;
