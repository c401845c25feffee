//! A target behind TLS with an authority of its own, which may ask for a client's certificate. Its own can be renewed while it serves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The server; ends with the test's runtime.
pub(crate) struct TlsTarget {
    port: u16,
    name: &'static str,
    authority: CertifiedIssuer<'static, KeyPair>,
    shown: Arc<SwappableCertificate>,
}

/// What a client needs, PEM.
pub(crate) struct Pass {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl TlsTarget {
    /// Listens on a free loopback port as `localhost`, and lets in whoever has a [`Pass`]; its certificate is valid for so many days.
    pub(crate) async fn start(days: i64) -> Self {
        let authority = authority();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(tcp, authority, "localhost", (days, clients))
    }

    /// Lets everybody in who comes to this socket, and shows a certificate for this name.
    pub(crate) fn start_for_all(tcp: TcpListener, name: &'static str) -> Self {
        Self::serve(tcp, authority(), name, (30, WebPkiClientVerifier::no_client_auth()))
    }

    fn serve(
        tcp: TcpListener,
        authority: CertifiedIssuer<'static, KeyPair>,
        name: &'static str,
        (days, clients): (i64, Arc<dyn ClientCertVerifier>),
    ) -> Self {
        let shown = Arc::new(SwappableCertificate(Mutex::new(server_key(&authority, name, days))));
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::<SwappableCertificate>::clone(&shown));
        let port = tcp.local_addr().unwrap().port();
        let listener = Listener { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
        let app = Router::new().route("/", get(|| async { "all is well" }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, name, authority, shown }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}:{}/", self.name, self.port)
    }

    /// From now on it shows another certificate.
    pub(crate) fn renew(&self, days: i64) {
        *self.shown.0.lock().unwrap() = server_key(&self.authority, self.name, days);
    }

    /// Who signed what it shows, PEM.
    pub(crate) fn authority(&self) -> String {
        self.authority.pem()
    }

    /// For a client that it lets in.
    pub(crate) fn pass(&self) -> Pass {
        let mut params = CertificateParams::new([]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap().pem();
        Pass { authority: self.authority.pem(), certificate, key: key.serialize_pem() }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server_key(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, days: i64) -> Arc<CertifiedKey> {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    let end = Timestamp::now().to_zoned(TimeZone::UTC).checked_add(days.days()).unwrap().date();
    let part = |part: i8| u8::try_from(part).unwrap();
    params.not_after = rcgen::date_time_ymd(i32::from(end.year()), part(end.month()), part(end.day()));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap().der().clone();
    let key = ring::sign::any_supported_type(&PrivateKeyDer::Pkcs8(key.serialize_der().into())).unwrap();
    Arc::new(CertifiedKey::new(vec![certificate], key))
}

#[derive(Debug)]
struct SwappableCertificate(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for SwappableCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }
}

struct Listener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
