//! Monitors of type `ping`: up when one ICMP echo of several is answered.
//!
//! Uses an unprivileged ICMP socket where the system allows it (`net.ipv4.ping_group_range`), else a raw one. Where
//! neither is permitted the run says so, and nothing of the target.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use komainu_watchdogs::check::{Failure as Cause, Trouble};
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, Pinger, SurgeError};

use super::failure::Failure;
use super::names::Names;
use super::phases::{self, Phase};
use super::{RunResult, resolve, whole_millis};
use crate::clock;
use crate::run::spec;
use crate::store::monitors::MonitorSpec;

/// ping(8) sends one a second.
const BETWEEN_ECHOES: Duration = Duration::from_secs(1);

/// Kuma's bounds of the three columns.
const PACKET_SIZE_MOST: usize = 65_500;
const COUNT_MOST: u32 = 100;
const ECHO_TIMEOUT_MOST_S: u32 = 60;

/// The ICMP sockets of this process, opened when the first run wants them.
#[derive(Default)]
pub(super) struct Sockets {
    v4: Mutex<Option<Client>>,
    v6: Mutex<Option<Client>>,
    /// On an unprivileged socket nothing but the address and the sequence number tells replies apart, so no two
    /// echoes under way share one.
    sequence: AtomicU16,
    /// A single echo that is not answered is sent once more, as TCP would.
    sends_again: bool,
}

impl Sockets {
    /// Of a watchdog, whose network may lose a packet: a look that lasts for long is to have asked twice.
    pub(super) fn of_watchdog() -> Self {
        Self { sends_again: true, ..Self::default() }
    }

    async fn pinger(&self, address: IpAddr) -> Result<Pinger, Failure> {
        let client = self.client(address).map_err(|error| {
            Failure::lacking(
                Trouble::Permission,
                format!(
                    "this node may not send pings ({error}): give it CAP_NET_RAW, or its group a place in \
                 net.ipv4.ping_group_range"
                ),
            )
        })?;
        Ok(client.pinger(address, PingIdentifier(rand::random())).await)
    }

    fn client(&self, address: IpAddr) -> std::io::Result<Client> {
        let (slot, kind) = if address.is_ipv4() { (&self.v4, ICMP::V4) } else { (&self.v6, ICMP::V6) };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let client = Client::new(&Config::builder().kind(kind).build())?;
        *slot = Some(client.clone());
        Ok(client)
    }

    fn next_sequence(&self) -> PingSequence {
        PingSequence(self.sequence.fetch_add(1, Ordering::Relaxed))
    }
}

/// Sends echoes until all are answered or lost, or the monitor's timeout is over.
pub(super) async fn run((sockets, names): (&Sockets, &Names), monitor: &MonitorSpec) -> Result<RunResult, Failure> {
    let host = spec::text(monitor.hostname.as_ref()).ok_or_else(|| Failure::target("no hostname is configured"))?;
    let limit = spec::timeout(monitor);
    let addresses = match tokio::time::timeout(limit, resolve(names, monitor, host, 0)).await {
        Ok(resolved) => resolved?,
        Err(_) => return Err(Failure::timeout(limit)),
    };
    let address = addresses.iter().map(std::net::SocketAddr::ip).min_by_key(IpAddr::is_ipv6);
    let address = address.ok_or_else(|| Failure::target(format!("{host} has no address")))?;
    echo(sockets, monitor, host, address).await
}

