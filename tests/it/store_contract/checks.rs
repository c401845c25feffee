//! Checks: written together or not at all, never lost to another writer, bounded, and cheap to watch.

use komainu::check::{Draft, Guard};
use komainu::store::audit::{self, AuditFilter};
use komainu::store::checks::{self, Change, CheckFilter, CheckReader, MOST_CHECKS, Refusal, Target, Wish};
use komainu::store::incidents::{self, IncidentFilter};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::Routing;
use serde_json::{Value as Json, json};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    what_is_written_is_read_again_column_by_column,
    all_of_a_request_is_written_or_nothing,
    two_who_edit_one_check_both_have_their_way_in_what_they_named,
    an_edit_of_what_was_changed_since_is_refused,
    a_cluster_has_no_more_checks_than_its_bound_whoever_writes_at_once,
    whoever_watches_the_checks_reads_what_changed_and_nothing_else,
    a_watcher_goes_back_with_a_database_that_was_restored,
    a_deleted_check_leaves_nothing_behind_and_ends_its_incidents,
    each_deed_stands_in_the_trail_without_secrets,
}

fn wish(target: Target, fields: &Json) -> Wish {
    let (draft, faults) = Draft::read_what_can_be(fields.as_object().unwrap());
    assert_eq!(faults, [], "{fields}");
    Wish { target, draft, if_match: vec![] }
}

fn ping(name: &str) -> Json {
    json!({"name": name, "type": "ping", "hostname": "a.example"})
}

async fn try_write(fixture: &Fixture, wishes: &[Wish]) -> Result<Vec<Change>, Refusal> {
    let written = checks::write(&fixture.store, "key/test", wishes, &Guard::default()).await.unwrap();
    written.map(|written| written.into_iter().map(|one| one.change).collect())
}

async fn make(fixture: &Fixture, fields: &Json) {
    assert_eq!(try_write(fixture, &[wish(Target::New, fields)]).await, Ok(vec![Change::Created]));
}

async fn names(fixture: &Fixture) -> Vec<String> {
    let page = checks::list(&fixture.store, &CheckFilter::default(), None, 1_000).await.unwrap();
    page.items.into_iter().map(|check| check.definition.name).collect()
}

async fn what_is_written_is_read_again_column_by_column(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let fields = json!({"name": "Shop-1.a_b", "type": "keyword", "url": "https://joe:s3@a.example/ü?q=\"x\"", "keyword": "\u{1f600} 'ok'\\",
        "headers": {"X-Key": "s3"}, "body": "{\"a\": 1}", "method": "POST", "interval": 20, "timeout": 2.5, "quorum": 2,
        "zones": ["rack-a", "räck, \"b\""], "severity": "warning", "channels": ["ops"], "tags": ["web"], "paused": true,
        "managed_by": "apply/shop", "upside_down": true, "ignore_tls": true, "accepted_statuscodes": ["200-299", "404"]});
    make(&fixture, &fields).await;
    make(&fixture, &ping("shop-1.a_b")).await;
    let wanted = komainu::check::created(&wish(Target::New, &fields).draft, &Guard::default()).unwrap();
    let read = checks::get(&fixture.store, "Shop-1.a_b").await.unwrap().unwrap();
    assert_eq!(read.definition, wanted);
    assert_eq!((read.created_by.as_str(), read.changed_by.as_str(), read.state), ("key/test", "key/test", None));
    assert_eq!(read.created_at, read.changed_at);
    let filter = CheckFilter { tag: Some("web".to_owned()), ..CheckFilter::default() };
    let found = checks::list(&fixture.store, &filter, None, 10).await.unwrap();
    assert_eq!(found.items.iter().map(|check| check.definition.clone()).collect::<Vec<_>>(), [wanted]);
    assert_eq!(checks::get(&fixture.store, "nobody").await.unwrap(), None);
}

async fn all_of_a_request_is_written_or_nothing(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, &ping("b")).await;
    let refused = try_write(&fixture, &[wish(Target::New, &ping("a")), wish(Target::New, &ping("b"))]).await;
    let Err(Refusal::Faults(faults)) = refused else { panic!("{refused:?}") };
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].0, faults[0].1.field.as_str(), faults[0].1.is_conflict), (1, "name", true));
    assert_eq!(names(&fixture).await, ["b"]);
    let wishes: Vec<Wish> = (0..1_100).map(|at| wish(Target::Named, &ping(&format!("c{at:04}")))).collect();
    let rehearsed = checks::rehearse(&fixture.store, &wishes, &Guard::default()).await.unwrap().unwrap();
    assert!(rehearsed.iter().all(|one| one.change == Change::Created));
    assert_eq!(names(&fixture).await, ["b"]);
    assert_eq!(try_write(&fixture, &wishes).await.unwrap().len(), 1_100);
    let mut again = wishes;
    again[7] = wish(Target::Named, &json!({"name": "c0007", "interval": 20}));
    let changes = try_write(&fixture, &again).await.unwrap();
    assert_eq!(changes.iter().filter(|change| **change != Change::Unchanged).count(), 1);
    assert_eq!(changes[7], Change::Updated);
}

