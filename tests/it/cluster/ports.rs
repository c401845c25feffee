//! Ports for processes that tests start, and start again: nobody else gets them meanwhile.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where the systems' own choices begin (Linux: 32768): a connection that merely goes out never takes a port below.
const CHOSEN_BY_SYSTEM: u16 = 32_768;

/// Above what servers of a machine usually listen on.
const FIRST: u16 = 20_000;

/// How many lie between.
const COUNT: u16 = CHOSEN_BY_SYSTEM - FIRST;

/// How many this process has looked at.
static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on, given once to a run of the tests. It stays free while the process that listened on it is
/// down: a port of the system's own choice would by then be the near end of anybody's connection.
pub(crate) fn free_port() -> u16 {
    // Two runs at once on one machine begin at different places.
    let begin = u16::try_from(u64::from(std::process::id()) * 61 % u64::from(COUNT)).unwrap();
    let mut ports = (0..COUNT).map(|_| {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed) % COUNT;
        FIRST + (begin + step) % COUNT
    });
    ports.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).expect("not every port is taken")
}
