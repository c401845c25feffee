//! Channels as the command line tries them: a real process, and vendors on the loopback address.

mod trying;
