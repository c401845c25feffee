//! Who is told next, and who tells them.
//!
//! A claim is a lease of [`CLAIM_LASTS`] on a subscriber, by the database's clock. Right before a message leaves it is renewed and `sending_at` set:
//! from then on the message may have arrived, and whoever takes it up after a death in between says so and uses the same id. Only what is noted
//! moves a subscriber on.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::subscription::{Record, concerns};
use komainu_watchdogs::time::Wall;

use super::Wish;
use crate::pages::{Definition, Language, News, Way};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::outbox::CLAIM_LASTS;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, Value, values};

/// Whoever is told by somebody is told by then, or rests because it failed.
const SERVED_WITHIN: Duration = Duration::from_secs(1_800);

/// However long alerts wait, subscribers wait no longer for them.
const ALERTS_FIRST: Duration = Duration::from_secs(60);

/// News looked through at once for one subscriber.
const MANY_NEWS: usize = 20;

/// Times that others are looked for, where nothing concerned those who were found: a page may have thousands who chose other components.
const MANY_LOOKS: usize = 50;

/// Looked at at once; those whom nothing concerns are passed over with one statement.
const LOOKED_AT: usize = 500;

/// Somebody who is to be told something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// The row's key.
    pub id: i64,
    /// For links, and for the ids of messages.
    pub public_id: String,
    /// The page.
    pub slug: String,
    /// Its title as it is now, for whoever is asked to confirm.
    pub title: String,
    /// How.
    pub way: Way,
    /// Where.
    pub address: String,
    /// In which language.
    pub language: Language,
    /// What the secret follows from.
    pub nonce: String,
    /// Whether a visitor of the page named the address.
    pub is_strangers: bool,
    /// At this thing so far.
    pub attempts: u32,
    /// Things given up in a row.
    pub failures: u32,
    /// Of this thing, by a mail server that took others'.
    pub refusals: u32,
    /// Somebody began to send it, and nobody knows what came of it.
    pub may_be_repeated: bool,
    /// What.
    pub message: Message,
}

impl Due {
    /// With the try that is under way.
    pub fn record(&self) -> Record {
        Record { attempts: self.attempts + 1, failures: self.failures, refusals: self.refusals }
    }
}

/// What somebody is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// That they are to confirm a wish.
    Greeting {
        /// What they are to confirm.
        wish: Wish,
        /// When they asked for it: another wish is another greeting.
        asked_at: Wall,
    },
    /// Something that the page said.
    News {
        /// The row's key.
        id: i64,
        /// What.
        news: Box<News>,
    },
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It is theirs.
    Told,
    /// It is tried again after so long.
    Again {
        /// How long.
        pause: Duration,
        /// Why.
        trouble: String,
        /// It may have arrived.
        may_have_arrived: bool,
        /// By a mail server that took others', so far.
        refusals: u32,
    },
    /// It is given up.
    GivenUp {
        /// Why.
        trouble: String,
    },
    /// The subscription ends.
    Ended {
        /// Why.
        trouble: String,
    },
    /// Nothing was tried: others may at once.
    Untried,
}

/// Rows that nobody is at; `{now}` is the database's clock.
const FREE: &str = "(claimed_until IS NULL OR claimed_until <= {now})";

/// Takes up to so many of one way, of all pages alike.
pub async fn claim(store: &Store, way: Way, me: Incarnation, most: usize) -> Result<Vec<Due>, StoreError> {
    for look in 0..MANY_LOOKS {
        // Only where the first ones were passed over are many looked at together.
        let looked_at = if look == 0 { most } else { most.max(LOOKED_AT) };
        let ids = candidates(store, way, looked_at).await?;
        if ids.is_empty() {
            break;
        }
        let (taken, are_others_passed) =
            in_transaction!(store, "claim subscribers", |session| claim_in(session, &ids, (me, most)).await)?;
        if !taken.is_empty() || !are_others_passed {
            return Ok(taken);
        }
    }
    Ok(vec![])
}

