//! Who owns which push monitor: what a gateway needs to pass pushes on.

use komainu_watchdogs::ids::NodeId;

use super::error::StoreError;
use super::pool::Store;

/// A push monitor that is active, by the secret that its address holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushOwner {
    /// What stands behind `/api/push/`.
    pub token: String,
    /// `None`: nobody runs it, which lasts no longer than a move.
    pub owner: Option<NodeId>,
}

/// All of them. A monitor that komainu has no assignment for is left out: whoever runs it, komainu does not know.
pub async fn list(store: &Store) -> Result<Vec<PushOwner>, StoreError> {
    let act = "read the owners of push monitors";
    let sql = "SELECT m.push_token, a.effective_node FROM monitor m \
         JOIN komainu_assignment a ON a.monitor_id = m.id \
         WHERE m.type = 'push' AND m.active = 1 AND m.push_token <> ''";
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    rows.iter()
        .map(|row| {
            let owner = row.node("effective_node")?;
            let owner = (!owner.as_str().is_empty()).then_some(owner);
            Ok(PushOwner { token: row.text("push_token")?, owner })
        })
        .collect()
}
