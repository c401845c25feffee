//! What clients ask of monitors: several at once, on one row, of every type.

use std::sync::Arc;

use komainu::monitor::Draft;
use komainu::store::beats::keeper::{BeatKeeper, Earlier, Receipt};
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::monitors::{self, Change, Refusal, Target, Wish};
use komainu::store::{Store, audit};
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use serde_json::{Value, json};

use super::fixture::{Fixture, Kind, StoresBeats, beat};
use super::on_both_databases;
use crate::support::kuma;

on_both_databases! {
    two_pipelines_that_edit_one_monitor_lose_nothing,
    pipelines_that_put_one_ref_at_once_make_one_monitor,
    an_edit_keeps_what_kumas_ui_changed_meanwhile,
    a_refused_request_leaves_no_trace,
    every_type_of_kuma_is_made_with_what_it_needs,
    a_monitor_made_in_kuma_is_described_without_becoming_ours,
    the_history_of_a_deleted_monitor_goes_even_if_nobody_finished,
    deleting_a_monitor_takes_all_that_hangs_on_it_and_nothing_of_a_teams_own_tables,
    what_a_column_cannot_hold_is_refused_before_the_database_sees_it,
    the_ref_of_a_monitor_that_kuma_deleted_is_free_again,
    nothing_new_begins_on_a_node_that_is_to_be_empty_or_while_the_cluster_observes,
    storing_editing_and_deleting_never_wait_in_a_circle,
}

async fn draft(store: &Store, fields: &Value) -> Draft {
    let table = monitors::table(store).await.unwrap();
    let (draft, faults) = Draft::read_what_can_be(fields.as_object().unwrap(), &table);
    assert_eq!(faults, [], "{fields}");
    draft
}

async fn wish(store: &Store, target: Target, fields: Value) -> Result<(MonitorId, Change), Refusal> {
    let wish = Wish { target, draft: draft(store, &fields).await, if_match: vec![] };
    let written = monitors::write(store, "key/test", &[wish]).await.unwrap()?;
    Ok((written[0].id, written[0].change))
}

fn web() -> Value {
    json!({"name": "web", "type": "http", "url": "http://target/"})
}

async fn two_pipelines_that_edit_one_monitor_lose_nothing(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (id, _) = wish(&fixture.store, Target::New, web()).await.unwrap();
    let store = Arc::new(fixture.store.clone());
    let edit = |fields: Value| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { wish(&store, Target::Existing(id), fields).await.unwrap().1 })
    };
    for round in 1..=10 {
        let (left, right) = (edit(json!({"interval": round + 60})), edit(json!({"maxretries": round})));
        assert_eq!((left.await.unwrap(), right.await.unwrap()), (Change::Updated, Change::Updated));
        let spec = monitors::get(&fixture.store, id).await.unwrap().unwrap().spec;
        assert_eq!((spec.interval, spec.maxretries), (round + 60, round));
    }
    assert_eq!(audit::list(&fixture.store, &audit::AuditFilter::default(), None, 100).await.unwrap().items.len(), 21);
}

async fn pipelines_that_put_one_ref_at_once_make_one_monitor(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let store = Arc::new(fixture.store.clone());
    for round in 0..5 {
        let puts = (0..4).map(|_| {
            let store = Arc::clone(&store);
            let mut fields = web();
            fields["ref"] = json!(format!("shop/{round}"));
            tokio::spawn(async move { wish(&store, Target::Named, fields).await.unwrap() })
        });
        let mut created = 0;
        for put in puts.collect::<Vec<_>>() {
            created += u32::from(put.await.unwrap().1 == Change::Created);
        }
        assert_eq!(created, 1);
    }
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM monitor").await, 5);
}

async fn an_edit_keeps_what_kumas_ui_changed_meanwhile(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (id, _) = wish(&fixture.store, Target::New, web()).await.unwrap();
    let seen = monitors::get(&fixture.store, id).await.unwrap().unwrap().etag();
    fixture.raw.execute(&format!("UPDATE monitor SET name = 'by hand', timeout = 7 WHERE id = {id}")).await;
    wish(&fixture.store, Target::Existing(id), json!({"interval": 30})).await.unwrap();
    let spec = monitors::get(&fixture.store, id).await.unwrap().unwrap().spec;
    assert_eq!((spec.name.as_str(), spec.timeout.to_string().as_str(), spec.interval), ("by hand", "7", 30));
    let draft = draft(&fixture.store, &json!({"interval": 20})).await;
    let stale = Wish { target: Target::Existing(id), draft, if_match: vec![seen] };
    assert_eq!(monitors::write(&fixture.store, "x", &[stale]).await.unwrap(), Err(Refusal::Stale));
}

