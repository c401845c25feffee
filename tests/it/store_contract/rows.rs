//! What the API reads and writes.

use komainu::store::apikeys::{self, Scope};
use komainu::store::audit::{self, AuditFilter, Deed};
use komainu::store::cluster::{self, Adoption, Homes};
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::monitors::{self, MonitorFilter, MonitorSpec, NewMonitor, Refusal};
use komainu::store::nodes;
use komainu_watchdogs::facts::Mode;

use super::fixture::{Fixture, Kind, StoresBeats, beat};
use super::on_both_databases;
use crate::support::kuma;

on_both_databases! {
    a_monitor_reads_back_as_it_was_made,
    a_monitor_without_a_node_is_left_to_the_leader,
    a_ref_names_one_monitor,
    bulk_creation_is_all_or_nothing,
    monitors_are_listed_in_pages_and_filtered,
    a_deleted_monitor_takes_everything_along,
    stock_kuma_gets_monitors_that_its_ui_shows,
    api_keys_are_found_by_their_hash,
    the_audit_trail_is_read_in_pages,
    adoption_gives_everything_to_one_node,
    adoption_gives_a_node_only_what_it_can_run,
    adoption_takes_the_homes_of_the_fork,
    adoption_without_the_forks_columns_says_so,
}

fn named(name: &str) -> NewMonitor {
    let spec = MonitorSpec { name: name.to_owned(), url: Some("http://t/".to_owned()), ..MonitorSpec::default() };
    NewMonitor { spec, ..NewMonitor::default() }
}

async fn a_monitor_reads_back_as_it_was_made(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let spec = MonitorSpec {
        name: "käse".to_owned(),
        kind: "keyword".to_owned(),
        interval: 20,
        timeout: 2.5,
        keyword: Some("ok".to_owned()),
        invert_keyword: true,
        port: Some(65_535),
        headers: Some("{\"a\": \"b\"}".to_owned()),
        ..MonitorSpec::default()
    };
    let new = NewMonitor {
        spec: spec.clone(),
        reference: Some("shop/1".to_owned()),
        channels: vec!["ops".to_owned()],
        tags: vec!["prod".to_owned(), "web".to_owned()],
        node_id: Some("node1".into()),
        pinned: true,
    };
    let before = fixture.stamp().await;
    let id = monitors::create(&fixture.store, &new).await.unwrap();
    assert_eq!(fixture.stamp().await.generation, before.generation.next(), "its node hears of it");
    let view = monitors::get(&fixture.store, id).await.unwrap().unwrap();
    assert_eq!(view.spec, MonitorSpec { id, ..spec });
    assert_eq!((view.node_id, view.assigned_node, view.pinned), (Some("node1".into()), None, true));
    assert_eq!(view.effective_node, Some("node1".into()));
    assert_eq!((view.tags, view.channels), (new.tags, new.channels));
    assert_eq!((view.reference.as_deref(), view.made_by.as_deref()), (Some("shop/1"), Some("api")));
    assert!(view.created_at.is_some());
    assert_eq!(monitors::get(&fixture.store, komainu_watchdogs::ids::MonitorId(999)).await.unwrap(), None);
}

async fn a_monitor_without_a_node_is_left_to_the_leader(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let before = fixture.stamp().await;
    let id = monitors::create(&fixture.store, &named("one")).await.unwrap();
    let view = monitors::get(&fixture.store, id).await.unwrap().unwrap();
    assert_eq!((view.node_id, view.effective_node), (None, None));
    assert_eq!(fixture.stamp().await, before);
    let nowhere = NewMonitor { node_id: Some("nowhere".into()), ..named("two") };
    let error = monitors::create(&fixture.store, &nowhere).await.unwrap_err();
    assert!(error.to_string().contains("there is no node nowhere"), "{error}");
}

async fn a_ref_names_one_monitor(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let new = NewMonitor { reference: Some("shop/1".to_owned()), ..named("one") };
    let id = monitors::create(&fixture.store, &new).await.unwrap();
    let found = monitors::find_by_ref(&fixture.store, "shop/1").await.unwrap().unwrap();
    assert_eq!(found.spec.id, id);
    assert_eq!(monitors::find_by_ref(&fixture.store, "shop/2").await.unwrap(), None);
    assert!(monitors::create(&fixture.store, &new).await.unwrap_err().is_duplicate());
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM monitor").await, 1);
}

async fn bulk_creation_is_all_or_nothing(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let twice = NewMonitor { reference: Some("same".to_owned()), ..named("x") };
    assert!(monitors::create_all(&fixture.store, &[named("a"), twice.clone(), twice]).await.is_err());
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM monitor").await, 0);
    let made = monitors::create_all(&fixture.store, &vec![named("b"); 1_200]).await.unwrap();
    assert_eq!(made.len(), 1_200);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_monitor").await, 1_200);
}

