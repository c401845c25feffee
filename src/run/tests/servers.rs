//! Servers on the loopback that runs are made against.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;

/// A server that answers once with these bytes, and what it was asked.
pub(super) async fn one_answer(answer: &'static [u8]) -> (SocketAddr, tokio::sync::oneshot::Receiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, telling) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4_096];
        let read = stream.read(&mut asked).await.unwrap();
        asked.truncate(read);
        stream.write_all(answer).await.unwrap();
        let _ = told.send(String::from_utf8(asked).unwrap());
    });
    (address, telling)
}

pub(super) async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes()).await });
    address
}

fn routes() -> Router {
    Router::new()
        .route("/ok", get(|| async { "fine" }))
        .route("/missing", get(|| async { StatusCode::NOT_FOUND }))
        .route("/json", get(|| async { r#"{"jobs": [{"state": "done"}, {"state": "stuck"}]}"# }))
        .route("/slow", get(std::future::pending::<()>))
        .route("/redirect/{left}", get(redirect))
        .route(
            "/cookie/set",
            get(|| async { ([(header::SET_COOKIE, "seen=1; Path=/")], Redirect::temporary("/cookie/shown")) }),
        )
        .route("/cookie/shown", get(shows_cookie))
        .route("/echo", any(echo))
}

async fn redirect(Path(left): Path<u32>) -> Redirect {
    match left {
        1 => Redirect::temporary("/ok"),
        more => Redirect::temporary(&format!("/redirect/{}", more - 1)),
    }
}

async fn shows_cookie(headers: HeaderMap) -> StatusCode {
    if headers.get(header::COOKIE).is_some_and(|cookie| cookie == "seen=1") {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    }
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let busted = uri.query().is_some_and(|query| query.starts_with("uptime_kuma_cachebuster="));
    [
        method.to_string(),
        header("user-agent"),
        header("komainu-node"),
        header("content-type"),
        header("authorization"),
        header("accept"),
        header("x-mark"),
        String::from_utf8_lossy(&body).into_owned(),
        (if busted { "bust" } else { "" }).to_owned(),
    ]
    .join("|")
}

pub(super) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Answers with 15 MiB of what is said to be 16, and keeps the connection.
pub(super) async fn endless() -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 1_024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n").await;
                let _ = stream.write_all(&vec![b'x'; 15 * 1_024 * 1_024]).await;
                let _ = stream.read(&mut asked).await;
            });
        }
    });
    address
}

/// A server that promises ten bytes, sends three and closes.
pub(super) async fn half_an_answer() -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1_024];
        let _ = stream.read(&mut asked).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
    });
    address
}

/// The same routes behind a self-signed certificate for `localhost`, and that certificate as PEM.
pub(super) async fn serve_tls() -> (SocketAddr, String) {
    serve_tls_as(rcgen::IsCa::NoCa).await
}

pub(super) async fn serve_tls_as(is_ca: rcgen::IsCa) -> (SocketAddr, String) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = is_ca;
    let signing_key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&signing_key).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TlsListener {
        tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        acceptor: tokio_rustls::TlsAcceptor::from(Arc::new(config)),
    };
    let address = listener.tcp.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes()).await });
    (address, cert.pem())
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
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

/// A server that leads whoever asks it elsewhere.
pub(super) async fn leading_to(place: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().fallback(move || async move { Redirect::temporary(place) });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}
