//! A small HTTP/1.1 server that plays a node or a watchdog: it answers what a story says, hangs up, becomes a tunnel, dies
//! with all its connections and comes back on the same port.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    /// Names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What is done about it.
pub(crate) enum Reply {
    /// Status, more headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The protocol changes: each line comes back with this word before it.
    Echo(String),
    /// This beginning, and then a byte now and again for as long as somebody listens.
    Dribble(&'static str),
    /// The connection is closed without a word.
    HangUp,
}

type Answering = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server; ends with the story.
pub(crate) struct StandIn {
    address: SocketAddr,
    answering: Arc<Answering>,
    log: Arc<Mutex<Vec<Request>>>,
    /// Paths of requests whose heads came, whatever became of their bodies.
    begun: Arc<Mutex<Vec<String>>>,
    /// Takes connections and what comes, and says nothing.
    is_frozen: Arc<AtomicBool>,
    task: Option<AbortOnDropHandle<()>>,
}

impl StandIn {
    /// Listens on a free loopback port.
    pub(crate) fn start(answering: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (log, begun) = (Arc::default(), Arc::default());
        let (answering, is_frozen): (Arc<Answering>, _) = (Arc::new(answering), Arc::default());
        let mut server = Self { address, answering, log, begun, is_frozen, task: None };
        server.start_again();
        server
    }

    /// Listens on the port it had.
    pub(crate) fn start_again(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        // Connections of before may linger.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(1_024).unwrap();
        self.address = listener.local_addr().unwrap();
        let notes = (Arc::clone(&self.log), Arc::clone(&self.begun));
        let is_frozen = Arc::clone(&self.is_frozen);
        let serving = accept(listener, Arc::clone(&self.answering), notes, is_frozen);
        self.task = Some(AbortOnDropHandle::new(tokio::spawn(serving)));
    }

    /// As a process that was stopped: its host goes on taking connections for it. For good.
    pub(crate) fn freeze(&self) {
        self.is_frozen.store(true, Ordering::SeqCst);
    }

    /// Dies: nobody listens, and every connection is closed.
    pub(crate) async fn die(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that arrived so far.
    pub(crate) fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// How many requests of this path came so far, finished or not.
    pub(crate) fn begun(&self, path: &str) -> usize {
        self.begun.lock().unwrap().iter().filter(|begun| *begun == path).count()
    }
}

/// What arrived in full; what began to arrive.
type Notes = (Arc<Mutex<Vec<Request>>>, Arc<Mutex<Vec<String>>>);

async fn accept(listener: TcpListener, answering: Arc<Answering>, (log, begun): Notes, is_frozen: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (answering, log, begun) = (Arc::clone(&answering), Arc::clone(&log), Arc::clone(&begun));
        let is_frozen = Arc::clone(&is_frozen);
        connections.spawn(async move {
            let mut stream = BufReader::new(stream);
            while let Some(request) = read(&mut stream, &begun).await {
                if is_frozen.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                log.lock().unwrap().push(request.clone());
                if !reply(&mut stream, &request, answering(&request)).await {
                    return;
                }
            }
        });
    }
}

async fn read(stream: &mut BufReader<TcpStream>, begun: &Mutex<Vec<String>>) -> Option<Request> {
    let line = line(stream).await?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let line = self::line(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    begun.lock().unwrap().push(path.clone());
    let size = headers.get("content-length").map_or(0, |size| size.parse().unwrap());
    let mut body = vec![0; size];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, headers, body })
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// `false`: the connection is over.
async fn reply(stream: &mut BufReader<TcpStream>, request: &Request, reply: Reply) -> bool {
    match reply {
        Reply::HangUp => false,
        Reply::Dribble(beginning) => {
            let mut is_open = stream.write_all(beginning.as_bytes()).await.is_ok();
            let mut pace = tokio::time::interval(std::time::Duration::from_millis(300));
            while is_open {
                pace.tick().await;
                is_open = stream.write_all(b" ").await.is_ok();
            }
            false
        }
        Reply::Answer(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                let _ = write!(head, "{name}: {value}\r\n");
            }
            let body = if request.method == "HEAD" { "" } else { &body };
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.is_ok()
        }
        Reply::Echo(word) => {
            let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            let mut is_open = stream.write_all(head.as_bytes()).await.is_ok();
            while is_open {
                let Some(line) = line(stream).await else { break };
                is_open = stream.write_all(format!("{word}: {line}\n").as_bytes()).await.is_ok();
            }
            false
        }
    }
}
