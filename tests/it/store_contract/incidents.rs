//! Incidents: one open per key, resolved only when nobody saw it bad since.

use komainu::store::Errands;
use komainu::store::incidents::{self, IncidentFilter, leftover};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::Routing;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    twenty_who_raise_at_once_open_one_incident,
    a_resolve_fails_when_somebody_saw_it_bad_since,
    what_comes_back_within_ten_minutes_is_the_same_incident_and_flaps_in_silence,
    what_comes_back_keeps_when_it_opened_first_and_shows_both,
    what_comes_back_after_ten_minutes_is_another_incident,
    what_is_over_before_it_was_told_is_told_as_its_end,
    people_list_and_acknowledge,
    what_is_about_something_that_is_gone_ends_and_says_so,
    what_turned_out_otherwise_before_anybody_was_told_is_told_as_it_is,
    a_nodes_changed_reason_is_told_once_and_changed_figures_are_not,
    a_reason_that_is_not_known_yet_is_no_news_to_whoever_was_told_another,
    a_warning_that_turns_critical_says_so_also_when_its_reason_changes_before_that_is_told,
}

fn of_node(summary: &str) -> Alarm {
    Alarm { summary: summary.to_owned(), ..alarm("node/node1") }
}

/// Event and words of each delivery, in the order of entering.
async fn words(fixture: &mut Fixture) -> Vec<String> {
    let sql = "SELECT CONCAT(d.channel, ': ', e.kind, ': ', e.summary) FROM komainu_delivery d \
         JOIN komainu_event e ON e.id = d.event_id WHERE d.state <> 'cancelled' ORDER BY d.id";
    fixture.raw.rows(sql).await.into_iter().map(|row| row.concat()).collect()
}

async fn what_turned_out_otherwise_before_anybody_was_told_is_told_as_it_is(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    watch.raise(&of_node("its lease ended"), &routing()).await.unwrap();
    assert!(!watch.raise(&of_node("it is offline: 3 of 3"), &routing()).await.unwrap(), "it is open already");
    assert_eq!(
        words(&mut fixture).await,
        ["mail: opened: it is offline: 3 of 3", "ops: opened: it is offline: 3 of 3"]
    );
}

async fn a_nodes_changed_reason_is_told_once_and_changed_figures_are_not(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    watch.raise(&of_node("its lease ended"), &routing()).await.unwrap();
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    for summary in ["it is offline: 2 of 3", "it is offline: 3 of 3", "its lease ended", "it is offline: 3 of 3"] {
        watch.raise(&of_node(summary), &routing()).await.unwrap();
    }
    let told = [
        "mail: opened: its lease ended",
        "ops: opened: its lease ended",
        "mail: reminder: it is offline: 2 of 3",
        "ops: reminder: it is offline: 2 of 3",
    ];
    assert_eq!(words(&mut fixture).await, told);
}

async fn a_reason_that_is_not_known_yet_is_no_news_to_whoever_was_told_another(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let uncertain = of_node("its lease ended; 0 of 3 watchdogs cannot reach it so far");
    watch.raise(&of_node("it is offline: 3 of 3"), &routing()).await.unwrap();
    watch.raise(&uncertain, &routing()).await.unwrap();
    let said = words(&mut fixture).await;
    assert!(said.iter().all(|words| words.ends_with("so far")), "nobody was told yet: {said:?}");
    watch.raise(&of_node("it is offline: 3 of 3"), &routing()).await.unwrap();
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    watch.raise(&uncertain, &routing()).await.unwrap();
    watch.raise(&of_node("it is offline: 3 of 3"), &routing()).await.unwrap();
    let told = ["mail: opened: it is offline: 3 of 3", "ops: opened: it is offline: 3 of 3"];
    assert_eq!(words(&mut fixture).await, told);
    let summary = "SELECT summary FROM komainu_incident";
    watch.raise(&uncertain, &routing()).await.unwrap();
    assert_eq!(fixture.raw.one(summary).await, uncertain.summary, "whoever looks sees what is so");
}

