//! Verdicts of checks: entered once, in the place of the one that was known, and kept within bounds; votes through the tables.

use komainu::check::{Draft, Guard};
use komainu::clock;
use komainu::store::checks::{self, Target, Wish, WrittenReport};
use komainu_watchdogs::check::{Reason, State, Transition};
use komainu_watchdogs::ids::{CheckName, Incarnation};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;
use serde_json::json;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    of_several_who_find_the_same_verdict_one_enters_it,
    a_verdict_is_entered_only_in_the_place_of_the_one_that_was_known,
    what_stands_is_read_once_and_again_when_it_changed,
    of_a_check_that_flaps_the_latest_changes_are_kept,
    a_verdict_of_a_check_that_is_gone_is_entered_nowhere,
    incidents_of_checks_are_opened_once_noted_and_resolved_by_who_saw_the_last_of_them,
    what_a_watchdog_writes_for_its_peers_is_what_they_read,
    incidents_of_checks_are_found_by_their_index_beside_50_000_others,
}

async fn make(fixture: &Fixture, name: &str) {
    let fields = json!({"name": name, "type": "ping", "hostname": "a.example"});
    let (draft, _) = Draft::read_what_can_be(fields.as_object().unwrap());
    let wish = Wish { target: Target::New, draft, if_match: vec![] };
    checks::write(&fixture.store, "key/test", &[wish], &Guard::default()).await.unwrap().unwrap();
}

fn change(name: &str, from: State, to: State) -> Transition {
    Transition {
        check: name.into(),
        version: 1,
        from,
        to,
        reason: Reason::Failed { failed: 2, voters: 3 },
        at: Wall(1_000),
        votes: vec![],
        first_failing: Some("w2".into()),
    }
}

/// Says whether it was entered.
async fn enter(fixture: &Fixture, name: &str, from: State, to: State) -> bool {
    checks::enter(&fixture.store, &[change(name, from, to)]).await.unwrap().is_empty()
}

async fn standing(fixture: &Fixture) -> Vec<(CheckName, State)> {
    let (_, known) = checks::verdicts(&fixture.store, None).await.unwrap().unwrap();
    known.into_iter().map(|known| (known.check, known.state)).collect()
}

async fn of_several_who_find_the_same_verdict_one_enters_it(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    let finders = (0..5).map(|_| enter(&fixture, "shop", State::Unknown, State::Up));
    let entered = futures_util::future::join_all(finders).await;
    assert_eq!(entered.iter().filter(|entered| **entered).count(), 1);
    let finders = (0..5).map(|_| enter(&fixture, "shop", State::Up, State::Down));
    let entered = futures_util::future::join_all(finders).await;
    assert_eq!(entered.iter().filter(|entered| **entered).count(), 1);
    let page = checks::transitions(&fixture.store, "shop", None, 10).await.unwrap();
    let changes: Vec<_> = page.items.iter().map(|change| (change.from.as_str(), change.to.as_str())).collect();
    assert_eq!(changes, [("up", "down"), ("unknown", "up")]);
    assert_eq!((page.items[0].at, page.items[0].first_failing.as_deref()), (Wall(1_000), Some("w2")));
}

async fn a_verdict_is_entered_only_in_the_place_of_the_one_that_was_known(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    assert!(!enter(&fixture, "shop", State::Up, State::Down).await, "nothing stands there yet");
    assert!(enter(&fixture, "shop", State::Unknown, State::Up).await);
    assert!(!enter(&fixture, "shop", State::Unknown, State::Down).await, "from one who slept");
    assert_eq!(standing(&fixture).await, [("shop".into(), State::Up)]);
    let ahead = Transition { at: Wall(i64::MAX), ..change("shop", State::Up, State::Down) };
    assert_eq!(checks::enter(&fixture.store, &[ahead]).await.unwrap(), []);
    let (_, known) = checks::verdicts(&fixture.store, None).await.unwrap().unwrap();
    assert!(known[0].since < Wall(i64::MAX), "no finder's clock dates it ahead");
}

async fn what_stands_is_read_once_and_again_when_it_changed(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    enter(&fixture, "shop", State::Unknown, State::Up).await;
    let (revision, known) = checks::verdicts(&fixture.store, None).await.unwrap().unwrap();
    assert_eq!((known.len(), known[0].since), (1, Wall(1_000)));
    assert_eq!(checks::verdicts(&fixture.store, Some(revision)).await.unwrap(), None);
    enter(&fixture, "shop", State::Up, State::Partial).await;
    let (later, known) = checks::verdicts(&fixture.store, Some(revision)).await.unwrap().unwrap();
    assert!(later > revision && known[0].state == State::Partial);
}

