//! Public pages say what windows want said: notices are written, changed and left as [`crate::pages::announcing`] decides.
//!
//! Any watchdog does it, under the lock of the pages; whoever comes second finds nothing left to do. What a page says is what an operator would
//! have written there: its readers, feeds and subscribers know no difference, and neither name nor subjects of a window come near it.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use super::standing;
use crate::pages::announcing::{ANNOUNCED_BEFORE, Act, Wanted, act, components};
use crate::pages::notice::{Kind, Notice};
use crate::pages::{Definition, Source};
use crate::silence::{Silence, Window};
use crate::store::catalog::Catalog;
use crate::store::decisions::id_list;
use crate::store::downtimes::tags;
use crate::store::error::StoreError;
use crate::store::pages::{self, Which};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::silences::now_on;
use crate::store::value::{Value, values};
use crate::store::watch::text_list;

/// Notices of windows on all pages that are not over.
const MOST_ANNOUNCED: usize = 2_000;

/// Notices of windows that a page keeps; older ones go.
const MOST_KEPT: u32 = 500;

/// Values of one statement.
const TOGETHER: usize = 500;

const ACT: &str = "say on pages what maintenances want said";

/// A window on a page: the window's row, and the page's place.
type Place = (i64, String);

/// Brings pages up to what windows want; says how many notices were written, changed or left.
pub async fn announce(store: &Store) -> Result<usize, StoreError> {
    let catalog = store.catalog().await?;
    let due = due(&mut *store.lease(ACT).await?, &catalog).await?;
    if due.is_empty() {
        return Ok(0);
    }
    in_transaction!(store, ACT, |session| announce_in(session, &catalog).await)
}

async fn announce_in(session: &mut Session, catalog: &Catalog) -> Result<usize, StoreError> {
    pages::lock(session).await?;
    let due = due(session, catalog).await?;
    for one in &due {
        perform(session, one).await?;
    }
    Ok(due.len())
}

struct Due {
    place: Place,
    /// Who says it: the window by its name; for the trail only.
    by: String,
    /// Its public id.
    notice: Option<String>,
    act: Act,
}

async fn due(session: &mut Session, catalog: &Catalog) -> Result<Vec<Due>, StoreError> {
    let now = now_on(session).await?;
    let mut windows = standing(session, now).await?;
    windows.retain(|window| window.made.window.as_ref().is_some_and(|window| window.public.is_some()));
    let there = there(session).await?;
    if windows.is_empty() && there.is_empty() {
        return Ok(vec![]);
    }
    let all = pages::definitions(session).await?;
    let wanted = wanted(session, catalog, (&windows, &all, now)).await?;
    let places: BTreeSet<&Place> = there.keys().chain(wanted.keys()).collect();
    let language = |slug: &str| all.get(slug).map(|page| page.language).unwrap_or_default();
    let name = |id: i64| {
        let window = windows.iter().find(|window| window.id == id).and_then(|window| window.made.window.as_ref());
        window.map_or_else(|| "maintenance".to_owned(), |window| format!("maintenance/{}", window.name))
    };
    let one = |place: &Place| {
        let notice = there.get(place);
        let act = act(notice, wanted.get(place), (language(&place.1), now))?;
        let notice = notice.map(|notice| notice.public_id.clone());
        Some(Due { place: place.clone(), by: name(place.0), notice, act })
    };
    Ok(places.into_iter().filter_map(one).collect())
}

/// What belongs to a window.
async fn there(session: &mut Session) -> Result<BTreeMap<Place, Notice>, StoreError> {
    let sql = "SELECT id, maintenance FROM komainu_page_notice WHERE maintenance IS NOT NULL ORDER BY id";
    let rows = session.rows(ACT, sql, vec![]).await?;
    let of = rows.iter().map(|row| Ok((row.int("id")?, row.int("maintenance")?)));
    let of = of.collect::<Result<BTreeMap<i64, i64>, StoreError>>()?;
    if of.is_empty() {
        return Ok(BTreeMap::new());
    }
    let notices = pages::notices_that(session, " WHERE maintenance IS NOT NULL ORDER BY id", vec![]).await?;
    let place = |notice: Notice| Some(((*of.get(&notice.id)?, notice.slug.clone()), notice));
    Ok(notices.into_iter().filter_map(place).collect())
}

async fn wanted(
    session: &mut Session,
    catalog: &Catalog,
    (windows, all, now): (&[Silence], &BTreeMap<String, Definition>, Wall),
) -> Result<BTreeMap<Place, Wanted>, StoreError> {
    let soon = |window: &Silence| window.made.next_time(now).filter(|(from, _)| *from <= now + ANNOUNCED_BEFORE);
    let due: Vec<_> = windows.iter().filter_map(|window| Some((window, soon(window)?))).collect();
    let mut found = BTreeMap::new();
    if due.is_empty() {
        return Ok(found);
    }
    let known = Known::of(session, catalog, (&due.iter().map(|(window, _)| *window).collect::<Vec<_>>(), all)).await?;
    for (window, time) in due {
        let Some((subjects, public)) = window.made.window.as_ref().and_then(|one| Some((one, one.public.clone()?)))
        else {
            continue;
        };
        for (slug, page) in all {
            let components = components(page, |source| known.takes(subjects, source));
            if !components.is_empty() && found.len() < MOST_ANNOUNCED {
                found.insert((window.id, slug.clone()), Wanted { time, components, public: public.clone() });
            }
        }
    }
    Ok(found)
}

/// What must be known of what stands on pages.
#[derive(Default)]
struct Known {
    refs: BTreeMap<String, MonitorId>,
    /// Of `monitor/7`, `check/shop`, `heartbeat/backup`; where a window names a tag.
    tags: BTreeMap<String, Vec<String>>,
}

