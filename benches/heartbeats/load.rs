//! The load: connections that are kept, each sending one signed push after the other.
//!
//! Written out by hand over a plain socket: what a client library costs would be taken from the watchdog, both share the
//! machine.

use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;
use komainu::clock;
use komainu::heartbeat::secret::{HEADER, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::options::Options;
use crate::place::Place;

/// What was measured.
pub(crate) struct Measured {
    /// Of accepted pushes, in microseconds.
    pub(crate) times: Histogram<u64>,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    lasted: Duration,
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        f64::from(u32::try_from(self.accepted).unwrap()) / self.lasted.as_secs_f64()
    }
}

/// Not counted: caches and connections warm up.
const WARM_UP: Duration = Duration::from_secs(2);

pub(crate) async fn run(place: &Place, options: Options) -> Measured {
    let warm_at = clock::now() + WARM_UP;
    let ends_at = warm_at + options.time;
    let mut senders = JoinSet::new();
    for number in 0..options.connections {
        let bots = place.bots.iter().skip(number).step_by(options.connections).cloned().collect::<Vec<_>>();
        let address = place.address;
        senders.spawn(async move {
            let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
            let mut refused = 0;
            let mut sender = Sender::connect(address).await;
            for (name, secret) in bots.iter().cycle() {
                let began_at = clock::now();
                if began_at >= ends_at {
                    break;
                }
                let code = sender.push(name, secret).await;
                let took = clock::now().since(began_at);
                if began_at < warm_at {
                    continue;
                }
                if code == 200 {
                    times.saturating_record(u64::try_from(took.as_micros()).unwrap());
                } else {
                    refused += 1;
                }
            }
            (times, refused)
        });
    }
    let mut measured = Measured {
        times: Histogram::new_with_bounds(1, 60_000_000, 3).unwrap(),
        accepted: 0,
        refused: 0,
        lasted: options.time,
    };
    while let Some(sent) = senders.join_next().await {
        let (times, refused) = sent.unwrap();
        measured.times.add(&times).unwrap();
        measured.refused += refused;
    }
    measured.accepted = measured.times.len();
    measured
}

struct Sender {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Sender {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 4_096] }
    }

    async fn push(&mut self, name: &str, secret: &str) -> u16 {
        let us = clock::wall_micros();
        let body = format!(
            "{{\"time\": {}.{:06}, \"status\": \"ok\", \"message\": \"done\", \"duration_ms\": 1234}}",
            us / 1_000_000,
            us % 1_000_000
        );
        let request = format!(
            "POST /heartbeats/{name} HTTP/1.1\r\nhost: bench\r\n{HEADER}: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            sign(secret, body.as_bytes()),
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.answer().await
    }

    /// The code of an answer, read to the end of its body.
    async fn answer(&mut self) -> u16 {
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[length..]).await.unwrap();
            assert!(read > 0, "the watchdog hung up");
            length += read;
            let text = std::str::from_utf8(&self.buffer[..length]).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let expected = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == expected.unwrap().parse::<usize>().unwrap() {
                return head[9..12].parse().unwrap();
            }
        }
    }
}