async fn of_a_check_that_flaps_the_latest_changes_are_kept(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    enter(&fixture, "shop", State::Unknown, State::Up).await;
    let flaps = (0..1_100).map(|number| match number % 2 {
        0 => change("shop", State::Up, State::Down),
        _ => change("shop", State::Down, State::Up),
    });
    let flaps: Vec<_> = flaps.collect();
    for some in flaps.chunks(200) {
        assert_eq!(checks::enter(&fixture.store, some).await.unwrap(), []);
    }
    let page = checks::transitions(&fixture.store, "shop", None, 5_000).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].to.as_str()), (1_000, "up"));
}

async fn a_verdict_of_a_check_that_is_gone_is_entered_nowhere(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    enter(&fixture, "shop", State::Unknown, State::Up).await;
    checks::delete(&fixture.store, "key/test", "shop", &[]).await.unwrap().unwrap();
    assert!(!enter(&fixture, "shop", State::Up, State::Down).await);
    assert!(!enter(&fixture, "shop", State::Unknown, State::Down).await);
    assert_eq!(standing(&fixture).await, []);
    assert_eq!(checks::transitions(&fixture.store, "shop", None, 10).await.unwrap().items, []);
}

async fn incidents_of_checks_are_opened_once_noted_and_resolved_by_who_saw_the_last_of_them(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let alarm = |name: &str| {
        let alarm = Alarm {
            key: format!("check/{name}"),
            severity: Severity::Critical,
            summary: "2 of 3 watchdogs see it fail".to_owned(),
            votes: (2, 3),
        };
        let subject = Subject::of(&alarm);
        (alarm, subject)
    };
    let alarms: Vec<_> = ["api", "shop"].map(alarm).into();
    let is_over_by_now = checks::raise(&fixture.store, &alarms, &Routing::default(), |_| false).await.unwrap();
    assert_eq!((is_over_by_now, checks::incidents(&fixture.store).await.unwrap()), (0, vec![]));
    assert_eq!(checks::raise(&fixture.store, &alarms, &Routing::default(), |_| true).await.unwrap(), 2);
    let open = checks::incidents(&fixture.store).await.unwrap();
    assert_eq!(
        checks::raise(&fixture.store, &alarms, &Routing::default(), |_| true).await.unwrap(),
        0,
        "they are open"
    );
    let seen = open.iter().find(|row| row.key == "check/shop").unwrap();
    assert!(
        !checks::resolve(&fixture.store, ("check/shop", None), seen.last_bad_at, || true).await.unwrap(),
        "somebody saw it bad since"
    );
    let open = checks::incidents(&fixture.store).await.unwrap();
    let seen = open.iter().find(|row| row.key == "check/shop").unwrap();
    let is_bad_again = || false;
    assert!(!checks::resolve(&fixture.store, ("check/shop", None), seen.last_bad_at, is_bad_again).await.unwrap());
    assert!(checks::resolve(&fixture.store, ("check/shop", None), seen.last_bad_at, || true).await.unwrap());
    let left: Vec<_> = checks::incidents(&fixture.store).await.unwrap().into_iter().map(|row| row.key).collect();
    assert_eq!(left, ["check/api"]);
    let open = checks::incidents(&fixture.store).await.unwrap();
    let why = Some("the check was paused");
    assert!(checks::resolve(&fixture.store, ("check/api", why), open[0].last_bad_at, || true).await.unwrap());
    let told = "SELECT e.summary FROM komainu_event e JOIN komainu_incident i ON i.id = e.incident_id \
                WHERE e.kind = 'resolved' ORDER BY i.k";
    let expected = [["the check was paused"], ["no longer: 2 of 3 watchdogs see it fail"]];
    assert_eq!(fixture.raw.rows(told).await, expected, "a pause is no recovery");
}

async fn what_a_watchdog_writes_for_its_peers_is_what_they_read(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let report = |seq| WrittenReport { watchdog: "w2".into(), incarnation: Incarnation(u64::MAX), seq, looks: vec![] };
    for seq in [1, 2] {
        checks::write_report(&fixture.store, &report(seq)).await.unwrap();
    }
    let read = checks::reports(&fixture.store, &["w2".into(), "w3".into()]).await.unwrap();
    assert_eq!(read, [report(2)]);
}