async fn two_who_edit_one_check_both_have_their_way_in_what_they_named(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, &ping("a")).await;
    for round in 0..20_u32 {
        let one = [wish(Target::Existing, &json!({"name": "a", "interval": 30 + round}))];
        let other = [wish(Target::Existing, &json!({"name": "a", "tags": [format!("t{round}")]}))];
        let (one, other) = tokio::join!(try_write(&fixture, &one), try_write(&fixture, &other));
        assert_eq!((one, other), (Ok(vec![Change::Updated]), Ok(vec![Change::Updated])));
        let read = checks::get(&fixture.store, "a").await.unwrap().unwrap().definition;
        assert_eq!((read.interval_s, read.tags), (30 + round, vec![format!("t{round}")]));
    }
}

async fn an_edit_of_what_was_changed_since_is_refused(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, &ping("a")).await;
    let seen = checks::get(&fixture.store, "a").await.unwrap().unwrap().etag();
    let edit = |interval: u32, tag: &str| {
        let wish = wish(Target::Existing, &json!({"name": "a", "interval": interval}));
        [Wish { if_match: vec![tag.to_owned()], ..wish }]
    };
    assert_eq!(try_write(&fixture, &edit(60, &seen)).await, Ok(vec![Change::Unchanged]));
    assert_eq!(try_write(&fixture, &edit(30, &seen)).await, Ok(vec![Change::Updated]));
    assert_eq!(try_write(&fixture, &edit(40, &seen)).await, Err(Refusal::Stale));
    assert_eq!(try_write(&fixture, &edit(40, "*")).await, Ok(vec![Change::Updated]));
    let gone = checks::delete(&fixture.store, "key/test", "a", &[seen]).await.unwrap();
    assert_eq!(gone, Err(Refusal::Stale));
    // Made anew under its name, it is another one.
    let tag = checks::get(&fixture.store, "a").await.unwrap().unwrap().etag();
    checks::delete(&fixture.store, "key/test", "a", &[]).await.unwrap().unwrap();
    make(&fixture, &ping("a")).await;
    assert_eq!(try_write(&fixture, &edit(30, &tag)).await, Err(Refusal::Stale));
    assert_eq!(try_write(&fixture, &[wish(Target::Existing, &json!({"name": "b"}))]).await, Err(Refusal::Unknown));
}

async fn a_cluster_has_no_more_checks_than_its_bound_whoever_writes_at_once(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let wishes: Vec<Wish> = (0..MOST_CHECKS - 1).map(|at| wish(Target::New, &ping(&format!("c{at}")))).collect();
    assert_eq!(try_write(&fixture, &wishes).await.unwrap().len(), MOST_CHECKS - 1);
    let [one, other] = ["x", "y"].map(|name| [wish(Target::New, &ping(name))]);
    let (one, other) = tokio::join!(try_write(&fixture, &one), try_write(&fixture, &other));
    let refused: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
    let [Refusal::Faults(faults)] = refused.as_slice() else { panic!("{refused:?}") };
    assert!(faults[0].1.is_conflict && faults[0].1.message.contains("at most 10000 checks"), "{faults:?}");
    let edit = [wish(Target::Named, &json!({"name": "c1", "interval": 30}))];
    assert_eq!(try_write(&fixture, &edit).await, Ok(vec![Change::Updated]));
}

async fn whoever_watches_the_checks_reads_what_changed_and_nothing_else(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut reader = CheckReader::connect(&fixture.store).await.unwrap();
    let first = reader.changes().await.unwrap().unwrap();
    assert!(first.changed.is_empty() && first.names.is_empty());
    assert_eq!(reader.changes().await.unwrap(), None);
    for name in ["a", "b", "c"] {
        make(&fixture, &ping(name)).await;
    }
    let made = reader.changes().await.unwrap().unwrap();
    assert_eq!((made.changed.len(), made.names.len()), (3, 3));
    let edit = [wish(Target::Existing, &json!({"name": "b", "paused": true})), wish(Target::Named, &ping("a"))];
    assert_eq!(try_write(&fixture, &edit).await, Ok(vec![Change::Updated, Change::Unchanged]));
    checks::delete(&fixture.store, "key/test", "c", &[]).await.unwrap().unwrap();
    let later = reader.changes().await.unwrap().unwrap();
    let changed: Vec<_> = later.changed.iter().map(|check| check.definition.name.as_str()).collect();
    assert_eq!(changed, ["b"]);
    assert_eq!(later.names, ["a", "b"].map(str::to_owned).into());
    assert_eq!(try_write(&fixture, &[wish(Target::Named, &ping("a"))]).await, Ok(vec![Change::Unchanged]));
    assert_eq!(reader.changes().await.unwrap(), None);
}

