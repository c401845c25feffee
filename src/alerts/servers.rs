//! Tells of several database servers that are written to: a proxy that spreads, or a switch that some did not follow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::upkeep::Chore;

use crate::chores::Chores;
use crate::store::{Store, StoreError, writers};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);

/// So many looks must show the same: a switch takes seconds, and rows of before are believed for as long as one look.
const ENOUGH: u32 = 3;

/// Looks until it is dropped.
pub async fn run(store: Store, routing: Arc<Routing>, chores: Chores) {
    let mut watch = Watched::default();
    while store.url().is_server() {
        let told = look(&store, &routing, &mut watch).await;
        chores.note(Chore::Servers, &told);
        if let Ok(true) = told {
            tracing::warn!("what is told of the database servers that are written to changed");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The servers that the last looks showed.
#[derive(Default)]
struct Watched {
    servers: BTreeSet<String>,
    looks: u32,
}

impl Watched {
    /// Whether they are the same for long enough.
    fn are_settled(&mut self, servers: BTreeSet<String>) -> bool {
        self.looks = if self.servers == servers { self.looks.saturating_add(1) } else { 1 };
        self.servers = servers;
        self.servers.len() < 2 || self.looks >= ENOUGH
    }
}

async fn look(store: &Store, routing: &Routing, watch: &mut Watched) -> Result<bool, StoreError> {
    let writers = writers::seen(store).await?;
    if writers.len() > 1 {
        store.doubt_server();
    }
    if watch.are_settled(writers.keys().cloned().collect()) {
        writers::settle(store, &writers, routing).await
    } else {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers_are_told_of_once_three_looks_showed_the_same_and_one_at_once() {
        let of = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let mut watch = Watched::default();
        let two = of(&["g1:3306", "g2:3306"]);
        let shown = [two.clone(), two.clone(), of(&["g1:3306", "g3:3306"]), two.clone(), two.clone(), two];
        assert_eq!(shown.map(|servers| watch.are_settled(servers)), [false, false, false, false, false, true]);
        assert!(watch.are_settled(of(&["g2:3306"])));
    }
}
