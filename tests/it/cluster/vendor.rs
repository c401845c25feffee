//! A vendor of the test's own: takes webhooks and dead-man pings, remembers them, and may kill somebody when one comes.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};
use komainu::clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A message that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Microseconds UTC.
    pub(crate) at_us: i64,
    /// Of the message.
    pub(crate) id: String,
    /// Why it deserves doubt.
    pub(crate) doubt: Option<String>,
    /// Key and event of each item.
    pub(crate) items: Vec<(String, String)>,
    /// What each item says.
    pub(crate) summaries: Vec<String>,
    /// Each answer that it offers, and where it is given.
    pub(crate) answers: Vec<(String, String)>,
}

#[derive(Default)]
struct Book {
    messages: Vec<Message>,
    unanswered: Vec<Message>,
    pings_us: Vec<i64>,
    /// Killed with -9 before the first message about this key is answered.
    victim: Option<(String, u32)>,
}

/// The server.
pub(crate) struct Vendor {
    port: u16,
    book: Arc<Mutex<Book>>,
}

impl Vendor {
    /// Listens until the test ends.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let book = Arc::new(Mutex::new(Book::default()));
        let (messages, pings, silent) = (Arc::clone(&book), Arc::clone(&book), Arc::clone(&book));
        let router = Router::new()
            .route("/hook", post(move |body: String| async move { take(&messages, &body) }))
            .route("/silent", post(move |body: String| async move { take_silently(&silent, &body) }))
            .route("/ping", get(move || async move { pings.lock().unwrap().pings_us.push(clock::wall_micros()) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, book }
    }

    /// Where it listens, on the loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What makes a watchdog use it.
    pub(crate) fn sections(&self) -> String {
        let port = self.port;
        format!(
            "[[channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/hook\"\n\
             [deadman]\nurl = \"http://127.0.0.1:{port}/ping\"\ninterval = \"5s\"\n"
        )
    }

    /// The channel `ops`, which hears of everything and never answers, and `mail`, of which no route says anything.
    pub(crate) fn silent_sections(&self) -> String {
        let port = self.port;
        format!(
            "[[channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/silent\"\n\
             [[channel]]\nname = \"mail\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/hook\"\n\
             [[route]]\nchannels = [\"ops\"]\n"
        )
    }

    /// Everything that arrived and was not answered.
    pub(crate) fn unanswered(&self) -> Vec<Message> {
        self.book.lock().unwrap().unanswered.clone()
    }

    /// The process dies when the first message about this key arrives: after the vendor got it, before it answers.
    pub(crate) fn kill_when_told_of(&self, key: &str, process: u32) {
        self.book.lock().unwrap().victim = Some((key.to_owned(), process));
    }

    /// Everything that arrived with this key and event.
    pub(crate) fn told(&self, key: &str, event: &str) -> Vec<Message> {
        let is_it = |message: &&Message| message.items.iter().any(|item| item.0 == key && item.1 == event);
        self.book.lock().unwrap().messages.iter().filter(is_it).cloned().collect()
    }

    /// Everything that arrived.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.book.lock().unwrap().messages.clone()
    }

    /// Dead-man pings in this span, microseconds UTC.
    pub(crate) fn pings(&self, span_us: std::ops::Range<i64>) -> usize {
        self.book.lock().unwrap().pings_us.iter().filter(|at_us| span_us.contains(at_us)).count()
    }
}

fn answers(item: &Value) -> Vec<Value> {
    item["answers"].as_array().cloned().unwrap_or_default()
}

fn read(body: &str) -> Message {
    let body: Value = serde_json::from_str(body).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let data = &body["data"];
    let items = data["items"].as_array().unwrap();
    Message {
        at_us: clock::wall_micros(),
        id: text(&data["id"]),
        doubt: data["doubt"].as_str().map(str::to_owned),
        items: items.iter().map(|item| (text(&item["key"]), text(&item["event"]))).collect(),
        summaries: items.iter().map(|item| text(&item["summary"])).collect(),
        answers: items.iter().flat_map(answers).map(|one| (text(&one["answer"]), text(&one["url"]))).collect(),
    }
}

/// The connection ends with the task, and nothing is answered.
fn take_silently(book: &Mutex<Book>, body: &str) -> String {
    let message = read(body);
    book.lock().unwrap().unanswered.push(message);
    std::panic::resume_unwind(Box::new("no answer"))
}

fn take(book: &Mutex<Book>, body: &str) {
    let message = read(body);
    let mut book = book.lock().unwrap();
    let is_fatal = |(key, _): &mut (String, u32)| message.items.iter().any(|item| item.0 == *key);
    if let Some((_, process)) = book.victim.take_if(is_fatal) {
        let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
        kill_process(process, Signal::KILL).unwrap();
    }
    book.messages.push(message);
}
