//! Incidents of certificates: reads what monitors saw of them, opens and resolves.
//!
//! Owns reading Kuma's `monitor_tls_info`, whoever wrote it; [`keeping`] owns what native nodes write there. Whether an
//! end of validity is an incident is [`komainu_watchdogs::certificate`]'s to say; when it is asked is [`super::settling`]'s.

use std::collections::BTreeMap;

use jiff::Timestamp;
use komainu_watchdogs::certificate::{self, Days, End, Facts, Verdict, Want};
use komainu_watchdogs::downtime::End as MonitorEnd;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::catalog::Catalog;
use super::decisions::id_list;
use super::error::StoreError;
use super::pool::Store;
use super::session::{Session, Sql};
use super::settling::{self, OpenIncident, Settling, Step};
use super::value::{Row, values};
use super::watch::text_list;

mod keeping;
mod own;
mod seen;

pub use keeping::SeenChain;
pub use own::settle as settle_own;
pub use seen::{Link, seen};

/// A server's certificate and two intermediates: longer chains are found nowhere that matters.
const LINKS: usize = 3;

/// The next so many monitors after this one of which a certificate is known, and where the look after it begins.
pub async fn next(store: &Store, after: MonitorId, how_many: u32) -> Result<(Vec<MonitorId>, MonitorId), StoreError> {
    let act = "look for certificates";
    if !store.catalog().await?.has_table("monitor_tls_info") {
        return Ok((vec![], MonitorId(0)));
    }
    let sql = "SELECT DISTINCT monitor_id FROM monitor_tls_info WHERE monitor_id > ? ORDER BY monitor_id LIMIT ?";
    let rows = store.lease(act).await?.rows(act, sql, values![after, how_many]).await?;
    let found = rows.iter().map(|row| row.int("monitor_id").map(MonitorId)).collect::<Result<Vec<_>, _>>()?;
    // Fewer than were asked for: the next look begins at the front.
    let is_last = u32::try_from(found.len()).is_ok_and(|found| found < how_many);
    let reached = found.last().copied().filter(|_| !is_last).unwrap_or(MonitorId(0));
    Ok((found, reached))
}

/// The next so many open incidents of this kind after this key: their monitors, and the key that the look after it begins
/// behind.
pub async fn open(store: &Store, after: &str, how_many: u32) -> Result<(Vec<MonitorId>, String), StoreError> {
    settling::open::<Expiries>(store, after, how_many).await
}

/// Opens and resolves what is to be opened and resolved of these monitors; says how many of each.
pub async fn settle(store: &Store, monitors: &[MonitorId], routing: &Routing) -> Result<(u32, u32), StoreError> {
    settling::settle::<Expiries>(store, monitors, (routing, &())).await
}

fn words(end: End) -> &'static str {
    match end {
        End::Renewed => "renewed",
        End::Unwanted => "nobody wants to be told any more",
        End::Plain => "the monitor sees no certificate any more",
        End::Monitor(MonitorEnd::Paused) => "the monitor was paused",
        End::Monitor(MonitorEnd::Deleted) => "the monitor was deleted",
        End::Monitor(MonitorEnd::Up) => "over",
    }
}

/// The certificates that some monitors saw.
struct Expiries {
    now: Wall,
    days: Option<Days>,
    known: BTreeMap<MonitorId, ExpiringCertificate>,
}

impl Settling for Expiries {
    const KIND: &'static str = "certificate";

    type With = ();

    async fn look(
        session: &mut Session,
        catalog: &Catalog,
        (): &Self::With,
        monitors: &[MonitorId],
    ) -> Result<Self, StoreError> {
        look(session, catalog, monitors).await
    }

    fn step(&self, monitor: MonitorId, incident: Option<&OpenIncident>) -> Step {
        let known = self.known.get(&monitor);
        let severity = incident.map(|incident| incident.severity);
        let verdict = certificate::decide(known.map(|known| &known.facts), self.days, self.now, severity);
        match (verdict, known, incident) {
            (Verdict::Open { severity, days }, Some(known), _) => {
                let key = settling::key::<Self>(monitor);
                let alarm = Alarm { key, severity, summary: known.summary(days), votes: (0, 0) };
                let subject = Subject { channels: known.channels.clone(), ..Subject::of(&alarm) };
                Step::Open(alarm, subject)
            }
            (Verdict::Resolve(end), known, Some(incident)) => {
                let name = known.map_or_else(|| monitor.to_string(), |known| known.name.clone());
                Step::Resolve(incident.id, format!("certificate of monitor {name}: {}", words(end)))
            }
            (Verdict::Leave | Verdict::Open { .. } | Verdict::Resolve(_), _, _) => Step::Leave,
        }
    }
}

