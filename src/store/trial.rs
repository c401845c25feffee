//! What a native node does with the database, tried on rows that nobody has: the server looks at the grants before it looks
//! for rows.

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};

use super::beginning::Beginnings;
use super::error::StoreError;
use super::pool::Store;
use super::tenure::NodeProcess;
use super::{nodes, stats, windows};

/// No monitor's key.
const NO_MONITOR: MonitorId = MonitorId(-1);

impl Store {
    /// Says the first thing that a native node is not allowed here; changes nothing.
    pub async fn try_as_node(&self) -> Result<(), StoreError> {
        let nobody = NodeId::from("");
        nodes::get(self, &nobody).await?;
        windows::plan(self).await?;
        self.last_beats(&[NO_MONITOR]).await?;
        let process = NodeProcess {
            node: nobody.clone(),
            incarnation: Incarnation(0),
            hostname: String::new(),
            address: String::new(),
            kinds: vec![],
        };
        let mut tenure = self.tenure(process).await?;
        tenure.register(None, 0).await?;
        tenure.read_assignments().await?;
        let (beginnings, none) = (Beginnings::new(self.clone(), nobody, Incarnation(0)), [NO_MONITOR].into());
        beginnings.start(&[NO_MONITOR]).await?;
        beginnings.begin_apart(&none).await?;
        beginnings.put_aside(&none).await?;
        beginnings.only_kuma(&none).await?;
        self.try_keeping_beats().await
    }

    async fn try_keeping_beats(&self) -> Result<(), StoreError> {
        let act = "store beats";
        let catalog = self.catalog().await?;
        let mut lease = self.lease(act).await?;
        let stats = stats::tables(&catalog);
        for table in ["heartbeat", "komainu_down"].into_iter().chain(stats.clone()) {
            // All columns: Kuma's have no defaults, and a strict server asks for them even where no row is written.
            let insert = format!("INSERT INTO {table} SELECT * FROM {table} WHERE 1 = 0");
            lease.execute(act, insert, vec![]).await?;
        }
        for table in stats {
            lease.execute(act, format!("UPDATE {table} SET up = up WHERE 1 = 0"), vec![]).await?;
        }
        lease.execute(act, "DELETE FROM komainu_down WHERE 1 = 0", vec![]).await.map(|_| ())
    }
}
