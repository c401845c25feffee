//! The database server that this watchdog uses, as numbers.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::number;
use crate::store::server::Server;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ServerLabel {
    server: String,
    version: String,
    state: String,
}

/// Nothing for a file, and before the first connection.
pub(super) fn register(registry: &mut Registry, server: Option<Server>) {
    let Some(server) = server else { return };
    let used = Family::<ServerLabel, Gauge>::default();
    let state = server.galera.as_ref().map(|galera| galera.state.clone()).unwrap_or_default();
    used.get_or_create(&ServerLabel { server: server.name, version: server.version, state }).set(1);
    registry.register("database_server", "1 for the database server that this watchdog uses", used);
    number(registry, "database_read_only", "1 while that server refuses writes", i64::from(server.is_read_only));
    if let Some(behind) = server.behind {
        let seconds = i64::try_from(behind.as_secs()).unwrap_or(i64::MAX);
        number(registry, "database_behind_seconds", "How far that server, a replica, is behind", seconds);
    }
    if let Some(galera) = server.galera {
        number(
            registry,
            "database_galera_ready",
            "1 while that server of a Galera cluster is ready",
            i64::from(galera.is_ready),
        );
        number(registry, "database_galera_size", "Servers of the Galera cluster that it sees", galera.size.into());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;
    use crate::store::server::Galera;

    #[test]
    fn a_galera_server_is_shown_with_its_state_and_size() {
        let galera = Galera { is_ready: true, state: "Synced".to_owned(), size: 3, ..Galera::default() };
        let server = Server { name: "g1:3306".to_owned(), galera: Some(galera), ..Server::default() };
        let mut registry = Registry::with_prefix("komainu");
        register(&mut registry, Some(server));
        let mut shown = String::new();
        text::encode(&mut shown, &registry).unwrap();
        for line in [
            "komainu_database_server{server=\"g1:3306\",version=\"\",state=\"Synced\"} 1",
            "komainu_database_read_only 0",
            "komainu_database_galera_ready 1",
            "komainu_database_galera_size 3",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line} is missing in\n{shown}");
        }
    }
}