async fn monitors_are_listed_in_pages_and_filtered(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let first = monitors::create_all(&fixture.store, &vec![named("first_100%"); 3]).await.unwrap();
    let tagged = NewMonitor { tags: vec!["prod".to_owned()], node_id: Some("node1".into()), ..named("second") };
    let second = monitors::create(&fixture.store, &tagged).await.unwrap();
    let all = MonitorFilter::default();
    let page = monitors::list(&fixture.store, &all, None, 3).await.unwrap();
    assert_eq!(page.items.iter().map(|view| view.spec.id).collect::<Vec<_>>(), first);
    let rest = monitors::list(&fixture.store, &all, page.next.as_deref(), 3).await.unwrap();
    assert_eq!((rest.items[0].spec.id, rest.next), (second, None));
    let filters = [
        MonitorFilter { tag: Some("prod".to_owned()), ..MonitorFilter::default() },
        MonitorFilter { effective_node: Some("node1".into()), active: Some(true), ..MonitorFilter::default() },
        MonitorFilter { home: Some("node1".into()), kind: Some("http".to_owned()), ..MonitorFilter::default() },
        MonitorFilter { search: Some("sec".to_owned()), ..MonitorFilter::default() },
    ];
    for filter in filters {
        let found = monitors::list(&fixture.store, &filter, None, 10).await.unwrap().items;
        assert_eq!(found.iter().map(|view| view.spec.id).collect::<Vec<_>>(), [second], "{filter:?}");
    }
    let literally = MonitorFilter { search: Some("t_100%".to_owned()), ..MonitorFilter::default() };
    assert_eq!(monitors::list(&fixture.store, &literally, None, 10).await.unwrap().items.len(), 3);
}

