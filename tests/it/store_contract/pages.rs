//! Public pages: written whole or not at all, never lost to another writer, bounded, and cheap to watch.

use std::collections::BTreeMap;

use komainu::pages::notice::{Draft, Impact, Kind as What, Stage};
use komainu::pages::{Day, Source};
use komainu::silence::window::PublicWords;
use komainu::silence::{NewSilence, Window};
use komainu::store::maintenances::{self, announcing::announce};
use komainu::store::pages::{self, Change, Refusal, Target, Which, Wish};
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;
use serde_json::{Value as Json, json};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_page_is_read_as_it_was_written,
    two_who_write_one_page_do_not_overwrite_each_other_unseen,
    what_is_told_on_a_page_is_read_in_its_order_and_goes_with_it,
    whoever_watches_the_pages_sees_each_write_by_one_number,
    days_come_from_the_rows_that_everything_else_goes_by,
    whoever_says_what_a_maintenance_wants_said_says_it_once,
}

const DAY_S: i64 = 86_400;

fn wish(target: Target, slug: &str, fields: &Json) -> Wish {
    Wish { target, slug: slug.to_owned(), fields: fields.as_object().unwrap().clone(), if_match: vec![] }
}

fn shop() -> Json {
    json!({"title": "Läden, \"x\" \u{1f600}", "language": "zh-TW", "logo": "data:image/png;base64,iVBORw0KGgo=",
        "embed_from": ["https://a.example"], "password": "hash", "managed_by": "apply/shop", "groups": [{"name": "Web",
        "components": [{"name": "Front", "monitor": 7, "graph": true}, {"name": "Mail", "check": "mail"},
            {"name": "Job", "heartbeat": "backup"}, {"name": "Ref", "monitor_ref": "shop"}]}]})
}

async fn write(fixture: &Fixture, wish: &Wish) -> Result<Change, Refusal> {
    pages::write(&fixture.store, "key/test", wish).await.unwrap()
}

async fn with_shop(kind: Kind) -> Fixture {
    let fixture = Fixture::native(kind).await;
    assert_eq!(write(&fixture, &wish(Target::New, "shop", &shop())).await, Ok(Change::Created));
    fixture
}

async fn a_page_is_read_as_it_was_written(kind: Kind) {
    let fixture = with_shop(kind).await;
    let page = pages::get(&fixture.store, "shop").await.unwrap().unwrap();
    let definition = &page.definition;
    assert_eq!((definition.slug.as_str(), definition.managed_by.as_deref()), ("shop", Some("apply/shop")));
    assert_eq!((definition.password.as_deref(), definition.language.code()), (Some("hash"), "zh-TW"));
    assert!(definition.logo.as_deref().is_some_and(|logo| logo.starts_with("data:image/png")));
    let sources: Vec<Source> = definition.components().map(|component| component.source.clone()).collect();
    let named = |name: &str| name.to_owned();
    assert_eq!(
        sources,
        [
            Source::Monitor(MonitorId(7)),
            Source::Check(named("mail")),
            Source::Heartbeat(named("backup")),
            Source::MonitorRef(named("shop"))
        ]
    );
    assert_eq!(write(&fixture, &wish(Target::Whole, "shop", &shop())).await, Ok(Change::Unchanged));
    let again = pages::get(&fixture.store, "shop").await.unwrap().unwrap();
    assert_eq!(again, page, "what did not change was not written");
    assert_eq!(
        pages::rehearse(&fixture.store, &wish(Target::New, "other", &shop())).await.unwrap(),
        Ok(Change::Created)
    );
    let listed = pages::list(&fixture.store, Some("apply/shop"), None, 10).await.unwrap();
    assert_eq!(listed.items, [page]);
    assert_eq!(pages::list(&fixture.store, Some("apply/x"), None, 10).await.unwrap().items, []);
}

async fn two_who_write_one_page_do_not_overwrite_each_other_unseen(kind: Kind) {
    let fixture = with_shop(kind).await;
    let seen = pages::get(&fixture.store, "shop").await.unwrap().unwrap().etag();
    let edit =
        |title: &str| Wish { if_match: vec![seen.clone()], ..wish(Target::Existing, "shop", &json!({"title": title})) };
    let (one, other) = (edit("one"), edit("other"));
    let (first, second) = tokio::join!(write(&fixture, &one), write(&fixture, &other));
    let outcomes = [first, second];
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(Change::Updated)).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Refusal::Stale)).count(), 1, "{outcomes:?}");
    assert_eq!(write(&fixture, &wish(Target::Existing, "nowhere", &json!({}))).await, Err(Refusal::Unknown));
    let refused = write(&fixture, &wish(Target::New, "shop", &shop())).await;
    let Err(Refusal::Faults(faults)) = refused else { panic!("{refused:?}") };
    assert!(faults[0].1.is_conflict);
}