async fn a_refused_request_leaves_no_trace(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut wishes = vec![];
    for number in 0..1_000 {
        let mut fields = web();
        fields["tags"] = json!([format!("tag {number}")]);
        fields["ref"] = json!(if number == 999 { "taken".to_owned() } else { number.to_string() });
        let draft = draft(&fixture.store, &fields).await;
        wishes.push(Wish { target: Target::New, draft, if_match: vec![] });
    }
    let mut taken = web();
    taken["ref"] = json!("taken");
    wish(&fixture.store, Target::New, taken).await.unwrap();
    let Err(Refusal::Faults(faults)) = monitors::write(&fixture.store, "x", &wishes).await.unwrap() else {
        panic!("it was written");
    };
    assert_eq!((faults.len(), faults[0].0, faults[0].1.field.as_str()), (1, 999, "ref"));
    for (table, rows) in [("monitor", 1), ("komainu_monitor", 1), ("tag", 0), ("monitor_tag", 0), ("komainu_audit", 1)]
    {
        assert_eq!(fixture.raw.count(&format!("SELECT COUNT(*) FROM {table}")).await, rows, "{table}");
    }
}

async fn the_ref_of_a_monitor_that_kuma_deleted_is_free_again(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut fields = web();
    fields["ref"] = json!("shop/web");
    let (first, _) = wish(&fixture.store, Target::Named, fields.clone()).await.unwrap();
    let seen = monitors::get(&fixture.store, first).await.unwrap().unwrap().etag();
    fixture.raw.execute(&format!("DELETE FROM monitor WHERE id = {first}")).await;
    let draft = draft(&fixture.store, &fields).await;
    let edit = Wish { target: Target::Named, draft, if_match: vec![seen] };
    assert_eq!(monitors::write(&fixture.store, "x", &[edit]).await.unwrap(), Err(Refusal::Stale));
    let (second, change) = wish(&fixture.store, Target::Named, fields.clone()).await.unwrap();
    assert_eq!(change, Change::Created);
    assert_eq!(wish(&fixture.store, Target::Named, fields).await, Ok((second, Change::Unchanged)));
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_monitor").await, 1);
}

async fn nothing_new_begins_on_a_node_that_is_to_be_empty_or_while_the_cluster_observes(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let mut fields = web();
    fields["node_id"] = json!("node1");
    for (obstacle, end) in [
        ("UPDATE node SET overlay = 'draining'", "UPDATE node SET overlay = 'none'"),
        ("UPDATE komainu_cluster SET mode = 'observe'", "UPDATE komainu_cluster SET mode = 'active'"),
    ] {
        fixture.raw.execute(obstacle).await;
        let Err(Refusal::Faults(faults)) = wish(&fixture.store, Target::New, fields.clone()).await else {
            panic!("it was made in spite of {obstacle}");
        };
        assert_eq!((faults[0].1.field.as_str(), faults[0].1.is_conflict), ("node_id", true), "{faults:?}");
        fixture.raw.execute(end).await;
    }
    assert_eq!(wish(&fixture.store, Target::New, fields).await.unwrap().1, Change::Created);
}

async fn storing_editing_and_deleting_never_wait_in_a_circle(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(60, Some("node1")).await;
    let keeper = BeatKeeper::new(fixture.store.clone(), "node1".into(), Incarnation(11));
    let store = &fixture.store;
    let beats: Vec<_> = made.iter().map(|id| beat(*id)).collect();
    let (deleted, edited) = made.split_at(30);
    for (round, id) in deleted.iter().enumerate() {
        let draft = draft(store, &json!({"interval": 60 + round})).await;
        let wish = |id: &MonitorId| Wish { target: Target::Existing(*id), draft: draft.clone(), if_match: vec![] };
        let wishes: Vec<Wish> = edited.iter().rev().map(wish).collect();
        let (kept, written, gone) = tokio::join!(
            keeper.keep(&beats, Earlier::Answered),
            monitors::write(store, "x", &wishes),
            monitors::delete(store, "x", *id, &[]),
        );
        kept.unwrap();
        written.unwrap().unwrap();
        gone.unwrap().unwrap();
    }
    let kept = keeper.keep(&beats, Earlier::Answered).await.unwrap();
    assert_eq!(kept.iter().filter(|receipt| **receipt == Receipt::Stored).count(), 30);
    let orphans = "SELECT COUNT(*) FROM heartbeat WHERE monitor_id NOT IN (SELECT id FROM monitor)";
    assert!(fixture.raw.count(orphans).await > 0, "history goes afterwards, in batches");
    while monitors::sweep(&fixture.store).await.unwrap() > 0 {}
    assert_eq!(fixture.raw.count(orphans).await, 0);
}

/// A value that every rule takes.
fn sample(column: &str) -> Value {
    match column {
        "port" => json!(1_000),
        "docker_host" => json!(1),
        "kafka_producer_brokers" | "rabbitmq_nodes" => json!(["http://a:1"]),
        "system_service_name" => json!("sshd"),
        "radius_called_station_id" | "radius_calling_station_id" => json!("00"),
        _ => json!("x"),
    }
}

