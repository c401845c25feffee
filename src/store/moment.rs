//! When something is entered, for routes that look at it: those that do not cost no query.

use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::Wall;

use super::error::StoreError;
use super::session::Session;
use super::silences;

/// The present time by the database's clock, as far as these routes look at it.
pub(crate) async fn present(session: &mut Session, routing: &Routing) -> Result<Wall, StoreError> {
    if routing.needs_time() { silences::now_on(session).await } else { Ok(Wall(0)) }
}