async fn what_is_told_on_a_page_is_read_in_its_order_and_goes_with_it(kind: Kind) {
    let fixture = with_shop(kind).await;
    let page = pages::get(&fixture.store, "shop").await.unwrap().unwrap();
    let front = page.definition.components().next().unwrap().id.clone();
    let draft = Draft {
        title: Some("Slow".to_owned()),
        impact: Some(Impact::Minor),
        components: Some(vec![front.clone()]),
        words: Some("We look \u{1f600}.".to_owned()),
        ..Draft::default()
    };
    let id = pages::post(&fixture.store, "key/test", ("shop", What::Incident), &draft).await.unwrap().unwrap();
    let which = Which { slug: "shop", kind: What::Incident, id: &id, if_match: &[] };
    let over = Draft { words: Some("Over.".to_owned()), stage: Some(Stage::Resolved), ..Draft::default() };
    pages::update(&fixture.store, "key/test", which, &over).await.unwrap().unwrap();
    let told = pages::notice(&fixture.store, which).await.unwrap().unwrap();
    assert_eq!((told.title.as_str(), told.impact, told.stage), ("Slow", Impact::Minor, Stage::Resolved));
    assert_eq!((told.components.as_slice(), told.resolved_at.is_some()), ([front].as_slice(), true));
    let said: Vec<(Stage, &str)> = told.updates.iter().map(|update| (update.stage, update.words.as_str())).collect();
    assert_eq!(said, [(Stage::Investigating, "We look \u{1f600}."), (Stage::Resolved, "Over.")]);
    let window = Draft {
        title: Some("Disks".to_owned()),
        starts_at: Some(Wall(1_000)),
        ends_at: Some(Wall(2_000)),
        ..Draft::default()
    };
    pages::post(&fixture.store, "key/test", ("shop", What::Maintenance), &window).await.unwrap().unwrap();
    let planned = pages::notices(&fixture.store, ("shop", What::Maintenance), None, 10).await.unwrap();
    assert_eq!(planned.items[0].window, Some((Wall(1_000), Wall(2_000))));
    let as_incident = Which { kind: What::Maintenance, ..which };
    assert_eq!(pages::notice(&fixture.store, as_incident).await.unwrap(), None);
    pages::delete(&fixture.store, "key/test", "shop", &[]).await.unwrap().unwrap();
    assert_eq!(pages::notice(&fixture.store, which).await.unwrap(), None);
    let left = pages::everything(&fixture.store).await.unwrap();
    assert_eq!((left.pages.len(), left.notices.len()), (0, 0));
}

async fn whoever_watches_the_pages_sees_each_write_by_one_number(kind: Kind) {
    let fixture = with_shop(kind).await;
    let mut seen = pages::revision(&fixture.store).await.unwrap().0;
    let draft = Draft { title: Some("Slow".to_owned()), ..Draft::default() };
    let id = pages::post(&fixture.store, "key/test", ("shop", What::Incident), &draft).await.unwrap().unwrap();
    let mut risen = async |what: &str| {
        let now = pages::revision(&fixture.store).await.unwrap().0;
        assert!(now > seen, "{what}");
        seen = now;
    };
    risen("an incident").await;
    let which = Which { slug: "shop", kind: What::Incident, id: &id, if_match: &[] };
    let more = Draft { words: Some("x".to_owned()), ..Draft::default() };
    pages::update(&fixture.store, "key/test", which, &more).await.unwrap().unwrap();
    risen("an update").await;
    pages::delete_notice(&fixture.store, "key/test", which).await.unwrap().unwrap();
    risen("an incident that was taken away").await;
    write(&fixture, &wish(Target::Existing, "shop", &json!({"title": "x"}))).await.unwrap();
    risen("an edit").await;
    let everything = pages::everything(&fixture.store).await.unwrap();
    assert_eq!(everything.pages.len(), 1);
    pages::delete(&fixture.store, "key/test", "shop", &[]).await.unwrap().unwrap();
    risen("a deletion").await;
}

