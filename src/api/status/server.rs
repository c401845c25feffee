//! The database server that this watchdog uses, in the answer of `/status`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::server::{Server, Weakness};

/// As it said last: when a connection was made, and each ten seconds.
#[derive(Serialize, ToSchema)]
#[schema(as = DatabaseServer)]
pub(super) struct Shown {
    /// Its name in Galera, or its host's, and its port.
    name: String,
    /// A number of its own, where its version has one.
    #[schema(required)]
    uid: Option<String>,
    version: String,
    read_only: bool,
    /// A replica: how far it is behind.
    #[schema(required)]
    behind_ms: Option<u64>,
    #[schema(required)]
    galera: Option<GaleraShown>,
    /// What there is to warn of, one sentence each.
    warnings: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DatabaseGalera)]
struct GaleraShown {
    ready: bool,
    /// Galera's word, such as `Synced` or `Donor/Desynced`.
    state: String,
    /// Servers that it sees, with itself.
    size: u32,
}

impl Shown {
    pub(super) fn of(server: Server) -> Self {
        let warnings = server.weaknesses().into_iter().map(Weakness::words).collect();
        let behind_ms = server.behind.map(|behind| u64::try_from(behind.as_millis()).unwrap_or(u64::MAX));
        let galera =
            server.galera.map(|galera| GaleraShown { ready: galera.is_ready, state: galera.state, size: galera.size });
        let Server { name, uid, version, is_read_only: read_only, .. } = server;
        Self { name, uid, version, read_only, behind_ms, galera, warnings }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::server::Galera;

    #[test]
    fn a_server_is_shown_with_its_galera_and_what_is_to_be_warned_of() {
        let galera = Galera { is_ready: true, state: "Synced".to_owned(), size: 2, ..Galera::default() };
        let server = Server { name: "g1:3306".to_owned(), galera: Some(galera), ..Server::default() };
        let shown = serde_json::to_value(Shown::of(server)).unwrap();
        assert_eq!(shown["galera"], json!({"ready": true, "state": "Synced", "size": 2}));
        assert_eq!((&shown["read_only"], &shown["behind_ms"]), (&json!(false), &json!(null)));
        let warning = shown["warnings"][0].as_str().unwrap();
        assert!(warning.contains("two servers") && shown["warnings"].as_array().unwrap().len() == 1, "{warning}");
    }
}