/// Numbers from 1 to 50,000.
fn numbers(kind: Kind) -> &'static str {
    match kind {
        Kind::MariaDb => "SELECT seq AS i FROM seq_1_to_50000",
        Kind::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT i FROM n"
        }
    }
}

async fn incidents_of_checks_are_found_by_their_index_beside_50_000_others(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    for (key, resolved_at) in [("later/", "NULL"), ("later/", "5"), ("check/", "5")] {
        let sql = format!(
            "INSERT INTO komainu_incident (k, severity, summary, opened_at, last_bad_at, resolved_at) \
             SELECT CONCAT('{key}', i), 'critical', 'bad', 1, 2, {resolved_at} FROM ({}) numbers",
            numbers(kind)
        );
        fixture.raw.execute(&sql).await;
    }
    for key in ["check/shop", "checks", "partial/shop"] {
        let sql = format!(
            "INSERT INTO komainu_incident (k, severity, summary, opened_at, last_bad_at) VALUES ('{key}', 'critical', 'bad', 1, 2)"
        );
        fixture.raw.execute(&sql).await;
    }
    let explain = match kind {
        Kind::MariaDb => "EXPLAIN",
        Kind::Sqlite => "EXPLAIN QUERY PLAN",
    };
    if kind == Kind::MariaDb {
        fixture.raw.execute("ANALYZE TABLE komainu_incident").await;
    }
    let plan = fixture.raw.rows(&format!("{explain} {}", checks::open_incidents())).await;
    let began_at = clock::now();
    let found = checks::incidents(&fixture.store).await.unwrap();
    let took = clock::now().since(began_at);
    #[expect(clippy::print_stdout, reason = "a figure")]
    {
        println!("{kind:?}: open incidents of checks beside 50,000 open and 100,000 ended: {took:?}; {plan:?}");
    }
    let mut keys: Vec<_> = found.into_iter().map(|incident| incident.key).collect();
    keys.sort();
    assert_eq!(keys, ["check/shop", "checks", "partial/shop"]);
    let reads = plan.iter().map(|row| row.join(" ")).filter(|step| step.contains("komainu_incident"));
    for step in reads {
        // By what is open and by the key, not by one of them alone.
        let is_found = match kind {
            Kind::MariaDb => step.contains("komainu_incident_standing") && !step.contains("ALL"),
            Kind::Sqlite => step.contains("komainu_incident_standing (resolved_at=? AND k"),
        };
        assert!(is_found, "{step}");
    }
    those_of_rounds_are_found_too(&mut fixture, explain).await;
}

async fn those_of_rounds_are_found_too(fixture: &mut Fixture, explain: &str) {
    let own = ["disagreement/n1", "disagreement/nodes/n2", "node/n1", "nodes"];
    // The same letters, and none of theirs.
    let others = ["disagreement/monitor/7", "Node/n1", "node0", "nodes2"];
    for key in own.into_iter().chain(others) {
        let sql = format!(
            "INSERT INTO komainu_incident (k, severity, summary, opened_at, last_bad_at) VALUES ('{key}', 'warning', 'bad', 1, 2)"
        );
        fixture.raw.execute(&sql).await;
    }
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    let plan = fixture.raw.rows(&format!("{explain} {}", errands.open_incidents())).await;
    let began_at = clock::now();
    let found = errands.incidents().await.unwrap();
    let took = clock::now().since(began_at);
    #[expect(clippy::print_stdout, reason = "a figure")]
    {
        println!("open incidents of rounds beside 50,000 open and 100,000 ended: {took:?}");
    }
    let of_checks = ["check/shop", "checks", "partial/shop"];
    let of_rounds = found.iter().map(|incident| incident.key.as_str());
    let of_rounds = of_rounds.filter(|key| !key.starts_with("later/") && !of_checks.contains(key));
    assert_eq!(
        of_rounds.collect::<Vec<_>>(),
        own,
        "of the others the critical ones come first, and there are too many"
    );
    for step in plan.iter().map(|row| row.join(" ")).filter(|step| step.contains("komainu_incident")) {
        let is_found = match explain {
            "EXPLAIN" => step.contains("komainu_incident_standing") || step.contains("komainu_incident_urgent"),
            _ => {
                step.contains("komainu_incident_standing (resolved_at=? AND k")
                    || step.contains("komainu_incident_urgent (resolved_at=? AND severity=?)")
            }
        };
        assert!(is_found && !step.contains(" ALL "), "{step}");
    }
}
