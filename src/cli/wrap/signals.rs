//! The signals that would end this program, taken so that they can be passed on to the command.
//!
//! A signal that is ignored (`nohup`, a background job of a shell) is left so: taking it would give the command back its
//! deadly default.

use std::fs::File;
use std::future::poll_fn;
use std::task::Poll;

use rustix::process::{Signal, getpgrp};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What ends a program by default and is sent to programs by people and supervisors.
const TAKEN: [Signal; 6] = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// Those that arrive.
pub(super) struct Signals {
    streams: Vec<(Signal, Stream)>,
}

impl Signals {
    pub(super) fn listen() -> Self {
        let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let taken = TAKEN.into_iter().filter(|signal| ignored >> (signal.as_raw() - 1) & 1 == 0);
        let stream = |kind: Signal| signal(SignalKind::from_raw(kind.as_raw())).ok().map(|stream| (kind, stream));
        Self { streams: taken.filter_map(stream).collect() }
    }

    /// The next one; never, when all are ignored.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let arrived = |(signal, stream): &mut (Signal, Stream)| match stream.poll_recv(context) {
                Poll::Ready(Some(())) => Some(*signal),
                Poll::Ready(None) | Poll::Pending => None,
            };
            self.streams.iter_mut().find_map(arrived).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Ctrl-C and Ctrl-\ reach every process of the terminal's foreground group, the command too; a second one means
/// something else to many programs.
pub(super) fn comes_from_the_terminal(signal: Signal) -> bool {
    let is_a_key = signal == Signal::INT || signal == Signal::QUIT;
    is_a_key && File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
}

/// The mask of ignored signals, as Linux tells it.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_is_ignored() {
        assert_eq!(ignored("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored("no such line"), 0);
    }
}
