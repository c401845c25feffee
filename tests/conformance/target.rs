//! The target of one case: a server on a loopback port that answers as the case says, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use crate::case::Case;
use crate::{openssl, web, zone};

/// Ends when it is dropped.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    server: Option<AbortHandle>,
    /// The certificate of a server of OpenSSL's.
    own: String,
    asked: Log,
}

/// Where a server listens, and what ends it.
pub(crate) type Served = (SocketAddr, Option<AbortHandle>);

/// Requests as they came.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, request: &[u8]) {
        self.0.lock().unwrap().push(String::from_utf8_lossy(request).into_owned());
    }
}

impl Target {
    pub(crate) async fn start(case: &Case) -> Self {
        let asked = Log::default();
        let listening = match (&case.zone, case.kind()) {
            (Some(zone), _) => Some(zone::serve(zone.clone(), asked.clone()).await),
            (None, "group" | "manual" | "ping" | "push") => None,
            (None, _) => match case.tls.as_deref() {
                // A port that was free a moment ago.
                Some("closed") => Some((web::closed().await, None)),
                Some(shown) if openssl::is_meant(shown) => Some(openssl::serve(shown).await),
                Some(_) | None => Some(web::serve(case.clone(), asked.clone()).await),
            },
        };
        let (address, server) = listening.unwrap_or_else(|| (SocketAddr::from(([127, 0, 0, 1], 9)), None));
        let own = case.tls.as_deref().filter(|shown| openssl::is_meant(shown)).map(openssl::certificate);
        Self { address, server, own: own.unwrap_or_default(), asked }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.0.lock().unwrap().clone()
    }

    /// A text of the table with this target's address in it.
    pub(crate) fn fill(&self, text: &str) -> String {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        text.replace("{target}", &self.address.to_string())
            .replace("{host}", &host)
            .replace("{port}", &port)
            .replace("{authority}", web::authority())
            .replace("{root}", web::root())
            .replace("{own}", &self.own)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