async fn echo(sockets: &Sockets, monitor: &MonitorSpec, host: &str, address: IpAddr) -> Result<RunResult, Failure> {
    let echo_timeout = Duration::from_secs(u64::from(monitor.ping_per_request_timeout.clamp(1, ECHO_TIMEOUT_MOST_S)));
    let count = monitor.ping_count.clamp(1, COUNT_MOST);
    let payload = vec![0; usize::try_from(monitor.packet_size).unwrap_or(0).clamp(1, PACKET_SIZE_MOST)];
    let deadline = clock::now() + spec::timeout(monitor);

    phases::enter(Phase::FirstByte);
    phases::ask(address);
    let echo_timeout = echo_timeout.min(spec::timeout(monitor));
    let mut pinger = sockets.pinger(address).await?;
    pinger.timeout(echo_timeout);
    if count == 1 && sockets.sends_again && echo_timeout > BETWEEN_ECHOES {
        let mut again = sockets.pinger(address).await?;
        again.timeout(echo_timeout.saturating_sub(BETWEEN_ECHOES));
        let answered = one_or_another(sockets, (&mut pinger, &mut again), &payload).await;
        return match answered {
            Ok(took) => Ok(up(took)),
            Err(loss) => Err(lost(host, address, 2, Some(loss))),
        };
    }
    // As Kuma, the time is that of the first answer.
    let mut first_answer = None;
    let mut last_loss = None;
    let mut sent = 0;
    while sent < count && (sent == 0 || clock::now() < deadline) {
        let next_at = clock::now() + BETWEEN_ECHOES;
        sent += 1;
        match one_echo(sockets, &mut pinger, &payload).await {
            Ok(took) => first_answer = first_answer.or(Some(took)),
            Err(loss) => last_loss = Some(loss),
        }
        if sent < count {
            clock::sleep_until(next_at.min(deadline)).await;
        }
    }
    match first_answer {
        Some(took) => Ok(up(took)),
        None => Err(lost(host, address, sent, last_loss)),
    }
}

fn up(took: Duration) -> RunResult {
    RunResult::up("", whole_millis(took + Duration::from_micros(500)))
}

/// One echo, and another one a second later if there is no word of the first; the answer to either will do.
async fn one_or_another(
    sockets: &Sockets,
    (pinger, again): (&mut Pinger, &mut Pinger),
    payload: &[u8],
) -> Result<Duration, Loss> {
    let another = async {
        clock::sleep_until(clock::now() + BETWEEN_ECHOES).await;
        one_echo(sockets, again, payload).await
    };
    tokio::select! {
        seen = one_echo(sockets, pinger, payload) => seen,
        Ok(took) = another => Ok(took),
    }
}

/// What became of an echo that was not answered.
enum Loss {
    Refused(String),
    Failed(SurgeError),
}

/// Whatever refers to an echo comes like its answer, also a router's word that it cannot be delivered.
async fn one_echo(sockets: &Sockets, pinger: &mut Pinger, payload: &[u8]) -> Result<Duration, Loss> {
    let mut hint = String::new();
    for _ in 0..2 {
        let (packet, took) = pinger.ping(sockets.next_sequence(), payload).await.map_err(Loss::Failed)?;
        let (source, kind) = source_and_kind(&packet);
        match kind {
            Kind::Answer => return Ok(took),
            Kind::Refusal(words) => return Err(Loss::Refused(format!("From {source} {words}"))),
            // A redirect: the answer was on its way all the same.
            Kind::Hint => hint = format!("From {source} neither an answer nor a refusal"),
        }
    }
    Err(Loss::Refused(hint))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Answer,
    Refusal(&'static str),
    Hint,
}

/// Message types of RFC 792 and RFC 4443.
fn source_and_kind(packet: &IcmpPacket) -> (IpAddr, Kind) {
    match packet {
        IcmpPacket::V4(packet) => {
            let kind = match packet.get_icmp_type().0 {
                0 => Kind::Answer,
                3 => Kind::Refusal("Destination Unreachable"),
                11 => Kind::Refusal("Time to live exceeded"),
                12 => Kind::Refusal("Parameter problem"),
                _ => Kind::Hint,
            };
            (packet.get_source().into(), kind)
        }
        IcmpPacket::V6(packet) => {
            let kind = match packet.get_icmpv6_type().0 {
                129 => Kind::Answer,
                1 => Kind::Refusal("Destination unreachable"),
                2 => Kind::Refusal("Packet too big"),
                3 => Kind::Refusal("Time exceeded"),
                4 => Kind::Refusal("Parameter problem"),
                _ => Kind::Hint,
            };
            (packet.get_source().into(), kind)
        }
    }
}

fn lost(host: &str, address: IpAddr, sent: u32, loss: Option<Loss>) -> Failure {
    let nothing = format!("PING {host} ({address}): {sent} sent, 0 received, 100% packet loss");
    match loss {
        Some(Loss::Failed(SurgeError::IOError(error))) => Failure::connect(&address.to_string(), &error),
        Some(Loss::Refused(refusal)) => Failure::found(Cause::Unreachable, format!("{nothing} ({refusal})")),
        Some(Loss::Failed(_)) | None => Failure::found(Cause::AnswerTimeout, nothing),
    }
}
