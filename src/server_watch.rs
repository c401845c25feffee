//! Looks now and then at the database server that is used, and says in the log when it is another one, or another way.
//!
//! Owns the pause and the words of the log; what a server says of itself is [`crate::store::server`]'s, where it is shown
//! `/status` and `/metrics` show. It changes nothing and opens no incident.

use std::time::Duration;

use crate::store::Store;
use crate::store::server::{self, Server, Weakness};

/// Two tables of the server's own are read for it.
const LOOK: Duration = Duration::from_secs(10);

/// Works until it is dropped.
pub async fn run(store: Store) {
    let mut seen = Seen::default();
    loop {
        match server::look(&store).await {
            Ok(Some(server)) => seen.note(&server),
            Ok(None) => return,
            // That the database is away is said by whoever needs it.
            Err(error) => tracing::debug!(%error, "the database server was not looked at"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What was said last.
#[derive(Default)]
struct Seen {
    state: Option<String>,
    weaknesses: Vec<Weakness>,
}

impl Seen {
    fn note(&mut self, server: &Server) {
        // How far a replica is behind changes with each look.
        let state = Server { behind: None, ..server.clone() }.to_string();
        if self.state.as_ref() != Some(&state) {
            let before = self.state.replace(state).unwrap_or_default();
            tracing::info!(database.server = %server, database.server_before = before, "the database server's state");
        }
        let weaknesses = server.weaknesses();
        for weakness in weaknesses.iter().filter(|weakness| !self.weaknesses.contains(weakness)) {
            tracing::warn!(database.server = %server, "{}", weakness.words());
        }
        self.weaknesses = weaknesses;
    }
}
