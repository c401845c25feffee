use axum::routing;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;
use crate::tls::TlsFiles;
use crate::tls::tests::Office;

/// A surface with so many places, `/held` of which answers when it is told to.
struct Stage {
    address: SocketAddr,
    release: Arc<Notify>,
    stopping: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

fn stage(places: Places) -> Stage {
    staged(Entrance { places, credentials: Credentials::none(), proxies: Proxies::default() })
}

fn staged(entrance: Entrance) -> Stage {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (release, stopping) = (Arc::new(Notify::new()), CancellationToken::new());
    let held = Arc::clone(&release);
    let routes = Router::new().route("/", routing::get(async || "well")).route(
        "/held",
        routing::get(move || {
            let held = Arc::clone(&held);
            async move {
                held.notified().await;
                "at last"
            }
        }),
    );
    let routes = routes
        .route(
            "/peers",
            routing::get(
                async |uncertified: Option<axum::Extension<Uncertified>>| {
                    if uncertified.is_some() { "uncertified" } else { "certified" }
                },
            ),
        )
        .route("/whose", routing::get(async |ConnectInfo(whose): ConnectInfo<SocketAddr>| whose.ip().to_string()));
    let server = tokio::spawn(serve(listener, routes, entrance, stopping.clone()));
    Stage { address, release, stopping, server }
}

impl Stage {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, path: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }
}

async fn line(stream: &mut TcpStream) -> String {
    let mut text = vec![0; 15];
    stream.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn strangers_with_half_a_line_keep_nobody_out_who_sends_a_whole_one() {
    let stage = stage(Places { most: 20, most_of_one: 20 });
    let mut strangers = vec![];
    for _ in 0..200 {
        let mut stranger = stage.connect().await;
        stranger.write_all(b"GET / HT").await.unwrap();
        strangers.push(stranger);
    }
    let mut waiting = stage.ask("/held").await;
    for _ in 0..200 {
        strangers.push(stage.connect().await);
        assert_eq!(line(&mut stage.ask("/").await).await, "HTTP/1.1 200 OK");
    }
    stage.release.notify_one();
    assert_eq!(line(&mut waiting).await, "HTTP/1.1 200 OK", "whoever waits for an answer stays");
    let mut rest = vec![];
    let ended = strangers[0].read_to_end(&mut rest).await;
    assert!(ended.is_err() || rest.is_empty(), "the first ones had to go");
}

/// Sockets of this port that a process has taken; the kernel gives those an inode that nobody took yet, or that are closed, as 0.
fn taken(port: u16) -> usize {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let is_taken = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[1].ends_with(&local) && fields[3] != LISTENING && fields[9] != "0"
    };
    sockets.lines().skip(1).filter(is_taken).count()
}

const LISTENING: &str = "0A";

#[tokio::test]
async fn who_has_to_go_holds_a_descriptor_too_and_all_together_hold_no_more_than_a_few_above_the_places() {
    let stage = stage(Places { most: 20, most_of_one: 20 });
    let (port, counted) = (stage.address.port(), CancellationToken::new());
    let counting = {
        let counted = counted.clone();
        std::thread::spawn(move || {
            let mut peak = 0;
            // Once more when it is over, since they are all there still: a busy machine may have let this thread count nothing.
            loop {
                let is_over = counted.is_cancelled();
                peak = peak.max(taken(port));
                if is_over {
                    return peak;
                }
            }
        })
    };
    // They are all there before the server takes the first: none of its tasks runs until this one waits.
    let strangers: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(stage.address).unwrap()).collect();
    assert_eq!(line(&mut stage.ask("/").await).await, "HTTP/1.1 200 OK", "whoever speaks is answered");
    counted.cancel();
    let peak = counting.join().unwrap();
    assert!((1..=20 + LEAVING).contains(&peak), "{peak}");
    drop(strangers);
}

