use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;

/// A surface with so many places, `/held` of which answers when it is told to.
struct Stage {
    address: SocketAddr,
    release: Arc<Notify>,
    stopping: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

async fn stage(places: Places) -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (release, stopping) = (Arc::new(Notify::new()), CancellationToken::new());
    let held = Arc::clone(&release);
    let routes = Router::new().route("/", get(async || "well")).route(
        "/held",
        get(move || {
            let held = Arc::clone(&held);
            async move {
                held.notified().await;
                "at last"
            }
        }),
    );
    let server = tokio::spawn(serve(listener, routes, places, stopping.clone()));
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
    let stage = stage(Places { most: 20, most_of_one: 20 }).await;
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

#[tokio::test]
async fn what_is_in_flight_is_answered_when_the_process_stops() {
    let stage = stage(Places { most: 20, most_of_one: 20 }).await;
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
