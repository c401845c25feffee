//! A web server that answers byte by byte as its case says, over TLS where it says so.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::write::GzEncoder;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::case::{Answer, Case};
use crate::target::{Log, Served};

/// Where nobody listens.
pub(crate) async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) async fn serve(case: Case, log: Log) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let case = Arc::new(case);
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (case, log) = (Arc::clone(&case), log.clone());
            tokio::spawn(async move {
                match &case.tls {
                    None => exchange(stream, &case, address, &log).await,
                    Some(shown) => {
                        if let Ok(stream) = acceptor(shown).accept(stream).await {
                            let name = stream.get_ref().1.server_name().unwrap_or("nobody").to_owned();
                            log.note(format!("server name: {name}").as_bytes());
                            exchange(stream, &case, address, &log).await;
                        }
                    }
                }
            });
        }
    });
    (address, Some(server.abort_handle()))
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, case: &Case, address: SocketAddr, log: &Log) {
    let Some(request) = read(&mut stream).await else { return };
    log.note(&request);
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default();
    let answer = case.paths.get(path).unwrap_or(&case.answer);
    if answer.silent {
        std::future::pending::<()>().await;
    }
    let _ = stream.write_all(&bytes(answer, &text, address)).await;
    let _ = stream.shutdown().await;
}

/// A request with its body.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut request = vec![];
    let mut wanted = None;
    while wanted.is_none_or(|wanted| request.len() < wanted) {
        let mut chunk = [0; 4_096];
        let length = stream.read(&mut chunk).await.ok().filter(|&length| length > 0)?;
        request.extend(&chunk[..length]);
        let head = request.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4);
        let head = head.map(|head| (head, String::from_utf8_lossy(&request[..head]).to_ascii_lowercase()));
        wanted = head.map(|(head, text)| {
            let said = text.lines().find_map(|line| line.strip_prefix("content-length:").map(str::trim));
            head + said.and_then(|said| said.parse::<usize>().ok()).unwrap_or(0)
        });
    }
    Some(request)
}

fn bytes(answer: &Answer, request: &str, address: SocketAddr) -> Vec<u8> {
    let fill = |text: &str| {
        let text = repeated(text).replace("{target}", &address.to_string());
        text.replace("{port}", &address.port().to_string()).replace("{request}", request)
    };
    if let Some(raw) = &answer.raw {
        return fill(raw).into_bytes();
    }
    if let Some(digits) = &answer.hex {
        return unhex(digits);
    }
    let status = answer.status.unwrap_or(200);
    let usual = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = answer.reason.as_deref().or(usual).unwrap_or_default();
    let body = body(answer, fill);
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    for header in &answer.headers {
        head.push_str(&fill(header));
        head.push_str("\r\n");
    }
    for at in 0..answer.more_headers {
        let _ = write!(head, "X-More-{at}: x\r\n");
    }
    let is_bodiless = matches!(status, 204 | 304) || request.starts_with("HEAD ");
    if !is_bodiless {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    let body = if is_bodiless { vec![] } else { body };
    [format!("{head}Connection: close\r\n\r\n").into_bytes(), body].concat()
}

fn body(answer: &Answer, fill: impl Fn(&str) -> String) -> Vec<u8> {
    if let Some(digits) = &answer.body_hex {
        return unhex(digits);
    }
    let member = |text: &String| {
        let mut packing = GzEncoder::new(vec![], Compression::default());
        packing.write_all(text.as_bytes()).unwrap();
        packing.finish().unwrap()
    };
    if !answer.gzip.is_empty() {
        return answer.gzip.iter().flat_map(member).collect();
    }
    fill(answer.body.as_deref().unwrap_or_default()).into_bytes()
}

/// `{1000*x}` is a thousand letters.
fn repeated(text: &str) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let told = part.split_once('}').and_then(|(told, rest)| Some((told.split_once('*')?, rest)));
        match told.and_then(|((times, what), rest)| Some((times.parse::<usize>().ok()?, what, rest))) {
            Some((times, what, rest)) => filled.extend([&what.repeat(times), rest]),
            None => filled.extend(["{", part]),
        }
    }
    filled
}

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits.split_whitespace().collect::<String>()).unwrap()
}

/// Who vouches for the certificates that are to be trusted, and a certificate that vouches for itself.
struct Issuers {
    authority: CertifiedIssuer<'static, KeyPair>,
    root: CertifiedIssuer<'static, KeyPair>,
    authority_pem: String,
    root_pem: String,
}

fn issuers() -> &'static Issuers {
    static ISSUERS: OnceLock<Issuers> = OnceLock::new();
    ISSUERS.get_or_init(|| {
        let made = |names: &[&str], called: &str| {
            let mut params = params(names, called);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        let (authority, root) = (made(&[], "Authority"), made(&["localhost"], "localhost"));
        Issuers { authority_pem: authority.pem(), root_pem: root.pem(), authority, root }
    })
}

/// What a monitor trusts.
pub(crate) fn authority() -> &'static str {
    &issuers().authority_pem
}

/// A certificate that may sign others, and is shown itself.
pub(crate) fn root() -> &'static str {
    &issuers().root_pem
}

fn params(names: &[&str], called: &str) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, called);
    params
}

/// By what a case calls the certificate.
fn acceptor(shown: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut params = match shown {
        "another name" => params(&["other.example"], "other.example"),
        "a common name alone" => params(&[], "localhost"),
        "an address" => params(&["127.0.0.1"], "host"),
        "shop.example" => params(&["shop.example"], "shop.example"),
        "a wildcard" => params(&["*.shop.example"], "shop.example"),
        _ => params(&["localhost"], "localhost"),
    };
    match shown {
        "expired" => params.not_after = rcgen::date_time_ymd(2020, 1, 1),
        "of the future" => params.not_before = rcgen::date_time_ymd(2090, 1, 1),
        _ => {}
    }
    let issuers = issuers();
    let (chain, key) = match shown {
        "its own" => (params.self_signed(&key).unwrap().der().clone(), key.serialize_der()),
        "a root" => (issuers.root.der().clone(), issuers.root.key().serialize_der()),
        _ => (params.signed_by(&key, &issuers.authority).unwrap().der().clone(), key.serialize_der()),
    };
    let versions: &[_] = if shown == "by TLS 1.2" { &[&rustls::version::TLS12] } else { rustls::ALL_VERSIONS };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![chain], PrivateKeyDer::Pkcs8(key.into())).unwrap();
    TlsAcceptor::from(Arc::new(config))
}