async fn days_come_from_the_rows_that_everything_else_goes_by(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let today = 20_000 * DAY_S;
    for (monitor, at, up, down) in
        [(7, today - DAY_S, 90, 10), (7, today, 5, 0), (8, today, 1, 1), (7, today - 200 * DAY_S, 1, 1)]
    {
        let sql = format!(
            "INSERT INTO stat_daily (monitor_id, timestamp, ping, up, down) VALUES ({monitor}, {at}, 20.5, {up}, {down})"
        );
        fixture.raw.execute(&sql).await;
    }
    let ids = [MonitorId(7), MonitorId(9)];
    let days = pages::monitor_days(&fixture.store, &ids, (today - 89 * DAY_S, today + 5)).await.unwrap();
    let wanted = BTreeMap::from([(today - DAY_S, Day { good: 90, bad: 10 }), (today, Day { good: 5, bad: 0 })]);
    assert_eq!(days, BTreeMap::from([(MonitorId(7), wanted)]));
    for sql in [
        "INSERT INTO komainu_check_series (id, name, watchdog_id) VALUES (1, 'mail', '')".to_owned(),
        "INSERT INTO komainu_check_series (id, name, watchdog_id) VALUES (2, 'mail', 'w1')".to_owned(),
        stat(1, DAY_S, today - DAY_S, (0, 0), (86_000, 300, 100)),
        stat(1, 3_600, today, (0, 0), (3_600, 0, 0)),
        stat(1, 60, today + 3_600, (0, 0), (0, 0, 60)),
        stat(2, 3_600, today, (10, 250), (0, 0, 0)),
    ] {
        fixture.raw.execute(&sql).await;
    }
    let until = today + 3_600 + 120;
    let (days, hours) =
        pages::check_days(&fixture.store, &["mail".to_owned()], (today - 89 * DAY_S, until)).await.unwrap();
    let wanted =
        BTreeMap::from([(today - DAY_S, Day { good: 86_300, bad: 100 }), (today, Day { good: 3_600, bad: 60 })]);
    assert_eq!(days["mail"], wanted);
    assert_eq!(hours["mail"], BTreeMap::from([(today, 25.0)]));
}

/// A row of what was counted of a check.
fn stat(series: i64, span: i64, at: i64, (up, ms): (u32, u32), (up_s, partial_s, down_s): (u32, u32, u32)) -> String {
    format!(
        "INSERT INTO komainu_check_stat (series_id, span, at, up, failed, unable, ms_sum, ms_most, up_s, partial_s, down_s, unknown_s) \
         VALUES ({series}, {span}, {at}, {up}, 0, 0, {ms}, {ms}, {up_s}, {partial_s}, {down_s}, 0)"
    )
}

async fn whoever_says_what_a_maintenance_wants_said_says_it_once(kind: Kind) {
    let mut fixture = with_shop(kind).await;
    fixture.monitors(7, None).await;
    fixture.raw.execute("INSERT INTO tag (id, name, color) VALUES (1, 'web', '#fff')").await;
    fixture.raw.execute("INSERT INTO monitor_tag (monitor_id, tag_id, value) VALUES (7, 1, '')").await;
    let public = Some(PublicWords { title: "New disks".to_owned(), text: "We work.".to_owned() });
    let subjects = ["tag/web".to_owned()].into_iter().collect();
    let window = Window { name: "disks".to_owned(), subjects, public, managed_by: None };
    let now = komainu::clock::wall();
    let new = NewSilence {
        matchers: vec![],
        starts_at: Wall(now.0 + 86_400_000),
        ends_at: Wall(now.0 + 90_000_000),
        until_resolved: false,
        recurrence: None,
        author: "ada".to_owned(),
        comment: "private".to_owned(),
        window: Some(window),
    };
    let made = maintenances::write(&fixture.store, "key/ops", &new, (maintenances::Target::New, false)).await.unwrap();
    let made = made.unwrap().unwrap();
    let said = async || {
        let told = pages::notices(&fixture.store, ("shop", What::Maintenance), None, 10).await.unwrap().items;
        told.iter().map(|told| (told.stage, told.window.unwrap(), told.updates.len())).collect::<Vec<_>>()
    };
    let all = tokio::join!(announce(&fixture.store), announce(&fixture.store), announce(&fixture.store));
    let written = [all.0, all.1, all.2].map(Result::unwrap);
    assert_eq!(written.iter().sum::<usize>(), 1, "{written:?}");
    assert_eq!(said().await, [(Stage::Scheduled, (new.starts_at, new.ends_at), 1)]);
    let shown = pages::notices(&fixture.store, ("shop", What::Maintenance), None, 10).await.unwrap().items;
    let page = pages::get(&fixture.store, "shop").await.unwrap().unwrap();
    let monitor = page.definition.components().next().unwrap().id.clone();
    assert_eq!(shown[0].components, [monitor], "the one that bears the tag");
    let later = NewSilence { ends_at: Wall(now.0 + 100_000_000), ..new.clone() };
    let target = maintenances::Target::Seen(made.changed_at);
    maintenances::write(&fixture.store, "key/ops", &later, (target, false)).await.unwrap().unwrap();
    assert_eq!(announce(&fixture.store).await.unwrap(), 1);
    assert_eq!(said().await, [(Stage::Scheduled, (new.starts_at, later.ends_at), 1)], "moved, not said anew");
    maintenances::delete(&fixture.store, "key/ops", "disks").await.unwrap().unwrap();
    assert_eq!(announce(&fixture.store).await.unwrap(), 1);
    assert_eq!(announce(&fixture.store).await.unwrap(), 0, "and then it is left alone");
    assert_eq!(said().await, [(Stage::Completed, (new.starts_at, later.ends_at), 2)], "it does not take place");
}