async fn candidates(store: &Store, way: Way, most: usize) -> Result<Vec<i64>, StoreError> {
    let act = "look for subscribers to be told";
    let mut lease = store.lease(act).await?;
    let now = lease.dialect().now_ms();
    let free = FREE.replace("{now}", now);
    let limit = u32::try_from(most).unwrap_or(u32::MAX);
    let greeted = format!(
        "SELECT id FROM komainu_page_subscriber WHERE kind = ? AND greet_at <= {now} AND wish IS NOT NULL AND {free} ORDER BY greet_at LIMIT ?"
    );
    // Whoever has many asked to confirm something keeps nobody waiting who did.
    let rows = lease.rows(act, greeted, values![way.as_str(), limit.div_ceil(2)]).await?;
    let mut ids = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    let behind = |last: &str| {
        format!(
            "kind = ? AND state = 'confirmed' AND told < {last} AND (retry_at IS NULL OR retry_at <= {now}) AND {free}"
        )
    };
    // One question for all pages: mostly nobody is behind.
    let pages = format!(
        "SELECT n.slug, n.last, (SELECT 1 FROM komainu_page_subscriber s WHERE s.slug = n.slug AND {} LIMIT 1) AS waits \
         FROM (SELECT slug, MAX(id) AS last FROM komainu_page_news GROUP BY slug) n",
        behind("n.last")
    );
    let pages = lease.rows(act, pages, values![way.as_str()]).await?;
    let mut waiting = vec![];
    for page in &pages {
        if page.flag("waits")? {
            waiting.push(values![page.text("slug")?, way.as_str(), page.int("last")?]);
        }
    }
    // A page with thousands does not keep another one's few waiting.
    let share = most.saturating_sub(ids.len()).checked_div(waiting.len()).unwrap_or(0).max(1);
    let behind = behind("?");
    let next = format!("SELECT id FROM komainu_page_subscriber WHERE slug = ? AND {behind} ORDER BY told LIMIT ?");
    for of_page in waiting {
        if ids.len() >= most {
            break;
        }
        let values = [of_page, vec![Value::from(u32::try_from(share).unwrap_or(u32::MAX))]].concat();
        for row in lease.rows(act, next.clone(), values).await? {
            ids.push(row.int("id")?);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// What was taken, and whether somebody was passed over.
async fn claim_in(
    session: &mut Session,
    ids: &[i64],
    (me, most): (Incarnation, usize),
) -> Result<(Vec<Due>, bool), StoreError> {
    let act = "claim subscribers";
    let (now, skip) = (session.dialect().now_ms(), session.dialect().for_update_skipping());
    let sql = format!(
        "SELECT id, public_id, slug, kind, address, state, components, language, nonce, wish, asked_at, greet_at, greet_attempts, greeting_at, told, \
         attempts, failures, refusals, sending_at, created_by, CASE WHEN greet_at IS NOT NULL THEN (SELECT definition FROM komainu_page p WHERE p.slug = s.slug) END AS definition, {now} AS now_ms \
         FROM komainu_page_subscriber s WHERE id IN ({}) AND {} ORDER BY id{skip}",
        id_list(ids),
        FREE.replace("{now}", now)
    );
    let rows = session.rows(act, Sql::Once(sql), vec![]).await?;
    let mut news = Newsstand::default();
    let mut due = vec![];
    let mut passed: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for row in &rows {
        match taken(session, row, &mut news).await? {
            Taken::Due(one) if due.len() < most => due.push(*one),
            Taken::Due(_) | Taken::Nothing => {}
            Taken::Passed(told) => passed.entry(told).or_default().push(row.int("id")?),
        }
    }
    for (told, ids) in &passed {
        let by_primary = session.dialect().by_primary();
        let sql = format!("UPDATE komainu_page_subscriber{by_primary} SET told = ? WHERE id IN ({})", id_list(ids));
        session.execute("pass over what concerns others", Sql::Once(sql), values![*told]).await?;
    }
    let claimed: Vec<i64> = due.iter().map(|due| due.id).collect();
    if !claimed.is_empty() {
        let sql = format!(
            "UPDATE komainu_page_subscriber{} SET claimed_by = ?, claimed_until = {now} + {} WHERE id IN ({})",
            session.dialect().by_primary(),
            CLAIM_LASTS.as_millis(),
            id_list(&claimed)
        );
        session.execute(act, Sql::Once(sql), values![me]).await?;
    }
    Ok((due, !passed.is_empty()))
}

/// What a look at one row finds.
enum Taken {
    Due(Box<Due>),
    /// Up to here nothing concerns them.
    Passed(i64),
    Nothing,
}

/// What one is to be told.
async fn taken(session: &mut Session, row: &Row, news: &mut Newsstand) -> Result<Taken, StoreError> {
    let (id, slug, told) = (row.int("id")?, row.text("slug")?, row.int("told")?);
    let Some(way) = Way::parse(&row.text("kind")?) else { return Ok(Taken::Nothing) };
    let wish: Option<Wish> = row.maybe_text("wish")?.and_then(|text| serde_json::from_str(&text).ok());
    let is_greeted = row.maybe_wall("greet_at")?.is_some_and(|at| row.wall("now_ms").is_ok_and(|now| at <= now));
    let message = match wish.filter(|_| is_greeted) {
        Some(wish) => Message::Greeting { wish, asked_at: row.wall("asked_at")? },
        None if row.text("state")? == "confirmed" => {
            let chosen: Vec<String> = serde_json::from_str(&row.text("components")?).unwrap_or_default();
            match news.next(session, (&slug, told), &chosen).await? {
                Shelf::Here(id, news) => Message::News { id, news },
                Shelf::Nothing(told) => return Ok(Taken::Passed(told)),
            }
        }
        None => return Ok(Taken::Nothing),
    };
    // Tries of one say nothing of the other.
    let (attempts, in_doubt, language) = match &message {
        Message::Greeting { wish, .. } => ("greet_attempts", "greeting_at", wish.language),
        Message::News { .. } => ("attempts", "sending_at", Language::parse(&row.text("language")?).unwrap_or_default()),
    };
    let page: Option<Definition> = serde_json::from_str(&row.text("definition")?).ok();
    Ok(Taken::Due(Box::new(Due {
        id,
        public_id: row.text("public_id")?,
        slug,
        title: page.map(|page| page.title).unwrap_or_default(),
        way,
        address: row.text("address")?,
        language,
        nonce: row.text("nonce")?,
        is_strangers: row.maybe_text("created_by")?.is_none(),
        attempts: row.small(attempts)?,
        failures: row.small("failures")?,
        refusals: row.small("refusals")?,
        may_be_repeated: row.maybe_wall(in_doubt)?.is_some(),
        message,
    })))
}

/// What pages said after a certain thing: read once for all who have heard the same.
#[derive(Default)]
struct Newsstand(BTreeMap<(String, i64), Vec<Said>>);

/// One of them.
struct Said {
    id: i64,
    about: Vec<String>,
    news: Option<News>,
}

enum Shelf {
    Here(i64, Box<News>),
    /// Up to here nothing concerns them.
    Nothing(i64),
}

impl Newsstand {
    async fn next(
        &mut self,
        session: &mut Session,
        after: (&str, i64),
        chosen: &[String],
    ) -> Result<Shelf, StoreError> {
        let key = (after.0.to_owned(), after.1);
        if !self.0.contains_key(&key) {
            self.0.insert(key.clone(), said_after(session, after).await?);
        }
        let said = self.0.get(&key).map_or(&[][..], Vec::as_slice);
        // What only a newer komainu can read is told by one, or not at all.
        let theirs = said.iter().find(|said| said.news.is_some() && concerns(chosen, &said.about));
        Ok(match theirs.and_then(|said| Some((said.id, said.news.clone()?))) {
            Some((id, news)) => Shelf::Here(id, Box::new(news)),
            None => Shelf::Nothing(said.last().map_or(after.1, |last| last.id)),
        })
    }
}

async fn said_after(session: &mut Session, (slug, after): (&str, i64)) -> Result<Vec<Said>, StoreError> {
    let sql = format!(
        "SELECT id, about, body FROM komainu_page_news WHERE slug = ? AND id > ? ORDER BY id LIMIT {MANY_NEWS}"
    );
    let rows = session.rows("read what pages said", sql, values![slug, after]).await?;
    let said = |row: &Row| {
        let about = serde_json::from_str(&row.text("about")?).unwrap_or_default();
        Ok(Said { id: row.int("id")?, about, news: serde_json::from_str(&row.text("body")?).ok() })
    };
    rows.iter().map(said).collect()
}

/// Where tries of a message are noted.
#[derive(Clone, Copy)]
struct Tries {
    attempts: &'static str,
    in_doubt: &'static str,
    again_at: &'static str,
}

impl Tries {
    fn of(message: &Message) -> Self {
        match message {
            Message::Greeting { .. } => {
                Self { attempts: "greet_attempts", in_doubt: "greeting_at", again_at: "greet_at" }
            }
            Message::News { .. } => Self { attempts: "attempts", in_doubt: "sending_at", again_at: "retry_at" },
        }
    }
}

/// The last look before a message leaves; `false`: the claim ended, or there is nothing to be told any more.
pub async fn begin(store: &Store, due: &Due, me: Incarnation) -> Result<bool, StoreError> {
    let act = "begin to tell a subscriber";
    let now = store.dialect().now_ms();
    let (is_still, of) = match &due.message {
        Message::Greeting { asked_at, .. } => ("greet_at IS NOT NULL AND asked_at = ?", values![*asked_at]),
        Message::News { id, .. } => {
            ("state = 'confirmed' AND EXISTS (SELECT 1 FROM komainu_page_news n WHERE n.id = ?)", values![*id])
        }
    };
    let Tries { attempts, in_doubt, .. } = Tries::of(&due.message);
    let sql = format!(
        "UPDATE komainu_page_subscriber SET {in_doubt} = {now}, {attempts} = {attempts} + 1, claimed_until = {now} + {} \
         WHERE id = ? AND claimed_by = ? AND claimed_until > {now} AND {is_still}",
        CLAIM_LASTS.as_millis()
    );
    let values = [values![due.id, me], of].concat();
    let begun = in_transaction!(store, act, |session| session.execute(act, sql.clone(), values.clone()).await)?;
    Ok(begun > 0)
}

/// Keeps the claim of a message alive that takes long.
pub async fn renew(store: &Store, due: &Due, me: Incarnation) -> Result<(), StoreError> {
    let act = "keep a claim alive";
    let now = store.dialect().now_ms();
    let sql = format!(
        "UPDATE komainu_page_subscriber SET claimed_until = {now} + {} WHERE id = ? AND claimed_by = ? AND claimed_until > {now}",
        CLAIM_LASTS.as_millis()
    );
    store.lease(act).await?.execute(act, sql, values![due.id, me]).await.map(|_| ())
}

/// Notes how it ended. That it arrived is noted whoever is at it by now: the less it is repeated, the better.
pub async fn end(store: &Store, due: &Due, me: Incarnation, end: &End) -> Result<(), StoreError> {
    in_transaction!(store, "note what became of a message", |session| end_in(session, due, me, end).await)
}

async fn end_in(session: &mut Session, due: &Due, me: Incarnation, end: &End) -> Result<(), StoreError> {
    let act = "note what became of a message";
    let now = session.dialect().now_ms();
    let Tries { attempts, in_doubt, again_at } = Tries::of(&due.message);
    let free = "claimed_by = NULL, claimed_until = NULL";
    let over = format!("{in_doubt} = NULL, {attempts} = 0, refusals = 0, {again_at} = NULL, {free}");
    // That this try did not arrive says nothing of one before it.
    let forgets = if due.may_be_repeated { String::new() } else { format!("{in_doubt} = NULL, ") };
    // A greeting is done with once it was tried to the end, unless they wish something else by now; news move the subscriber on.
    let (mine, of, told) = match &due.message {
        Message::Greeting { asked_at, .. } => {
            ("id = ? AND claimed_by = ? AND asked_at = ?", values![*asked_at], vec![])
        }
        Message::News { id, .. } => ("id = ? AND claimed_by = ?", vec![], values![*id]),
    };
    let mine_is = || [values![due.id, me], of.clone()].concat();
    let greets = told.is_empty();
    let (sql, values) = match end {
        End::Told if greets => (format!("{over} WHERE {mine}"), mine_is()),
        End::Told => {
            let sql = format!("told = ?, failures = 0, trouble = NULL, {over} WHERE id = ? AND told < ?");
            (sql, [told.clone(), values![due.id], told].concat())
        }
        End::Again { pause, trouble, may_have_arrived, refusals } => {
            let kept = if *may_have_arrived { "" } else { forgets.as_str() };
            let sql = format!("{again_at} = {now} + ?, {kept}trouble = ?, refusals = ?, {free} WHERE {mine}");
            let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
            (sql, [values![pause, trouble, i64::from(*refusals)], mine_is()].concat())
        }
        // Whoever does not confirm is swept; what somebody had confirmed before stays.
        End::GivenUp { trouble } | End::Ended { trouble } if greets => {
            (format!("trouble = ?, {over} WHERE {mine}"), [values![trouble], mine_is()].concat())
        }
        End::GivenUp { trouble } => {
            let sql = format!("told = ?, failures = failures + 1, trouble = ?, {over} WHERE {mine}");
            (sql, [told, values![trouble], mine_is()].concat())
        }
        End::Ended { trouble } => {
            let sql = format!("told = ?, state = 'ended', ended_at = {now}, trouble = ?, {over} WHERE {mine}");
            (sql, [told, values![trouble], mine_is()].concat())
        }
        End::Untried => {
            let untried = format!(
                "{attempts} = CASE WHEN {attempts} > {0} THEN {attempts} - 1 ELSE {attempts} END",
                due.attempts
            );
            (format!("{untried}, {forgets}{free} WHERE {mine}"), mine_is())
        }
    };
    let sql = format!("UPDATE komainu_page_subscriber SET {sql}");
    if session.execute(act, Sql::Once(sql), values).await? == 0 && greets {
        // They wish something else by now, which others may ask them to confirm.
        let sql = format!("UPDATE komainu_page_subscriber SET {free} WHERE id = ? AND claimed_by = ?");
        session.execute(act, Sql::Once(sql), values![due.id, me]).await?;
    }
    Ok(())
}

/// Alerts wait for this channel, and not for so long that it must be out of order: subscribers wait meanwhile.
pub async fn is_channel_needed(store: &Store, channel: &str) -> Result<bool, StoreError> {
    let act = "look whether alerts wait for a channel";
    let now = store.dialect().now_ms();
    let sql = format!(
        "SELECT 1 AS one FROM komainu_delivery WHERE state = 'waiting' AND channel = ? AND due_at <= {now} AND due_at > {now} - {} LIMIT 1",
        ALERTS_FIRST.as_millis()
    );
    Ok(store.lease(act).await?.row(act, sql, values![channel]).await?.is_some())
}

/// Whether somebody of this way waits whom nobody has tried to tell for long.
pub async fn is_unserved(store: &Store, way: Way) -> Result<bool, StoreError> {
    let act = "look whether subscribers wait in vain";
    let sql = format!(
        "SELECT 1 AS one FROM (SELECT slug, MAX(id) AS last FROM komainu_page_news WHERE entered_at < {} - {} GROUP BY slug) n \
         JOIN komainu_page_subscriber s ON s.slug = n.slug \
         WHERE s.kind = ? AND s.state = 'confirmed' AND s.told < n.last AND s.retry_at IS NULL AND s.claimed_until IS NULL LIMIT 1",
        store.dialect().now_ms(),
        SERVED_WITHIN.as_millis()
    );
    Ok(store.lease(act).await?.row(act, sql, values![way.as_str()]).await?.is_some())
}