async fn every_type_of_kuma_is_made_with_what_it_needs(kind: Kind) {
    let mut fixture = Fixture::empty(kind).await;
    fixture.raw.execute(&kuma::stock(kind == Kind::Sqlite)).await;
    fixture.raw.execute("INSERT INTO docker_host (id, user_id, name) VALUES (1, 1, 'here')").await;
    migrate::apply(&fixture.store, MigrateOptions::default()).await.unwrap();
    for monitor_kind in komainu::monitor::KINDS {
        let mut fields = json!({"name": *monitor_kind, "type": *monitor_kind});
        if matches!(*monitor_kind, "http" | "keyword" | "json-query" | "real-browser") {
            fields["url"] = json!("https://example.com");
        }
        if *monitor_kind == "websocket-upgrade" {
            fields["url"] = json!("wss://example.com");
        }
        // Each answer names what is missing, until nothing is.
        let mut named = vec![];
        loop {
            match wish(&fixture.store, Target::New, fields.clone()).await {
                Ok(_) => break,
                Err(Refusal::Faults(faults)) => {
                    for (_, fault) in faults {
                        assert!(fault.message.contains("needs it"), "{monitor_kind}: {fault:?}");
                        assert!(!named.contains(&fault.field), "{monitor_kind}: {fault:?}");
                        fields[&fault.field] = sample(&fault.field);
                        named.push(fault.field);
                    }
                }
                Err(other) => panic!("{monitor_kind}: {other:?}"),
            }
        }
    }
    // As Kuma's own list parses them: an empty text would break all of it.
    for column in ["conditions", "accepted_statuscodes_json", "rabbitmq_nodes", "kafka_producer_brokers", "headers"] {
        let sql = format!("SELECT COUNT(*) FROM monitor WHERE {column} = ''");
        assert_eq!(fixture.raw.count(&sql).await, 0, "{column}");
    }
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM monitor WHERE timeout <= 0").await, 0);
}

async fn a_monitor_made_in_kuma_is_described_without_becoming_ours(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.raw.execute("INSERT INTO monitor (id, name, type, url) VALUES (7, 'ui', 'http', 'http://x')").await;
    let edit = json!({"channels": ["ops"], "run_on": ["eu"]});
    assert_eq!(wish(&fixture.store, Target::Existing(MonitorId(7)), edit).await.unwrap().1, Change::Updated);
    let view = monitors::get(&fixture.store, MonitorId(7)).await.unwrap().unwrap();
    assert_eq!(
        (view.made_by.as_deref(), view.channels, view.run_on),
        (Some("kuma"), vec!["ops".into()], vec!["eu".into()])
    );
}

async fn the_history_of_a_deleted_monitor_goes_even_if_nobody_finished(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let kept = fixture.monitors(2, Some("node1")).await;
    let incarnation = Incarnation(11);
    for id in &kept {
        fixture.store.store_beats(&"node1".into(), incarnation, &[beat(*id)]).await.unwrap();
    }
    assert_eq!(monitors::delete(&fixture.store, "x", kept[0], &[]).await.unwrap(), Ok(()));
    // Another process finds the note.
    let other = Store::connect(&fixture.url).await.unwrap();
    while monitors::sweep(&other).await.unwrap() > 0 {}
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM heartbeat").await, 1);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_deletion").await, 0);
}

async fn deleting_a_monitor_takes_all_that_hangs_on_it_and_nothing_of_a_teams_own_tables(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.raw.execute("CREATE TABLE team_report (id INT PRIMARY KEY, monitor_id INT, cost INT)").await;
    // Connected afterwards: the catalog has the table.
    let store = Store::connect(&fixture.url).await.unwrap();
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(2, Some("node1")).await;
    fixture.raw.execute(&format!("INSERT INTO team_report VALUES (1, {}, 7)", made[0])).await;
    fixture.raw.execute("INSERT INTO tag (id, name, color) VALUES (1, 'a', '#fff')").await;
    fixture.raw.execute(&format!("INSERT INTO monitor_tag (monitor_id, tag_id) VALUES ({}, 1)", made[0])).await;
    assert_eq!(monitors::delete(&store, "x", made[0], &[]).await.unwrap(), Ok(()));
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM team_report").await, 1);
    for table in ["monitor_tag", "komainu_assignment", "komainu_monitor", "komainu_down"] {
        let left = format!("SELECT COUNT(*) FROM {table} WHERE monitor_id = {}", made[0]);
        assert_eq!(fixture.raw.count(&left).await, 0, "{table}");
    }
}

async fn what_a_column_cannot_hold_is_refused_before_the_database_sees_it(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let table = monitors::table(&fixture.store).await.unwrap();
    for (field, value) in [
        ("name", json!("x".repeat(151))),
        ("body", json!("ß".repeat(40_000))),
        ("port", json!(70_000)),
        ("parent", json!(-1)),
        ("interval", json!(1e12)),
        ("description", json!("a\u{0}b")),
        ("headers", json!({"a b": "c"})),
        ("conditions", json!("")),
    ] {
        let fields = json!({ field: value });
        let (_, faults) = Draft::read_what_can_be(fields.as_object().unwrap(), &table);
        assert_eq!((faults.len(), faults[0].field.as_str()), (1, field));
    }
}