/// A monitor and the certificate of its chain that ends first.
struct ExpiringCertificate {
    facts: Facts,
    name: String,
    channels: Vec<String>,
    /// Whose certificate it is.
    subject: String,
}

impl ExpiringCertificate {
    fn summary(&self, days: u64) -> String {
        let date = self.facts.expires_at.and_then(|at| Timestamp::from_millisecond(at.0).ok());
        let date = date.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
        let when = match days {
            0 => format!("expires on {date}, or has expired"),
            1 => format!("expires in 1 day, on {date}"),
            _ => format!("expires in {days} days, on {date}"),
        };
        format!("certificate of monitor {} ({}) {when}", self.name, self.subject)
    }
}

async fn look(session: &mut Session, catalog: &Catalog, monitors: &[MonitorId]) -> Result<Expiries, StoreError> {
    let act = "look at certificates";
    let sql = format!("SELECT {} AS now", session.dialect().now_ms());
    let now = session.row(act, sql, vec![]).await?.map_or(Ok(Wall(0)), |row| row.wall("now"))?;
    let days = notify_days(session, catalog).await?;
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    let wanted = if catalog.has_column("monitor", "expiry_notification") { "m.expiry_notification" } else { "1" };
    let links = (0..LINKS).map(|link| link_columns(session, link)).collect::<String>();
    let sql = format!(
        "SELECT m.id, m.name, m.active, m.type, m.url, m.ignore_tls, {wanted} AS wanted, k.made_by, k.channels, n.runner{links} \
         FROM monitor m LEFT JOIN monitor_tls_info t ON t.monitor_id = m.id \
         LEFT JOIN komainu_monitor k ON k.monitor_id = m.id LEFT JOIN komainu_assignment a ON a.monitor_id = m.id \
         LEFT JOIN node n ON n.node_id = a.effective_node WHERE m.id IN ({}) ORDER BY m.id, t.id",
        id_list(&ids)
    );
    let rows = session.rows(act, Sql::Once(sql), vec![]).await?;
    let known = rows.iter().map(|row| Ok((MonitorId(row.int("id")?), read(row)?)));
    Ok(Expiries { now, days, known: known.collect::<Result<_, StoreError>>()? })
}

/// Kuma's own setting, where this database has one.
async fn notify_days(session: &mut Session, catalog: &Catalog) -> Result<Option<Days>, StoreError> {
    if !catalog.has_table("setting") {
        return Ok(Some(Days::default()));
    }
    let sql = "SELECT value FROM setting WHERE `key` = 'tlsExpiryNotifyDays'";
    let row = session.row("read Kuma's settings", sql, vec![]).await?;
    let text = row.map_or(Ok(None), |row| row.maybe_text("value"))?;
    let days = text.and_then(|text| serde_json::from_str::<Vec<u32>>(&text).ok());
    Ok(days.map_or(Some(Days::default()), |days| Days::of(&days)))
}

/// What is asked of one link of the chain.
fn link_columns(session: &Session, link: usize) -> String {
    let path = format!("$.certInfo{}", ".issuerCertificate".repeat(link));
    let column = |what: &str| session.dialect().json_text("t.info_json", &format!("{path}.{what}"));
    let [valid_to, kind, name] = ["validTo", "certType", "subject.CN"].map(column);
    format!(", {valid_to} AS valid_to{link}, {kind} AS kind{link}, {name} AS name{link}")
}

fn read(row: &Row) -> Result<ExpiringCertificate, StoreError> {
    let mut first: Option<(Wall, String)> = None;
    for link in 0..LINKS {
        let text = |column: &str| row.maybe_text(&format!("{column}{link}"));
        if text("kind")?.as_deref() == Some("root CA") {
            break;
        }
        let ends_at = text("valid_to")?.and_then(|text| text.parse::<Timestamp>().ok());
        let Some(ends_at) = ends_at.map(|at| Wall(at.as_millisecond())) else { break };
        if first.as_ref().is_none_or(|(earlier, _)| ends_at < *earlier) {
            first = Some((ends_at, text("name")?.unwrap_or_else(|| "no common name".to_owned())));
        }
    }
    let (expires_at, subject) = first.unzip();
    let is_api_made = row.maybe_text("made_by")?.as_deref() == Some("api");
    let facts = Facts {
        is_active: row.flag("active")?,
        want: Want::of(&row.text("type")?, &row.text("url")?, row.flag("wanted")? && !row.flag("ignore_tls")?),
        is_ours: is_api_made || row.maybe_text("runner")?.as_deref() == Some("native"),
        expires_at,
    };
    Ok(ExpiringCertificate {
        facts,
        name: row.text("name")?,
        channels: text_list(&row.text("channels")?),
        subject: subject.unwrap_or_default(),
    })
}
