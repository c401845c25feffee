//! The audit trail: who did what, and from where. Rows are only ever added, and pruned by age.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use komainu_watchdogs::time::Wall;

use super::dialect::Dialect;
use super::error::StoreError;
use super::pool::Store;
use super::session::{Session, Statement};
use super::value::{Value, values};
use super::{Page, key_of_cursor};

/// Something that was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// `key/NAME`, `cli/USER`, `w1/epoch 7`.
    pub who: String,
    /// `node.add`, `cluster.freeze`, `decision`.
    pub what: String,
    /// To what.
    pub subject: String,
    /// JSON, as it was.
    pub before: Option<String>,
    /// JSON, as it is.
    pub after: Option<String>,
}

/// A row of the trail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRow {
    /// The row's key.
    pub id: i64,
    /// By the database's clock.
    pub at: Wall,
    /// What was done.
    pub deed: Deed,
    /// From which address it was asked for; none: by a process of the cluster itself, or on the database directly.
    pub address: Option<String>,
}

/// Something that was done for a request, as far as it is remembered after the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnsweredDeed {
    /// Who did it.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To what.
    pub subject: String,
    /// Of its row in the trail. A transaction that met others was made anew: one of these is there.
    pub ids: Vec<String>,
}

/// Of one request; a bulk request is one deed for each of its parts.
const MOST_DEEDS: usize = 200;
/// Of one deed.
const MOST_TRIES: usize = 20;

/// The request that a task answers.
#[derive(Default)]
struct Asked {
    address: Option<IpAddr>,
    deeds: Mutex<Vec<AnsweredDeed>>,
}

tokio::task_local! {
    /// It goes with whatever is done for it, as its id does in the log.
    static ASKED: Arc<Asked>;
}

/// What this does was asked for from that address; with what was done, as far as the trail tells of it.
pub async fn asked_from<T>(address: Option<IpAddr>, act: impl Future<Output = T>) -> (T, Vec<AnsweredDeed>) {
    let asked = Arc::new(Asked { address, ..Asked::default() });
    let answer = ASKED.scope(Arc::clone(&asked), act).await;
    let deeds = std::mem::take(&mut *asked.deeds.lock().unwrap_or_else(PoisonError::into_inner));
    (answer, deeds)
}

impl Asked {
    /// Draws an id for the row of this deed.
    fn note(&self, deed: &Deed) -> String {
        let id = format!("{:016x}", rand::random::<u64>());
        let mut deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |one: &&mut AnsweredDeed| (&one.who, &one.what, &one.subject) == (&deed.who, &deed.what, &deed.subject);
        let has_room = deeds.len() < MOST_DEEDS;
        match deeds.iter_mut().find(is_same) {
            Some(same) if same.ids.len() < MOST_TRIES => same.ids.push(id.clone()),
            None if has_room => {
                let Deed { who, what, subject, .. } = deed.clone();
                deeds.push(AnsweredDeed { who, what, subject, ids: vec![id.clone()] });
            }
            Some(_) | None => {}
        }
        id
    }
}

/// Adds a row.
pub async fn append(store: &Store, deed: &Deed) -> Result<(), StoreError> {
    append_in(&mut *store.lease("write the audit trail").await?, deed).await
}

/// Adds a row within a transaction.
pub(crate) async fn append_in(session: &mut Session, deed: &Deed) -> Result<(), StoreError> {
    let (sql, values) = appended(session.dialect(), deed);
    session.execute("write the audit trail", sql, values).await.map(|_| ())
}

/// The statement that adds a row.
pub(crate) fn appended(dialect: Dialect, deed: &Deed) -> Statement {
    let sql = format!(
        "INSERT INTO komainu_audit (at, who, what, subject, before_json, after_json, address, deed_id) \
         VALUES ({}, ?, ?, ?, ?, ?, ?, ?)",
        dialect.now_ms()
    );
    let asked = ASKED.try_with(|asked| (asked.address.map(|address| address.to_string()), asked.note(deed))).ok();
    let (address, id) = asked.map_or((None, None), |(address, id)| (address, Some(id)));
    (sql, values![&deed.who, &deed.what, &deed.subject, deed.before.clone(), deed.after.clone(), address, id])
}

/// Which rows of the trail; `None`: whatever it says there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// Who did it (`key/ops`).
    pub who: Option<String>,
    /// What was done (`node.drain`).
    pub what: Option<String>,
    /// To what (`monitor/7`).
    pub subject: Option<String>,
    /// From where.
    pub address: Option<String>,
}

/// The trail, the latest first.
pub async fn list(
    store: &Store,
    filter: &AuditFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<AuditRow>, StoreError> {
    let before = key_of_cursor(cursor)?.unwrap_or(i64::MAX);
    let mut lease = store.lease("read the audit trail").await?;
    let AuditFilter { who, what, subject, address } = filter;
    let filters = [("who", who), ("what", what), ("subject", subject), ("address", address)];
    let (conditions, wanted): (Vec<String>, Vec<Value>) = filters
        .into_iter()
        .filter_map(|(column, wanted)| wanted.as_ref().map(|wanted| (format!(" AND {column} = ?"), wanted.into())))
        .unzip();
    let sql = format!(
        "SELECT id, at, who, what, subject, before_json, after_json, address FROM komainu_audit WHERE id < ?{} \
         ORDER BY id DESC LIMIT ?",
        conditions.concat()
    );
    let values = [values![before], wanted, values![limit.saturating_add(1)]].concat();
    let rows = lease.rows("read the audit trail", sql, values).await?;
    let items = rows.iter().map(|row| {
        let deed = Deed {
            who: row.text("who")?,
            what: row.text("what")?,
            subject: row.text("subject")?,
            before: row.maybe_text("before_json")?,
            after: row.maybe_text("after_json")?,
        };
        Ok(AuditRow { id: row.int("id")?, at: row.wall("at")?, deed, address: row.maybe_text("address")? })
    });
    let items = items.collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Page::cut(items, limit, |row| row.id.to_string()))
}
