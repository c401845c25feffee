//! Sending, against servers that answer as told and look at what arrives.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;

use super::push::Status;
use super::*;
use crate::heartbeat::secret::{Proof, Secrets};

const TIME: i64 = 1_763_800_000_250_001;
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";

/// One answer: status, `Retry-After`, body.
type PushAnswer = (u16, Option<&'static str>, &'static str);

const TAKEN: PushAnswer = (200, None, "{}");
const AWAY: PushAnswer = (503, None, "");

/// A path and a body.
type Arrived = (String, Vec<u8>);

/// A server that gives these answers in turn, the last one for ever.
#[derive(Clone)]
struct Server {
    url: Url,
    answers: Arc<Mutex<VecDeque<PushAnswer>>>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Server {
    async fn telling(answers: &[PushAnswer]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        let server = Self { url, answers, arrived: Arc::default() };
        let app = axum::Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }
}

/// Every push must be signed over exactly its bytes.
async fn answer(State(server): State<Server>, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let proof = Proof { sha256: headers.get(HEADER).map(|value| value.to_str().unwrap()), sha1: None };
    assert!(Secrets::new(vec![SECRET.to_owned()], false).have_signed(&body, proof));
    server.arrived.lock().unwrap().push((uri.path().to_owned(), body.to_vec()));
    let mut answers = server.answers.lock().unwrap();
    let (status, retry_after, text) = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0] };
    let mut headers = HeaderMap::new();
    if let Some(value) = retry_after {
        headers.insert("retry-after", value.parse().unwrap());
    }
    headers.insert("location", "/elsewhere".parse().unwrap());
    (StatusCode::from_u16(status).unwrap(), headers, text)
}

/// Where nobody listens.
fn nowhere() -> Url {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
}

async fn send(watchdogs: &[&Url], patience: Duration) -> Result<Sent, SendError> {
    let watchdogs = watchdogs.iter().map(|url| (*url).clone()).collect();
    let sender = Sender::new(watchdogs, Secret::parse(SECRET).unwrap(), patience, crate::probe::tls()).unwrap();
    sender.send("backup", &Push::new(TIME, Status::Ok)).await
}

#[tokio::test]
async fn a_push_arrives_signed_at_its_name() {
    let server = Server::telling(&[TAKEN]).await;
    let sent = send(&[&server.url], Duration::ZERO).await.unwrap();
    assert_eq!(sent, Sent { by: server.url.clone(), was_counted_before: false });
    let body = br#"{"time":1763800000.250001,"status":"ok"}"#.to_vec();
    assert_eq!(server.arrived(), [("/heartbeats/backup".to_owned(), body)]);
}

#[tokio::test]
async fn a_watchdog_behind_a_path_is_reached_there() {
    let server = Server::telling(&[TAKEN]).await;
    let url = server.url.join("/komainu/").unwrap();
    send(&[&url], Duration::ZERO).await.unwrap();
    assert_eq!(server.arrived()[0].0, "/komainu/heartbeats/backup");
}

#[tokio::test]
async fn the_next_watchdog_takes_what_the_first_cannot() {
    let (away, server) = (Server::telling(&[AWAY]).await, Server::telling(&[TAKEN]).await);
    let sent = send(&[&nowhere(), &away.url, &server.url], Duration::ZERO).await.unwrap();
    assert_eq!((sent.by, away.arrived().len()), (server.url.clone(), 1));
    assert_eq!(away.arrived(), server.arrived(), "both get the very same bytes");
}

#[tokio::test]
async fn a_watchdog_that_comes_back_gets_the_push() {
    let server = Server::telling(&[AWAY, AWAY, TAKEN]).await;
    send(&[&server.url], Duration::from_secs(30)).await.unwrap();
    assert_eq!(server.arrived().len(), 3);
}

#[tokio::test]
async fn a_lost_answer_is_no_second_push() {
    let replayed = (409, None, r#"{"last_time":1763800000.250001}"#);
    let (away, server) = (Server::telling(&[(502, None, "")]).await, Server::telling(&[replayed]).await);
    let sent = send(&[&away.url, &server.url], Duration::ZERO).await.unwrap();
    assert!(sent.was_counted_before);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = Server::telling(&[(429, Some("2"), ""), TAKEN]).await;
    let begin = clock::now();
    send(&[&server.url], Duration::from_secs(30)).await.unwrap();
    assert!(clock::now().since(begin) >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_wait_longer_than_the_patience_is_not_begun() {
    let server = Server::telling(&[(503, Some("3600"), "")]).await;
    let begin = clock::now();
    let error = send(&[&server.url, &nowhere()], Duration::from_secs(4)).await.unwrap_err().to_string();
    assert!(clock::now().since(begin) < Duration::from_secs(20));
    assert_eq!(server.arrived().len(), 1, "it asked to be left alone");
    assert!(error.contains("within 4 s") && error.contains("HTTP 503") && error.contains("cannot connect"), "{error}");
}

#[tokio::test]
async fn a_refusal_ends_it_in_the_servers_words() {
    let no = (403, None, r#"{"detail":"no heartbeat of that name takes this signature"}"#);
    let (server, other) = (Server::telling(&[no]).await, Server::telling(&[TAKEN]).await);
    let error = send(&[&server.url, &other.url], Duration::from_secs(30)).await.unwrap_err().to_string();
    assert!(error.ends_with("no heartbeat of that name takes this signature (HTTP 403)"), "{error}");
    assert_eq!((server.arrived().len(), other.arrived().len()), (1, 0));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::telling(&[(301, None, ""), TAKEN]).await;
    let error = send(&[&server.url], Duration::from_secs(30)).await.unwrap_err().to_string();
    assert!(error.contains("redirects to /elsewhere"), "{error}");
    assert_eq!(server.arrived().len(), 1);
}