async fn a_warning_that_turns_critical_says_so_also_when_its_reason_changes_before_that_is_told(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let warning = Alarm { severity: Severity::Warning, ..of_node("nobody reaches it: 3 of 3") };
    watch.raise(&warning, &routing()).await.unwrap();
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    watch.raise(&of_node("its lease ended"), &routing()).await.unwrap();
    watch.raise(&of_node("it is offline: 3 of 3"), &routing()).await.unwrap();
    let told = words(&mut fixture).await;
    assert!(told.contains(&"mail: worse: it is offline: 3 of 3".to_owned()), "{told:?}");
    assert!(!told.iter().any(|words| words.contains("reminder")), "{told:?}");
}

async fn what_is_about_something_that_is_gone_ends_and_says_so(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    for key in ["channel/ops", "channel/renamed", "channel/of-another", "heartbeat/gone", "leader"] {
        assert!(watch.raise(&alarm(key), &routing()).await.unwrap());
    }
    let channels = ["mail".to_owned(), "ops".to_owned()];
    let ends = "SELECT i.k, e.summary FROM komainu_event e JOIN komainu_incident i ON i.id = e.incident_id \
         WHERE e.kind = 'resolved' ORDER BY i.id";
    assert_eq!(leftover::end(&fixture.store, &channels).await.unwrap(), 1);
    assert_eq!(fixture.raw.rows(ends).await, [["heartbeat/gone", "the heartbeat was deleted"]]);
    // Ten minutes later; one of them is in another watchdog's configuration, which tried it a moment ago.
    fixture.raw.execute("UPDATE komainu_incident SET last_bad_at = last_bad_at - 660000").await;
    let tried = "INSERT INTO komainu_channel (name, last_error_at) SELECT 'of-another', opened_at FROM komainu_incident \
         WHERE k = 'channel/of-another'";
    fixture.raw.execute(tried).await;
    assert_eq!(leftover::end(&fixture.store, &channels).await.unwrap(), 1);
    let why = "no configuration has the channel renamed any more";
    assert_eq!(fixture.raw.rows(ends).await[0], ["channel/renamed", why]);
}

fn alarm(key: &str) -> Alarm {
    Alarm { key: key.to_owned(), severity: Severity::Critical, summary: "it is gone".to_owned(), votes: (2, 3) }
}

async fn twenty_who_raise_at_once_open_one_incident(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut raises = vec![];
    for _ in 0..20 {
        let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
        raises.push(tokio::spawn(async move { watch.raise(&alarm("node/node1"), &routing()).await.unwrap() }));
    }
    let mut opened = 0;
    for raise in raises {
        opened += u32::from(raise.await.unwrap());
    }
    assert_eq!(opened, 1);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 1);
    assert_eq!(entered(&mut fixture).await, ["opened mail waiting", "opened ops waiting"]);
}

async fn a_resolve_fails_when_somebody_saw_it_bad_since(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.store.errands(&"w1".into()).await.unwrap();
    let mut two = fixture.store.errands(&"w1".into()).await.unwrap();
    assert!(one.raise(&alarm("node/node1"), &routing()).await.unwrap());
    let seen = one.incidents().await.unwrap()[0].last_bad_at;
    assert!(!two.raise(&alarm("node/node1"), &routing()).await.unwrap());
    assert!(!one.resolve("node/node1", seen).await.unwrap());
    let seen = one.incidents().await.unwrap()[0].last_bad_at;
    assert!(one.resolve("node/node1", seen).await.unwrap());
    assert!(!one.resolve("node/node1", seen).await.unwrap());
    assert!(one.incidents().await.unwrap().is_empty());
}

async fn what_comes_back_within_ten_minutes_is_the_same_incident_and_flaps_in_silence(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    // What is due within a minute was delivered; what waits for calm was not.
    let sent = "UPDATE komainu_delivery SET state = 'sent' WHERE state = 'waiting' AND due_at < created_at + 60000";
    for _ in 0..6 {
        assert!(watch.raise(&alarm("capacity"), &routing()).await.unwrap());
        fixture.raw.execute(sent).await;
        resolve(&mut watch).await;
        fixture.raw.execute(sent).await;
    }
    assert_eq!(fixture.raw.count("SELECT flaps FROM komainu_incident WHERE k = 'capacity'").await, 5);
    let of_mail: Vec<_> = entered(&mut fixture).await.into_iter().filter(|row| row.contains("mail")).collect();
    let told: Vec<_> = of_mail.iter().filter_map(|row| row.strip_suffix(" mail sent")).collect();
    assert_eq!(told, ["opened", "resolved", "opened", "resolved", "opened", "resolved", "flapping"]);
    let waiting: Vec<_> = of_mail.iter().filter(|row| row.ends_with("waiting")).collect();
    assert_eq!(waiting, ["resolved mail waiting"], "its end is told once, when it has been calm");
}

