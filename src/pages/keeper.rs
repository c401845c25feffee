//! The task that keeps pages: reads what was chosen and written, how everything on them is, and what was counted of it.
//!
//! One number says whether anything was written. How things are is read every two seconds, checks and heartbeats from what the watchdog
//! knows anyway; days every minute, of today and yesterday, and all ninety of what is new on a page. Never for more than a twentieth of the
//! time. While the database is away pages stay, with their age; what nobody could say for five minutes is no longer known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::{Mono, Wall};
use tokio_util::sync::CancellationToken;

use super::definition::{Component, Definition, Source};
use super::html::Age;
use super::library::{Library, Reading, Secrets, Shelf, Volume};
use super::notice::Notice;
use super::public::{DAYS, Known, PublicPage, public};
use super::standing::Standing;
use crate::clock;
use crate::heartbeat::{Heartbeats, Vouched};
use crate::looks::Looks;
use crate::store::pages::{self, Everything, Page};
use crate::store::{Store, StoreError};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Between two readings of what was counted.
const COUNT: Duration = Duration::from_secs(60);
/// A page whose content did not change is drawn anew after this: it says when it was so.
const REDRAW_MS: i64 = 60_000;
/// What nobody could say for so long is not known.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// How long the database may take to say how things are.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to say what was counted: of 10,000 things for 90 days, the first time.
const COUNT_LIMIT: Duration = Duration::from_secs(60);
/// Between two pages that are drawn, so many times what drawing one took.
const DRAW_PAUSE: u32 = 2;
/// Reading takes at most one part in so many of the time.
const SHARE: u32 = 20;

const DAY_S: i64 = 86_400;
const WEEK_S: i64 = 7 * DAY_S;

/// What the keeper goes by.
pub(crate) struct Keeper {
    pub(crate) library: Library,
    pub(crate) store: Store,
    pub(crate) looks: Looks,
    pub(crate) heartbeats: Heartbeats,
    /// Where the public finds pages, without a slash at its end.
    pub(crate) base: Arc<str>,
    pub(crate) stopping: CancellationToken,
}

/// What is known of one thing, and since when nobody could say.
#[derive(Clone, Copy)]
struct Seen {
    standing: Standing,
    at: Mono,
}

/// What pages were made of: while nothing of it changes, nothing is made.
struct Shelved {
    revision: u64,
    standings: BTreeMap<Source, Standing>,
    /// When a page says something else although nothing changed: a maintenance begins, or a minute is over.
    until: Wall,
}

#[derive(Default)]
struct Progress {
    everything: Option<Everything>,
    /// Monitors by their refs, of those that pages name so.
    refs: BTreeMap<String, MonitorId>,
    /// When the database last answered all that was asked.
    read: Option<Reading>,
    seen: BTreeMap<Source, Seen>,
    known: Known,
    /// What was put up last.
    shelved: Option<Shelved>,
    /// Of which all days were read.
    counted: BTreeSet<Source>,
    counted_at: Option<Mono>,
}