#[tokio::test]
async fn what_is_in_flight_is_answered_when_the_process_stops() {
    let stage = stage(Places { most: 20, most_of_one: 20 });
    let mut waiting = stage.ask("/held").await;
    let mut idle = stage.ask("/").await;
    assert_eq!(line(&mut idle).await, "HTTP/1.1 200 OK");
    stage.stopping.cancel();
    // It is answered only after the stop: the first try to connect that fails shows that.
    while TcpStream::connect(stage.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stage.release.notify_one();
    assert_eq!(line(&mut waiting).await, "HTTP/1.1 200 OK");
    stage.server.await.unwrap();
}

/// With a certificate of this office, and with proxies on this host.
fn tls_stage(office: &Office, proxies: Proxies) -> (Stage, Arc<Credentials>) {
    let credentials = office.credentials();
    let places = Places { most: 20, most_of_one: 20 };
    let stage = staged(Entrance { places, credentials: Arc::clone(&credentials), proxies });
    (stage, credentials)
}

/// A client of its own for each request: each has a handshake of its own.
async fn get(config: rustls::ClientConfig, address: SocketAddr, path: &str) -> Result<String, reqwest::Error> {
    let client = reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build()?;
    client.get(format!("https://localhost:{}{path}", address.port())).send().await?.text().await
}

/// That shows nothing and speaks these versions.
fn stranger(office: &Office, versions: &[&'static rustls::SupportedProtocolVersion]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(office.ca()).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn clients_of_tls_1_2_and_1_3_are_answered_and_plain_ones_are_not() {
    let office = Office::open();
    let (stage, _) = tls_stage(&office, Proxies::default());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        assert_eq!(get(stranger(&office, &[version]), stage.address, "/").await.unwrap(), "well");
    }
    let mut plain = stage.ask("/").await;
    let mut answer = vec![];
    plain.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn new_certificates_are_shown_without_a_refused_connection() {
    let office = Office::open();
    let (stage, credentials) = tls_stage(&office, Proxies::default());
    // It has connected before the files change, and shakes hands afterwards.
    let half = stage.connect().await;
    for number in 2..12 {
        let asking = (0..8).map(|_| get(credentials.client(), stage.address, "/"));
        let changing = async {
            office.issue("w1", number);
            credentials.look();
        };
        let (answers, ()) = tokio::join!(futures_util::future::join_all(asking), changing);
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|text| text == "well")), "{answers:?}");
    }
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let late = tokio_rustls::TlsConnector::from(Arc::new(credentials.client())).connect(name, half).await;
    assert!(late.is_ok(), "{late:?}");
}

#[tokio::test]
async fn half_handshakes_keep_nobody_out_who_brings_his_to_an_end() {
    let office = Office::open();
    let (stage, credentials) = tls_stage(&office, Proxies::default());
    let mut strangers = vec![];
    for _ in 0..200 {
        let mut stranger = stage.connect().await;
        // The beginning of a record of a handshake, and no more of it.
        stranger.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
        strangers.push(stranger);
    }
    assert_eq!(get(credentials.client(), stage.address, "/").await.unwrap(), "well");
    let mut rest = vec![];
    let ended = strangers[0].read_to_end(&mut rest).await;
    assert!(ended.is_err() || rest.is_empty(), "the first ones had to go");
}

#[tokio::test]
async fn a_handshake_that_never_ends_gives_its_place_back() {
    let office = Office::open();
    let (stage, _) = tls_stage(&office, Proxies::default());
    let begun_at = clock::now();
    let mut stranger = stage.connect().await;
    stranger.write_all(&[0x16]).await.unwrap();
    let mut rest = vec![];
    stranger.read_to_end(&mut rest).await.unwrap();
    assert!(clock::now().since(begun_at) >= crowd::FIRST_HEAD && rest.is_empty());
}

#[tokio::test]
async fn whoever_shows_a_certificate_of_the_client_ca_is_told_from_others() {
    let office = Office::open();
    let (stage, credentials) = tls_stage(&office, Proxies::default());
    assert_eq!(get(credentials.client(), stage.address, "/peers").await.unwrap(), "certified");
    let nobody = stranger(&office, rustls::ALL_VERSIONS);
    assert_eq!(get(nobody, stage.address, "/peers").await.unwrap(), "uncertified");
    let elsewhere = Office::open();
    let other =
        Credentials::open(TlsFiles { own: Some(elsewhere.issue("w9", 1)), ca: Some(office.ca()), client_ca: None });
    assert!(
        get(other.unwrap().client(), stage.address, "/peers").await.is_err(),
        "one of another CA is refused at once"
    );
    let distrustful = get(crate::probe::tls(), stage.address, "/").await.unwrap_err();
    assert!(crate::tls::misgiving(&distrustful).unwrap().contains("UnknownIssuer"), "{distrustful:?}");
}

#[tokio::test]
async fn whom_a_proxy_on_this_host_speaks_for_is_known_with_and_without_tls() {
    let office = Office::open();
    let here = Proxies { trusted: vec!["127.0.0.0/8".parse().unwrap()], ..Proxies::default() };
    let places = Places { most: 20, most_of_one: 20 };
    let stage = staged(Entrance { places, credentials: Credentials::none(), proxies: here.clone() });
    let mut stream = stage.connect().await;
    let head = "GET /whose HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 1.1.1.1, 203.0.113.9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(end(&mut stream).await.ends_with("203.0.113.9"));

    let announcing = Proxies { announce: true, ..here };
    let (stage, credentials) = tls_stage(&office, announcing);
    let mut stream = stage.connect().await;
    stream.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 8900\r\n").await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(credentials.client()));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(b"GET /whose HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(end(&mut stream).await.ends_with("203.0.113.7"));
    let mut silent = stage.ask("/whose").await;
    assert_eq!(end(&mut silent).await, "", "who must announce and does not is not answered");
}

async fn end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    drop(stream.read_to_string(&mut text).await);
    text
}
