//! A statement that stands alone, and meets others.
//!
//! It was rolled back alone (1213): nothing else has to be done again, so it is sent again here, as a Galera server does by
//! itself as often as its `wsrep_retry_autocommit` says, which may be never. Within a transaction all of that is made anew
//! by whoever began it.

use super::{Changed, Session, Sql};
use crate::store::again::Again;
use crate::store::error::StoreError;
use crate::store::value::Value;

impl Session {
    pub(super) async fn change(
        &mut self,
        act: &'static str,
        sql: Sql,
        values: Vec<Value>,
    ) -> Result<Changed, StoreError> {
        if self.in_transaction {
            return self.change_once(act, sql, values).await;
        }
        let mut again = Again::default();
        loop {
            match self.change_once(act, sql.clone(), values.clone()).await {
                // A lock wait that timed out (1205) took longer than a round already: its sender says what then.
                Err(error @ StoreError::Contention { is_deadlock: true, .. }) => {
                    if !again.after(&error).await {
                        return Err(error);
                    }
                }
                outcome => return outcome,
            }
        }
    }
}
