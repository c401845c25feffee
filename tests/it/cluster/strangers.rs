//! Strangers who hold connections and finish nothing, and callers beside them who wait for answers.
//!
//! Half of the strangers never finish a TLS handshake: they say nothing, or half a greeting. The others finish it and then say nothing, or
//! half a request. Whoever is sent away comes again.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use komainu::clock;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::Cluster;
use super::bot::Bot;

/// The first bytes of a greeting that says that more will come.
const HALF_A_GREETING: [u8; 9] = [22, 3, 1, 2, 0, 1, 0, 1, 252];

/// All of them come within this time.
const ARRIVAL: Duration = Duration::from_secs(2);

/// Between two calls of a caller.
const CALL: Duration = Duration::from_millis(100);

/// Where they come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Where everybody else comes from.
    OneAddress,
    /// 50 addresses of loopback.
    ManyAddresses,
}

impl Origin {
    fn address(self, number: usize) -> Option<IpAddr> {
        let last = u8::try_from(number % 50 + 2).unwrap();
        (self == Self::ManyAddresses).then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
    }
}

/// Where they go.
pub(crate) struct Doors {
    /// Of the watchdogs.
    pub(crate) ports: Vec<u16>,
    /// The certificate of who signed theirs.
    pub(crate) authority: PathBuf,
}

impl Doors {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self { ports: cluster.watchdog_ports().collect(), authority: cluster.folder().join("ca.crt") }
    }
}

/// A crowd; gone when dropped.
pub(crate) struct Strangers {
    _all: JoinSet<()>,
    opened: Arc<AtomicU64>,
}

impl Strangers {
    /// So many at each door; whoever is sent away comes back after `pause`.
    pub(crate) fn come(doors: &Doors, (many, origin): (usize, Origin), pause: Duration) -> Self {
        let (opened, config) = (Arc::new(AtomicU64::new(0)), trusting(&doors.authority));
        let mut all = JoinSet::new();
        for &port in &doors.ports {
            for number in 0..many {
                let (opened, config) = (Arc::clone(&opened), Arc::clone(&config));
                let late = ARRIVAL * u32::try_from(number).unwrap() / u32::try_from(many).unwrap();
                all.spawn(async move {
                    tokio::time::sleep(late).await;
                    loop {
                        opened.fetch_add(1, Ordering::Relaxed);
                        let _ = visit(port, (number, origin), &config).await;
                        tokio::time::sleep(pause).await;
                    }
                });
            }
        }
        Self { _all: all, opened }
    }

    /// Connections that were begun so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

/// Trusts whom the cluster's certificates are signed by.
fn trusting(authority: &Path) -> Arc<ClientConfig> {
    let pem = std::fs::read(authority).unwrap();
    let mut roots = RootCertStore::empty();
    let authority = <CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(&pem);
    roots.add(authority.unwrap()).unwrap();
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// One connection, held until the other side has enough of it.
async fn visit(port: u16, (number, origin): (usize, Origin), config: &Arc<ClientConfig>) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if let Some(address) = origin.address(number) {
        socket.bind(SocketAddr::new(address, 0))?;
    }
    let mut stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    match number % 4 {
        0 => wait_for_the_end(&mut stream).await,
        1 => {
            stream.write_all(&HALF_A_GREETING).await?;
            wait_for_the_end(&mut stream).await
        }
        kind => {
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
            if kind == 2 {
                stream.write_all(b"GET /status HTTP/1.1\r\nhost: w").await?;
            }
            wait_for_the_end(&mut stream).await
        }
    }
}

async fn wait_for_the_end(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<()> {
    let mut buffer = [0; 256];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// What callers heard.
#[derive(Default, Debug)]
pub(crate) struct Heard {
    /// How long each answer took, sorted.
    pub(crate) times: Vec<Duration>,
    /// Calls that got none.
    pub(crate) unanswered: usize,
    /// Answers that were no 2xx.
    pub(crate) refused: usize,
}

impl Heard {
    fn add(&mut self, code: Option<u16>, took: Duration) {
        match code {
            Some(code) => {
                self.times.push(took);
                self.refused += usize::from(!(200..300).contains(&code));
            }
            None => self.unanswered += 1,
        }
    }

    /// So many of a hundred were faster than this.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let place = (self.times.len() * percent).div_ceil(100).max(1) - 1;
        self.times.get(place).copied().unwrap_or(Duration::MAX)
    }
}

/// Callers who ask each watchdog for its status, and push heartbeats to it, each time by a new connection.
pub(crate) struct Callers {
    asking: JoinSet<Heard>,
    pushing: JoinSet<Heard>,
    stop: tokio_util::sync::CancellationToken,
}

impl Callers {
    /// Two at each of these watchdogs, until [`Self::end`]; they push heartbeats whose names begin so.
    pub(crate) async fn begin(cluster: &Cluster, watchdogs: &[&str], name: &str) -> Self {
        let stop = tokio_util::sync::CancellationToken::new();
        let (mut asking, mut pushing) = (JoinSet::new(), JoinSet::new());
        for watchdog in watchdogs {
            let bot = Bot::make(cluster, &format!("{name}-{watchdog}"), 3_600).await.without_keeping();
            let (base, asked) = (cluster.url_of(watchdog, ""), bot.clone());
            let url = cluster.url_of(watchdog, "/status");
            asking.spawn(calls(stop.clone(), async move || asked.ask(&url).await));
            pushing.spawn(calls(stop.clone(), async move || bot.push(&base, Cluster::now_us()).await));
        }
        Self { asking, pushing, stop }
    }

    /// What they heard: of the status, and of pushes.
    pub(crate) async fn end(self) -> (Heard, Heard) {
        self.stop.cancel();
        (all(self.asking).await, all(self.pushing).await)
    }
}

async fn calls(stop: tokio_util::sync::CancellationToken, call: impl AsyncFn() -> Option<u16>) -> Heard {
    let mut heard = Heard::default();
    while !stop.is_cancelled() {
        let began_at = clock::now();
        let code = call().await;
        heard.add(code, clock::now().since(began_at));
        tokio::time::sleep(CALL).await;
    }
    heard
}

async fn all(callers: JoinSet<Heard>) -> Heard {
    let mut together = Heard::default();
    for heard in callers.join_all().await {
        together.times.extend(heard.times);
        together.unanswered += heard.unanswered;
        together.refused += heard.refused;
    }
    together.times.sort_unstable();
    together
}
