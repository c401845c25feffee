//! Groups of monitors and their children: what a group's status is made of.

use std::future::Future;

use komainu_watchdogs::ids::MonitorId;

use super::beats::BeatStatus;
use super::error::StoreError;
use super::pool::Store;
use super::value::values;

/// A monitor within a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Child {
    /// The monitor's key.
    pub id: MonitorId,
    /// The monitor's name, for people.
    pub name: String,
    /// It is run at all.
    pub is_active: bool,
    /// The status of its last beat.
    pub last: Option<BeatStatus>,
}

impl Child {
    /// What people know it by.
    pub fn label(&self) -> String {
        if self.name.is_empty() { format!("#{}", self.id) } else { self.name.clone() }
    }
}

/// Who knows the children of groups.
pub trait Families: Send + Sync {
    /// The monitors right below a group, by their ids.
    fn children(&self, group: MonitorId) -> impl Future<Output = Result<Vec<Child>, StoreError>> + Send;
}

impl Families for Store {
    async fn children(&self, group: MonitorId) -> Result<Vec<Child>, StoreError> {
        let act = "read a group's children";
        let hint = self.catalog().await?.stored_hint();
        let mut lease = self.lease(act).await?;
        let sql = format!(
            "SELECT c.id, c.name, c.active, (SELECT h.status FROM heartbeat h{hint} WHERE h.monitor_id = c.id \
             ORDER BY h.id DESC LIMIT 1) AS last FROM monitor c WHERE c.parent = ? ORDER BY c.id"
        );
        let mut children = Vec::new();
        for row in lease.rows(act, sql, values![group]).await? {
            children.push(Child {
                id: MonitorId(row.int("id")?),
                name: row.maybe_text("name")?.unwrap_or_default(),
                is_active: row.flag("active")?,
                last: row.maybe_int("last")?.and_then(BeatStatus::from_code),
            });
        }
        Ok(children)
    }
}