async fn a_deleted_monitor_takes_everything_along(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let new = NewMonitor { tags: vec!["prod".to_owned()], node_id: Some("node1".into()), ..named("one") };
    let id = monitors::create(&fixture.store, &new).await.unwrap();
    let incarnation = komainu_watchdogs::ids::Incarnation(11);
    fixture.store.store_beats(&"node1".into(), incarnation, &[beat(id)]).await.unwrap();
    assert_eq!(monitors::delete(&fixture.store, "ada", id, &[]).await.unwrap(), Ok(()));
    assert_eq!(monitors::delete(&fixture.store, "ada", id, &[]).await.unwrap(), Err(Refusal::Unknown));
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM heartbeat").await, 1);
    while monitors::sweep(&fixture.store).await.unwrap() > 0 {}
    for table in ["komainu_deletion", "monitor", "heartbeat", "monitor_tag", "komainu_monitor", "komainu_assignment"] {
        assert_eq!(fixture.raw.count(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
}

async fn stock_kuma_gets_monitors_that_its_ui_shows(kind: Kind) {
    let mut fixture = Fixture::empty(kind).await;
    fixture.raw.execute(&kuma::stock(kind == Kind::Sqlite)).await;
    fixture.raw.execute("INSERT INTO `user` (username) VALUES ('ada')").await;
    migrate::apply(&fixture.store, MigrateOptions::default()).await.unwrap();
    let new = NewMonitor { tags: vec!["prod".to_owned()], ..named("one") };
    let id = monitors::create(&fixture.store, &new).await.unwrap();
    let sql = "SELECT user_id, conditions, accepted_statuscodes_json, weight FROM monitor";
    assert_eq!(fixture.raw.rows(sql).await[0], ["1", "[]", "[\"200-299\"]", "2000"]);
    assert_eq!(monitors::get(&fixture.store, id).await.unwrap().unwrap().tags, ["prod"]);
}

async fn api_keys_are_found_by_their_hash(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let hash = "a".repeat(64);
    apikeys::create(&fixture.store, "ci", Scope::Write, &hash, "test").await.unwrap();
    assert!(
        apikeys::create(&fixture.store, "ci", Scope::Read, &"b".repeat(64), "test").await.unwrap_err().is_duplicate()
    );
    let key = apikeys::find_by_hash(&fixture.store, &hash).await.unwrap().unwrap();
    assert_eq!((key.name.as_str(), key.scope), ("ci", Scope::Write));
    assert_eq!(apikeys::list(&fixture.store).await.unwrap(), [key]);
    assert_eq!(apikeys::find_by_hash(&fixture.store, "c").await.unwrap(), None);
    assert!(apikeys::delete(&fixture.store, "ci", "test").await.unwrap());
    assert!(!apikeys::delete(&fixture.store, "ci", "test").await.unwrap());
}

async fn the_audit_trail_is_read_in_pages(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    for number in 0..3 {
        let deed = Deed {
            who: "key/ci".to_owned(),
            what: "node.add".to_owned(),
            subject: format!("node{number}"),
            before: None,
            after: Some("{}".to_owned()),
        };
        audit::append(&fixture.store, &deed).await.unwrap();
    }
    let page = audit::list(&fixture.store, &AuditFilter::default(), None, 2).await.unwrap();
    assert_eq!(page.items.iter().map(|row| row.deed.subject.as_str()).collect::<Vec<_>>(), ["node2", "node1"]);
    let rest = audit::list(&fixture.store, &AuditFilter::default(), page.next.as_deref(), 2).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
}

pub(super) async fn observed(kind: Kind, with_fork: bool) -> Fixture {
    let mut fixture = Fixture::empty(kind).await;
    fixture.raw.execute(&kuma::stock(kind == Kind::Sqlite)).await;
    if with_fork {
        fixture.raw.execute(&kuma::fork(kind == Kind::Sqlite)).await;
    }
    fixture.raw.execute("INSERT INTO monitor (name, type) VALUES ('a', 'http'), ('b', 'http'), ('c', 'http')").await;
    migrate::apply(&fixture.store, MigrateOptions::default()).await.unwrap();
    fixture
}

async fn adoption_gives_everything_to_one_node(kind: Kind) {
    let mut fixture = observed(kind, false).await;
    let homes = Homes::All("node1".into());
    assert!(cluster::adopt(&fixture.store, &homes, "cli/ada").await.is_err(), "there is no such node");
    assert_eq!(cluster::get(&fixture.store).await.unwrap().mode, Mode::Observe);
    fixture.add_node("node1").await;
    let before = fixture.stamp().await.generation;
    let adopted = cluster::adopt(&fixture.store, &homes, "cli/ada").await.unwrap();
    assert_eq!(adopted, Adoption { homed: 3, homeless: 0, told_by_kuma: 0 });
    let cluster = cluster::get(&fixture.store).await.unwrap();
    assert_eq!((cluster.mode, cluster.stamp.generation), (Mode::Active, before.next()));
    assert_eq!(fixture.running_on("node1").await, 3);
    let again = cluster::adopt(&fixture.store, &homes, "cli/ada").await.unwrap();
    assert_eq!(again, Adoption { homed: 0, homeless: 0, told_by_kuma: 0 });
}

async fn adoption_gives_a_node_only_what_it_can_run(kind: Kind) {
    let mut fixture = observed(kind, false).await;
    fixture.raw.execute("UPDATE monitor SET type = 'push' WHERE name = 'b'").await;
    fixture.add_node("node1").await;
    let change =
        nodes::NodeChange { kinds: Some(vec!["http".to_owned(), "ping".to_owned()]), ..nodes::NodeChange::default() };
    assert!(nodes::edit(&fixture.store, &"node1".into(), &change, "test").await.unwrap());
    let adopted = cluster::adopt(&fixture.store, &Homes::All("node1".into()), "cli/ada").await.unwrap();
    assert_eq!(adopted, Adoption { homed: 2, homeless: 1, told_by_kuma: 0 });
}

async fn adoption_takes_the_homes_of_the_fork(kind: Kind) {
    let mut fixture = observed(kind, true).await;
    fixture.raw.execute("UPDATE monitor SET node_id = 'node1' WHERE name IN ('a', 'b')").await;
    fixture.raw.execute("UPDATE monitor SET assigned_node = 'node2' WHERE name = 'a'").await;
    fixture.raw.execute("UPDATE monitor SET node_id = 'node9' WHERE name = 'c'").await;
    // Its home is gone, and somebody runs it.
    let orphan = "INSERT INTO monitor (name, type, node_id, assigned_node) VALUES ('d', 'http', 'node9', 'node2')";
    fixture.raw.execute(orphan).await;
    let adopted = cluster::adopt(&fixture.store, &Homes::FromFork, "cli/ada").await.unwrap();
    assert_eq!(adopted, Adoption { homed: 3, homeless: 1, told_by_kuma: 0 });
    assert_eq!((fixture.running_on("node1").await, fixture.running_on("node2").await), (1, 2));
    let deed = fixture.raw.rows("SELECT who, what FROM komainu_audit").await.concat();
    assert_eq!(deed, ["cli/ada", "cluster.adopt"]);
}

async fn adoption_without_the_forks_columns_says_so(kind: Kind) {
    let fixture = observed(kind, false).await;
    let error = cluster::adopt(&fixture.store, &Homes::FromFork, "cli/ada").await.unwrap_err();
    assert!(error.to_string().contains("--home NODE"), "{error}");
    let adopted = cluster::adopt(&fixture.store, &Homes::ByLeader, "cli/ada").await.unwrap();
    assert_eq!(adopted, Adoption { homed: 0, homeless: 3, told_by_kuma: 0 });
}