impl Known {
    async fn of(
        session: &mut Session,
        catalog: &Catalog,
        (windows, all): (&[&Silence], &BTreeMap<String, Definition>),
    ) -> Result<Self, StoreError> {
        let sources: BTreeSet<&Source> =
            all.values().flat_map(|page| page.components().map(|component| &component.source)).collect();
        let names = |pick: fn(&Source) -> Option<&String>| -> Vec<String> {
            sources.iter().filter_map(|source| pick(source)).cloned().collect()
        };
        let refs = names(|source| if let Source::MonitorRef(name) = source { Some(name) } else { None });
        let refs = pages::refs_in(session, &refs).await?;
        let mut known = Self { refs, tags: BTreeMap::new() };
        let subjects =
            windows.iter().filter_map(|window| window.made.window.as_ref()).flat_map(|window| &window.subjects);
        if !subjects.into_iter().any(|subject| subject.starts_with("tag/")) {
            return Ok(known);
        }
        let by_id = sources.iter().filter_map(|source| if let Source::Monitor(id) = source { Some(*id) } else { None });
        let ids: BTreeSet<MonitorId> = by_id.chain(known.refs.values().copied()).collect();
        for part in Vec::from_iter(ids).chunks(TOGETHER) {
            let found = tags(session, catalog, part).await?;
            known.tags.extend(found.into_iter().map(|(id, tags)| (format!("monitor/{}", id.0), tags)));
        }
        let checks = names(|source| if let Source::Check(name) = source { Some(name) } else { None });
        known.read_tags(session, ("check", "komainu_check"), &checks).await?;
        let heartbeats = names(|source| if let Source::Heartbeat(name) = source { Some(name) } else { None });
        known.read_tags(session, ("heartbeat", "komainu_heartbeat"), &heartbeats).await?;
        Ok(known)
    }

    async fn read_tags(
        &mut self,
        session: &mut Session,
        (kind, table): (&str, &str),
        names: &[String],
    ) -> Result<(), StoreError> {
        for part in names.chunks(TOGETHER) {
            let places = vec!["?"; part.len()].join(", ");
            let sql = format!("SELECT name, tags FROM {table} WHERE name IN ({places})");
            for row in session.rows(ACT, Sql::Once(sql), part.iter().map(Value::from).collect()).await? {
                self.tags.insert(format!("{kind}/{}", row.text("name")?), text_list(&row.text("tags")?));
            }
        }
        Ok(())
    }

    /// Whether one of a window's subjects is, or tags, what a component shows. Nodes are never shown to the public: what they run goes on
    /// elsewhere.
    fn takes(&self, window: &Window, source: &Source) -> bool {
        let key = match source {
            Source::Monitor(id) => format!("monitor/{}", id.0),
            Source::MonitorRef(name) => match self.refs.get(name) {
                Some(id) => format!("monitor/{}", id.0),
                None => return false,
            },
            Source::Check(name) => format!("check/{name}"),
            Source::Heartbeat(name) => format!("heartbeat/{name}"),
        };
        let mut tags = self.tags.get(&key).into_iter().flatten();
        window.subjects.contains(&key) || tags.any(|tag| window.subjects.contains(&format!("tag/{tag}")))
    }
}

async fn perform(session: &mut Session, due: &Due) -> Result<(), StoreError> {
    let (window, slug) = &due.place;
    let which = |id| Which { slug, kind: Kind::Maintenance, id, if_match: &[] };
    let refused = match (&due.act, due.notice.as_deref()) {
        (Act::Post(draft), _) => {
            make_room(session, slug).await?;
            let posted = pages::post_in(session, &due.by, (slug, Kind::Maintenance), draft).await?;
            if let Ok(id) = &posted {
                let sql = "UPDATE komainu_page_notice SET maintenance = ? WHERE public_id = ?";
                session.execute(ACT, sql, values![*window, id]).await?;
            }
            posted.err()
        }
        (Act::Update(draft), Some(id)) => pages::update_in(session, &due.by, which(id), draft).await?.err(),
        (Act::Leave(words), Some(id)) => {
            let refused = match words {
                Some(draft) => pages::update_in(session, &due.by, which(id), draft).await?.err(),
                None => None,
            };
            let sql = "UPDATE komainu_page_notice SET maintenance = NULL WHERE public_id = ?";
            session.execute(ACT, sql, values![id]).await?;
            refused
        }
        (Act::Update(_) | Act::Leave(_), None) => None,
    };
    if let Some(refused) = refused {
        tracing::warn!(page = slug, by = due.by, ?refused, "a page cannot say what a maintenance wants said");
    }
    Ok(())
}

/// The oldest that windows wrote on the page and that are over make room: some come again each night.
async fn make_room(session: &mut Session, slug: &str) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT id FROM komainu_page_notice WHERE slug = ? AND maintenance IS NULL AND created_by LIKE 'maintenance/%' \
         ORDER BY id DESC LIMIT {TOGETHER} OFFSET {MOST_KEPT}"
    );
    let rows = session.rows(ACT, sql, values![slug]).await?;
    let old = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    if old.is_empty() {
        return Ok(());
    }
    let ids = id_list(&old);
    let news = format!(
        "DELETE FROM komainu_page_news WHERE notice_id IN (SELECT public_id FROM komainu_page_notice WHERE id IN ({ids}))"
    );
    session.execute(ACT, Sql::Once(news), vec![]).await?;
    let said = format!("DELETE FROM komainu_page_update WHERE notice_id IN ({ids})");
    session.execute(ACT, Sql::Once(said), vec![]).await?;
    session.execute(ACT, Sql::Once(format!("DELETE FROM komainu_page_notice WHERE id IN ({ids})")), vec![]).await?;
    Ok(())
}
