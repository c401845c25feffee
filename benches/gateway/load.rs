//! One round of load, by wrk, and what it took.

use std::process::Command;

use crate::servers::Server;

/// As many as a browser or two open.
const CONNECTIONS: &str = "-c32";

/// What one round showed.
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    /// Of the one process that serves, for one request.
    pub(crate) cpu_us: f64,
}

/// Loads it for so many seconds.
pub(crate) fn run(server: &Server, seconds: u32) -> Measured {
    let before = server.cpu_us();
    let output = Command::new("wrk")
        .args(["-t1", CONNECTIONS, &format!("-d{seconds}s"), &server.url("/")])
        .output()
        .expect("wrk is installed (Debian: wrk)");
    let spent = server.cpu_us() - before;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("Non-2xx"), "not every answer was good: {said}");
    let per_second = number_after(&said, "Requests/sec:");
    let requests: f64 =
        said.lines().find_map(|line| line.split_once(" requests in ")).unwrap().0.trim().parse().unwrap();
    Measured { per_second, cpu_us: spent / requests }
}

fn number_after(text: &str, label: &str) -> f64 {
    text.split_once(label).unwrap().1.split_whitespace().next().unwrap().parse().unwrap()
}
