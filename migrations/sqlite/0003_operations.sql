-- What operators and pipelines say: affinity, wishes, who manages a row, where people's traffic goes.

-- The node to which all traffic of people is sent; NULL: the gateway chooses.
ALTER TABLE komainu_cluster ADD COLUMN pinned_node TEXT NULL;

-- An operator asked for this home: the move there waits for no cool-off and for no thaw. Cleared on arrival.
ALTER TABLE komainu_assignment ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;

-- `run_on`: a JSON list of labels that its node must bear; NULL: any node. `managed_by`: the set (`komainu apply`) that made it.
ALTER TABLE komainu_monitor ADD COLUMN run_on TEXT NULL;
ALTER TABLE komainu_monitor ADD COLUMN managed_by TEXT NULL;
CREATE INDEX IF NOT EXISTS komainu_monitor_managed ON komainu_monitor (managed_by);
ALTER TABLE komainu_heartbeat ADD COLUMN managed_by TEXT NULL;

-- Monitors that are deleted, and whose beats and statistics are yet to go.
CREATE TABLE IF NOT EXISTS komainu_deletion (
  monitor_id INTEGER PRIMARY KEY,
  deleted_at BIGINT NOT NULL
);