async fn what_comes_back_keeps_when_it_opened_first_and_shows_both(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    raise_and_resolve(&mut watch).await;
    for _ in 0..2 {
        // Each time it opened a minute before it is back.
        fixture
            .raw
            .execute(
                "UPDATE komainu_incident SET opened_at = opened_at - 60000, first_opened_at = first_opened_at - 60000",
            )
            .await;
        watch.raise(&alarm("capacity"), &routing()).await.unwrap();
        resolve(&mut watch).await;
    }
    watch.raise(&alarm("capacity"), &routing()).await.unwrap();
    let shown = incidents::list(&fixture.store, &IncidentFilter::default(), None, 10).await.unwrap().items.remove(0);
    let span = shown.opened_at.since(shown.first_opened_at).as_secs();
    assert!((120..130).contains(&span), "{span} s between the first opening and the last");
    let open = watch.incidents().await.unwrap().remove(0);
    assert_eq!((open.opened_at, open.first_opened_at), (shown.opened_at, Some(shown.first_opened_at)));
}

async fn what_comes_back_after_ten_minutes_is_another_incident(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    for _ in 0..2 {
        raise_and_resolve(&mut watch).await;
        fixture.raw.execute("UPDATE komainu_incident SET resolved_at = resolved_at - 600001").await;
    }
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident WHERE k = 'capacity'").await, 2);
}

async fn what_is_over_before_it_was_told_is_told_as_its_end(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    raise_and_resolve(&mut watch).await;
    let expected = ["opened mail cancelled", "opened ops cancelled", "resolved mail waiting", "resolved ops waiting"];
    assert_eq!(entered(&mut fixture).await, expected);
}

async fn raise_and_resolve(watch: &mut Errands) {
    assert!(watch.raise(&alarm("capacity"), &routing()).await.unwrap());
    resolve(watch).await;
}

async fn resolve(watch: &mut Errands) {
    let seen = watch.incidents().await.unwrap()[0].last_bad_at;
    assert!(watch.resolve("capacity", seen).await.unwrap());
}

fn routing() -> Routing {
    Routing { channels: vec!["mail".to_owned(), "ops".to_owned()], routes: vec![] }
}

/// `event channel state` of each delivery.
async fn entered(fixture: &mut Fixture) -> Vec<String> {
    let sql = "SELECT e.kind, d.channel, d.state FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id \
        ORDER BY d.event_id, d.channel";
    fixture.raw.rows(sql).await.into_iter().map(|row| row.join(" ")).collect()
}

async fn people_list_and_acknowledge(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    for key in ["node/node1", "node/node2", "leader"] {
        watch.raise(&alarm(key), &routing()).await.unwrap();
    }
    let of_nodes = IncidentFilter { is_open: Some(true), key: Some("node".to_owned()) };
    let page = incidents::list(&fixture.store, &of_nodes, None, 1).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].key.as_str()), (1, "node/node2"));
    let rest = incidents::list(&fixture.store, &of_nodes, page.next.as_deref(), 1).await.unwrap();
    assert_eq!((rest.items[0].key.as_str(), rest.next), ("node/node1", None));
    assert_eq!((rest.items[0].votes_bad, rest.items[0].votes_of), (2, 3));
    let id = rest.items[0].id;
    assert!(incidents::acknowledge(&fixture.store, id, "ada").await.unwrap());
    assert!(!incidents::acknowledge(&fixture.store, 999, "ada").await.unwrap());
    let all = incidents::list(&fixture.store, &IncidentFilter::default(), None, 10).await.unwrap().items;
    let acknowledged = all.iter().find(|incident| incident.id == id).unwrap();
    assert_eq!(acknowledged.acknowledged_by.as_deref(), Some("ada"));
    assert!(incidents::list(&fixture.store, &of_nodes, Some("garbage"), 1).await.is_err());
}
