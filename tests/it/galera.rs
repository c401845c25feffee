//! A Galera cluster of three real servers: what was answered is in a row once, and one owner stays one owner.
//!
//! Where Debian's `galera-4`, `haproxy` and `rsync` are not to be had, the tests say so and try nothing.

mod data;
mod story;
mod witnesses;