async fn a_watcher_goes_back_with_a_database_that_was_restored(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, &ping("a")).await;
    let mut reader = CheckReader::connect(&fixture.store).await.unwrap();
    make(&fixture, &ping("b")).await;
    assert_eq!(reader.changes().await.unwrap().unwrap().changed.len(), 2);
    fixture.raw.execute("UPDATE komainu_check_revision SET revision = 1").await;
    fixture.raw.execute("UPDATE komainu_check SET revision = 1, quorum = 'any'").await;
    let all = reader.changes().await.unwrap().unwrap();
    assert_eq!((all.revision, all.changed.len()), (1, 2));
    // Past where it was, on a connection that ended meanwhile.
    for at in 0..3 {
        make(&fixture, &ping(&format!("c{at}"))).await;
    }
    let mut anew = CheckReader::connect(&fixture.store).await.unwrap();
    assert_eq!(anew.changes().await.unwrap().unwrap().changed.len(), 5);
}

async fn a_deleted_check_leaves_nothing_behind_and_ends_its_incidents(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    for name in ["a", "b"] {
        make(&fixture, &ping(name)).await;
        let state = format!(
            "INSERT INTO komainu_check_state (name, state, reason, since_ms) VALUES ('{name}', 'down', 'refused', 5)"
        );
        fixture.raw.execute(&state).await;
        for key in [format!("check/{name}"), format!("partial/{name}")] {
            let alarm = Alarm { key, severity: Severity::Critical, summary: "bad".to_owned(), votes: (3, 3) };
            let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
            assert!(errands.raise(&alarm, &Routing::default()).await.unwrap());
        }
    }
    let state = checks::get(&fixture.store, "a").await.unwrap().unwrap().state.unwrap();
    assert_eq!((state.state.as_str(), state.reason.as_deref(), state.since.0), ("down", Some("refused"), 5));
    checks::delete(&fixture.store, "key/test", "a", &[]).await.unwrap().unwrap();
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_check_state WHERE name = 'a'").await, 0);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_check_state WHERE name = 'b'").await, 1);
    let all = incidents::list(&fixture.store, &IncidentFilter::default(), None, 10).await.unwrap().items;
    let mut open: Vec<_> = all.into_iter().filter(|one| one.resolved_at.is_none()).map(|one| one.key).collect();
    open.sort();
    assert_eq!(open, ["check/b", "partial/b"]);
    assert_eq!(checks::delete(&fixture.store, "key/test", "a", &[]).await.unwrap(), Err(Refusal::Unknown));
}

async fn each_deed_stands_in_the_trail_without_secrets(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let fields = json!({"name": "a", "type": "http", "url": "https://joe:s3@a.example/", "bearer_token": "s3cr3t"});
    make(&fixture, &fields).await;
    try_write(&fixture, &[wish(Target::Existing, &json!({"name": "a", "bearer_token": "n3w", "interval": 30}))])
        .await
        .unwrap();
    try_write(&fixture, &[wish(Target::New, &ping("b")), wish(Target::Named, &json!({"name": "a", "interval": 40}))])
        .await
        .unwrap();
    checks::delete(&fixture.store, "key/test", "a", &[]).await.unwrap().unwrap();
    let trail = audit::list(&fixture.store, &AuditFilter::default(), None, 10).await.unwrap().items;
    let deeds: Vec<_> = trail.iter().map(|row| (row.deed.what.as_str(), row.deed.subject.as_str())).collect();
    assert_eq!(
        deeds,
        [("check.delete", "check/a"), ("check.bulk", "checks"), ("check.edit", "check/a"), ("check.create", "check/a")]
    );
    let text = format!("{trail:?}");
    assert!(!text.contains("s3") && !text.contains("n3w"), "{text}");
    let edit: Json = serde_json::from_str(trail[2].deed.after.as_ref().unwrap()).unwrap();
    assert_eq!(edit, json!({"bearer_token": "(changed)", "interval": 30}));
}