impl Keeper {
    /// Until nobody has the pages any more, or the process stops.
    pub(crate) async fn run(self) {
        let mut progress = Progress::default();
        while !self.library.is_abandoned() {
            let began_at = clock::now();
            self.advance(&mut progress).await;
            let took = clock::now().since(began_at);
            let goes_on_at = clock::now() + LOOK.max(took * SHARE);
            tokio::select! {
                () = clock::sleep_until(goes_on_at) => {}
                () = self.library.woken() => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// Whoever waits for a database that does not answer must not keep what the watchdog sees itself.
    async fn advance(&self, progress: &mut Progress) {
        let read = tokio::time::timeout(READ_LIMIT, Box::pin(self.read(progress))).await;
        self.look(progress);
        self.shelve(progress, false).await;
        let counted = match read {
            Ok(Ok(database)) => tokio::time::timeout(COUNT_LIMIT, Box::pin(self.count(progress, database))).await,
            Ok(Err(error)) => Ok(Err(error)),
            Err(late) => Err(late),
        };
        match counted {
            Ok(Ok(true)) => self.shelve(progress, true).await,
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "public pages are not read anew"),
            Err(_) => tracing::debug!("public pages are not read anew: the database takes too long"),
        }
    }

    /// What only the database knows; its clock.
    async fn read(&self, progress: &mut Progress) -> Result<Wall, StoreError> {
        let at = clock::now();
        let (revision, database) = pages::revision(&self.store).await?;
        if progress.everything.as_ref().is_none_or(|known| known.revision != revision) {
            progress.everything = Some(pages::everything(&self.store).await?);
        }
        self.read_monitors(progress).await?;
        // Only now: what is shown is as old as the oldest part of it.
        progress.read = Some(Reading { database, at });
        Ok(database)
    }

    async fn read_monitors(&self, progress: &mut Progress) -> Result<(), StoreError> {
        let at = clock::now();
        // A monitor may get its ref, or lose it, without anybody writing to a page.
        let sources = progress.sources();
        let named =
            sources.iter().filter_map(|source| if let Source::MonitorRef(name) = source { Some(name) } else { None });
        progress.refs = pages::by_refs(&self.store, &named.cloned().collect::<Vec<_>>()).await?;
        let monitors: BTreeMap<MonitorId, Vec<Source>> = progress.monitors();
        let ids: Vec<MonitorId> = monitors.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let active = pages::monitors_of(&self.store, &ids).await?;
        let beats = self.store.last_beats(&ids).await?;
        let beats: BTreeMap<MonitorId, _> = beats.into_iter().map(|beat| (beat.monitor, beat.status)).collect();
        for (id, sources) in monitors {
            let status = beats.get(&id).copied().filter(|_| active.get(&id).copied().unwrap_or_default());
            let standing = Standing::of_beat(status);
            progress.seen.extend(sources.into_iter().map(|source| (source, Seen { standing, at })));
        }
        Ok(())
    }

    /// What the watchdog knows anyway.
    fn look(&self, progress: &mut Progress) {
        let at = clock::now();
        let sources = progress.sources();
        let checks: BTreeMap<String, _> =
            if sources.iter().any(|source| matches!(source, Source::Check(_))) { self.looks.states() } else { vec![] }
                .into_iter()
                .collect();
        for source in &sources {
            let standing = match source {
                Source::Monitor(_) | Source::MonitorRef(_) => continue,
                Source::Check(name) => Standing::of_check(checks.get(name).copied()),
                Source::Heartbeat(name) => match self.heartbeats.vouched(name) {
                    Some(vouched) => Standing::of_heartbeat(state(vouched)),
                    // Nobody can say just now: what was known stays for a while.
                    None => continue,
                },
            };
            progress.seen.insert(source.clone(), Seen { standing, at });
        }
        progress.seen.retain(|source, _| sources.contains(source));
        let of = |seen: &Seen| if at.since(seen.at) > KNOWN_FOR { Standing::Unknown } else { seen.standing };
        progress.known.standings = progress.seen.iter().map(|(source, seen)| (source.clone(), of(seen))).collect();
    }

    /// What was counted: of what is new on a page all days, of everything else the last two. Whether anything was read.
    async fn count(&self, progress: &mut Progress, database: Wall) -> Result<bool, StoreError> {
        let now = clock::now();
        // A ref that nobody bears yet is new when somebody does.
        let mut sources = progress.sources();
        sources.retain(|source| !matches!(source, Source::MonitorRef(name) if !progress.refs.contains_key(name)));
        let new: BTreeSet<Source> = sources.difference(&progress.counted).cloned().collect();
        let is_due = progress.counted_at.is_none_or(|at| now.since(at) >= COUNT);
        if new.is_empty() && !is_due {
            return Ok(false);
        }
        let until = database.0.div_euclid(1_000);
        let today = until - until.rem_euclid(DAY_S);
        let first = today - (DAYS - 1) * DAY_S;
        self.count_of(progress, &new, (first, until)).await?;
        if is_due {
            let old = sources.difference(&new).cloned().collect();
            self.count_of(progress, &old, (today - DAY_S, until)).await?;
            progress.counted_at = Some(now);
        }
        let Known { days, hours, .. } = &mut progress.known;
        days.retain(|source, _| sources.contains(source));
        hours.retain(|source, _| sources.contains(source));
        for days in days.values_mut() {
            days.retain(|at, _| *at >= first);
        }
        for hours in hours.values_mut() {
            hours.retain(|at, _| *at >= until - WEEK_S);
        }
        progress.counted = sources;
        Ok(true)
    }

    async fn count_of(
        &self,
        progress: &mut Progress,
        sources: &BTreeSet<Source>,
        span: (i64, i64),
    ) -> Result<(), StoreError> {
        let monitors = progress.monitors();
        let wanted = |of: &Vec<Source>| of.iter().any(|source| sources.contains(source));
        let ids: Vec<MonitorId> = monitors.iter().filter(|(_, of)| wanted(of)).map(|(id, _)| *id).collect();
        let graphed: Vec<MonitorId> = {
            let graphs = progress.graphs();
            ids.iter()
                .copied()
                .filter(|id| monitors.get(id).is_some_and(|of| of.iter().any(|one| graphs.contains(one))))
                .collect()
        };
        let week = span.1 - WEEK_S;
        let days = pages::monitor_days(&self.store, &ids, span).await?;
        let hours = pages::hours(&self.store, &graphed, (week.max(span.0), span.1)).await?;
        for (id, of) in &monitors {
            for source in of {
                learn(&mut progress.known.days, source, days.get(id));
                learn(&mut progress.known.hours, source, hours.get(id));
            }
        }
        let names = |pick: fn(&Source) -> Option<&String>| sources.iter().filter_map(pick).cloned().collect::<Vec<_>>();
        let checks = names(|source| if let Source::Check(name) = source { Some(name) } else { None });
        let (days, hours) = pages::check_days(&self.store, &checks, span).await?;
        for name in checks {
            let source = Source::Check(name.clone());
            learn(&mut progress.known.days, &source, days.get(&name));
            learn(&mut progress.known.hours, &source, hours.get(&name));
        }
        let heartbeats = names(|source| if let Source::Heartbeat(name) = source { Some(name) } else { None });
        let days = pages::heartbeat_days(&self.store, &heartbeats, span).await?;
        for name in heartbeats {
            learn(&mut progress.known.days, &Source::Heartbeat(name.clone()), days.get(&name));
        }
        Ok(())
    }

    /// Puts up what changed; what did not keeps what was drawn of it.
    async fn shelve(&self, progress: &mut Progress, is_counted: bool) {
        let (Some(everything), Some(read)) = (&progress.everything, progress.read) else { return };
        let now = read.wall(clock::now());
        let is_same = |shelved: &Shelved| {
            shelved.revision == everything.revision
                && shelved.standings == progress.known.standings
                && now < shelved.until
        };
        if !is_counted && progress.shelved.as_ref().is_some_and(is_same) {
            return;
        }
        let is_whole = self.put(everything, (&progress.known, read.database), now).await;
        let changes = everything.notices.iter().filter_map(|notice| notice.next_change(now));
        let until = changes.chain([Wall(now.0.saturating_add(REDRAW_MS))]).min().unwrap_or(now);
        let (revision, standings) = (everything.revision, progress.known.standings.clone());
        // What is left to be drawn is, at the next look.
        progress.shelved = is_whole.then_some(Shelved { revision, standings, until });
    }

    /// Whether all of it was drawn: what has only become older waits for the next look rather than keep what people write now.
    async fn put(&self, everything: &Everything, (known, as_of): (&Known, Wall), now: Wall) -> bool {
        let before = self.library.shelf();
        let mut notices: BTreeMap<&str, Vec<Notice>> = BTreeMap::new();
        for notice in &everything.notices {
            notices.entry(&notice.slug).or_default().push(notice.clone());
        }
        let volume = |page: &Page| {
            let slug = page.definition.slug.as_str();
            let told = notices.get(slug).map_or(&[][..], Vec::as_slice);
            let changed_at = told.iter().map(|notice| notice.changed_at).max().unwrap_or(page.changed_at);
            let shown = public(&page.definition, told, (known, now), changed_at.max(page.changed_at));
            let age = Age { as_of, now };
            let kept = before.volumes.get(slug).filter(|kept| is_still_so(kept, &shown, age, &page.definition));
            let volume = kept.map_or_else(|| Arc::new(self.volume(shown, age, &page.definition)), Arc::clone);
            (slug.to_owned(), volume)
        };
        let mut volumes: Volumes = everything.pages.iter().map(volume).collect();
        let redrawn = |(slug, old): (&String, &Arc<Volume>)| {
            let new = volumes.get(slug).filter(|new| !Arc::ptr_eq(old, new))?;
            Some((slug.clone(), Arc::clone(old), Arc::clone(new)))
        };
        let redrawn: Vec<_> = before.volumes.iter().filter_map(redrawn).collect();
        // What says something else now does not wait for what has only become older.
        let (older, other): (Vec<_>, Vec<_>) =
            redrawn.into_iter().partition(|(_, old, new)| old.is_like(&new.page, new.secrets()));
        for (_, old, new) in other {
            draw(old, new).await;
        }
        volumes.extend(older.iter().map(|(slug, old, _)| (slug.clone(), Arc::clone(old))));
        self.library.put(Shelf { volumes: volumes.clone(), read_at: Some(as_of) });
        let began_at = clock::now();
        let mut older = older.into_iter();
        for (slug, old, new) in older.by_ref() {
            draw(old, Arc::clone(&new)).await;
            volumes.insert(slug, new);
            if clock::now().since(began_at) >= LOOK {
                break;
            }
        }
        self.library.put(Shelf { volumes, read_at: Some(as_of) });
        older.len() == 0
    }

    fn volume(&self, shown: PublicPage, age: Age, page: &Definition) -> Volume {
        Volume::new(shown, age, secrets(page), Arc::clone(&self.base))
    }
}

type Volumes = BTreeMap<String, Arc<Volume>>;

fn secrets(page: &Definition) -> Secrets<'_> {
    Secrets { password: page.password.as_deref(), logo: page.logo.as_deref() }
}

/// Draws what will be asked for again, as it was asked for. A hundred pages take a second of a core, which neither visitors nor the
/// watchdog's own tasks wait for: it is not spent at once.
async fn draw(old: Arc<Volume>, new: Arc<Volume>) {
    let began_at = clock::now();
    let drawing = tokio::task::spawn_blocking(move || new.draw_as_asked(&old));
    if let Err(error) = drawing.await {
        tracing::error!(%error, "a public page could not be drawn");
    }
    let now = clock::now();
    clock::sleep_until(now + now.since(began_at) * DRAW_PAUSE).await;
}

/// Whether what was drawn says what would be drawn now.
fn is_still_so(kept: &Volume, shown: &PublicPage, age: Age, page: &Definition) -> bool {
    let is_fresh = age.now.0.saturating_sub(kept.age.now.0) < REDRAW_MS;
    is_fresh && kept.is_like(shown, secrets(page))
}

fn learn<T: Copy>(all: &mut BTreeMap<Source, BTreeMap<i64, T>>, source: &Source, more: Option<&BTreeMap<i64, T>>) {
    if let Some(more) = more {
        all.entry(source.clone()).or_default().extend(more.iter().map(|(at, one)| (*at, *one)));
    }
}

fn state(vouched: Vouched) -> Option<komainu_watchdogs::heartbeat::State> {
    match vouched {
        Vouched::Alive => Some(komainu_watchdogs::heartbeat::State::Up),
        Vouched::Not(state) => Some(state),
        Vouched::NoSuch | Vouched::Paused => None,
    }
}

impl Progress {
    fn components(&self) -> impl Iterator<Item = &Component> {
        let pages = self.everything.iter().flat_map(|everything| &everything.pages);
        pages.flat_map(|page| page.definition.components())
    }

    /// All that stands on pages.
    fn sources(&self) -> BTreeSet<Source> {
        self.components().map(|component| component.source.clone()).collect()
    }

    fn graphs(&self) -> BTreeSet<Source> {
        self.components().filter(|component| component.graph).map(|component| component.source.clone()).collect()
    }

    /// The monitors among them, by their keys.
    fn monitors(&self) -> BTreeMap<MonitorId, Vec<Source>> {
        let mut monitors: BTreeMap<MonitorId, Vec<Source>> = BTreeMap::new();
        for source in self.sources() {
            let id = match &source {
                Source::Monitor(id) => Some(*id),
                Source::MonitorRef(name) => self.refs.get(name).copied(),
                Source::Check(_) | Source::Heartbeat(_) => None,
            };
            if let Some(id) = id {
                monitors.entry(id).or_default().push(source);
            }
        }
        monitors
    }
}
