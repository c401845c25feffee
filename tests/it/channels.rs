//! Channels as the command line tries them and as watchdogs use them: real processes, vendors on the loopback address.

mod drills;
mod threads;
mod trying;
