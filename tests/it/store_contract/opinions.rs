//! Second opinions: what waits for the watchdogs, who asks them, and what is told.

use std::collections::BTreeMap;

use komainu::opinion::SecondOpinion;
use komainu::store::opinions::{self, Answered, Which};
use komainu::store::{downtimes, monitors};
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::opinion::{AT_ONCE, Choice, HELD_AT_MOST, Opinion, Seen, Wish};
use komainu_watchdogs::routing::Routing;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_message_waits_for_the_watchdogs_and_says_what_they_see,
    where_they_see_no_outage_it_is_a_disagreement_and_the_page_comes_when_they_do,
    a_message_that_waits_for_too_long_is_told_as_the_node_says,
    a_question_is_asked_by_one_and_taken_over_from_who_was_killed,
    who_heard_nobody_leaves_a_question_to_another_watchdog,
    of_a_mass_outage_only_so_many_wait_and_the_others_say_why_they_do_not,
    what_holds_a_page_back_waits_in_line_and_notes_take_no_room_from_it,
    a_crowd_that_is_denied_is_held_and_one_that_is_confirmed_is_told,
    what_kuma_tells_is_contradicted_and_not_held_back,
    a_node_that_calls_a_monitor_up_is_contradicted_after_three_intervals,
    a_tag_in_kuma_says_it_and_a_monitor_that_cannot_be_looked_at_is_left_out,
    what_nobody_asks_about_any_more_is_forgotten_and_over,
    of_what_was_deleted_in_kumas_pages_nothing_is_asked_and_nothing_left,
}

const DOWN: i64 = 0;
const UP: i64 = 1;
const ME: Incarnation = Incarnation(1);
const OTHER: Incarnation = Incarnation(2);

fn routing() -> Routing {
    Routing { channels: vec!["ops".to_owned()], routes: vec![] }
}

fn by_default(default: Wish) -> SecondOpinion {
    SecondOpinion { choice: Choice { default, rules: vec![] }, ..SecondOpinion::default() }
}

fn said(seen: Seen) -> Opinion {
    let votes = if seen == Seen::Down { (3, 3) } else { (0, 3) };
    Opinion { seen, votes, words: format!("all see it {}", seen.as_str()), unheard: 0 }
}

/// Both kinds of incident, as a watchdog settles them: so many opened and resolved of each.
async fn settle(fixture: &Fixture, wishes: &SecondOpinion, monitors: &[MonitorId]) -> [(u32, u32); 2] {
    let routing = routing();
    let told = downtimes::settle(&fixture.store, monitors, (&routing, wishes)).await.unwrap();
    [told, opinions::settle(&fixture.store, monitors, (&routing, wishes)).await.unwrap()]
}

/// Asks what is due, and answers it.
async fn answer(fixture: &Fixture, wishes: &SecondOpinion, which: Which, seen: Seen) -> usize {
    let claimed = opinions::claim(&fixture.store, ME, wishes, (which, 100)).await.unwrap();
    for claimed in &claimed {
        let answer = (claimed.spec.id, claimed.change, said(seen));
        assert_eq!(opinions::answer(&fixture.store, ME, wishes, answer).await.unwrap(), Answered::Noted);
    }
    claimed.len()
}

async fn late(fixture: &Fixture) -> Vec<MonitorId> {
    opinions::late(&fixture.store, MonitorId(0)).await.unwrap().0
}

/// Three watchdogs live.
async fn with_watchdogs(fixture: &mut Fixture) {
    for name in ["w1", "w2", "w3"] {
        let sql = format!(
            "INSERT INTO komainu_watchdog (watchdog_id, incarnation, last_seen) VALUES ('{name}', '{name}', {})",
            komainu::clock::wall().0
        );
        fixture.raw.execute(&sql).await;
    }
}

async fn down(kind: Kind, how_many: usize) -> (Fixture, Vec<MonitorId>) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let monitors = fixture.monitors(how_many, Some("node1")).await;
    for monitor in &monitors {
        fixture.change(*monitor, DOWN, 0).await;
    }
    (fixture, monitors)
}

async fn open(fixture: &mut Fixture) -> BTreeMap<String, String> {
    let rows = fixture.raw.rows("SELECT k, summary FROM komainu_incident WHERE resolved_at IS NULL").await;
    rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
}

/// So much time passes for what is known.
async fn pass(fixture: &mut Fixture, seconds: i64) {
    let ms = seconds * 1_000;
    let sql = format!(
        "UPDATE komainu_opinion SET asked_at = asked_at - {ms}, due_at = due_at - {ms}, held_at = held_at - {ms}, \
         clear_at = clear_at - {ms}, down_since = down_since - {ms}"
    );
    fixture.raw.execute(&sql).await;
}

async fn a_message_waits_for_the_watchdogs_and_says_what_they_see(kind: Kind) {
    let (mut fixture, monitors) = down(kind, 1).await;
    let wishes = by_default(Wish::Note);
    for _ in 0..3 {
        assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0); 2], "it waits, whoever looks");
    }
    assert_eq!(opinions::waiting(&fixture.store).await.unwrap(), 1);
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Down).await, 1);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(1, 0), (0, 0)]);
    let told = &open(&mut fixture).await[&format!("monitor/{}", monitors[0])];
    assert!(told.ends_with("is down: timeout; second opinion: all see it down"), "{told}");
    let votes = fixture.raw.rows("SELECT votes_bad, votes_of FROM komainu_incident").await;
    assert_eq!(votes, [["3", "3"]]);
    pass(&mut fixture, 3_600).await;
    assert_eq!(answer(&fixture, &wishes, Which::Again, Seen::Up).await, 0, "nobody looks again: it is told");
    fixture.change(monitors[0], UP, 1).await;
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 1), (0, 0)]);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_opinion").await, 0);
    // A later outage is another question.
    fixture.change(monitors[0], DOWN, 2).await;
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0); 2]);
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Up).await, 1);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(1, 0), (0, 0)], "a note holds no page back");
}

async fn where_they_see_no_outage_it_is_a_disagreement_and_the_page_comes_when_they_do(kind: Kind) {
    let (mut fixture, monitors) = down(kind, 1).await;
    let wishes = by_default(Wish::Require);
    let (page, warning) = (format!("monitor/{}", monitors[0]), format!("disagreement/monitor/{}", monitors[0]));
    settle(&fixture, &wishes, &monitors).await;
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Up).await, 1);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0), (1, 0)]);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0); 2], "once");
    let told = open(&mut fixture).await;
    assert!(told[&warning].contains("node node1 calls monitor  down (timeout); all see it up"), "{told:?}");
    let severity = fixture.raw.rows("SELECT severity FROM komainu_incident").await;
    assert_eq!(severity, [["warning"]]);
    assert_eq!(answer(&fixture, &wishes, Which::Again, Seen::Down).await, 0, "they look again, and not at once");
    pass(&mut fixture, 61).await;
    assert_eq!(answer(&fixture, &wishes, Which::Again, Seen::Down).await, 1);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(1, 0), (0, 1)]);
    assert_eq!(open(&mut fixture).await.into_keys().collect::<Vec<_>>(), [page]);
    let over = fixture.raw.rows("SELECT e.summary FROM komainu_event e WHERE e.kind = 'resolved'").await;
    assert!(over[0][0].contains("the watchdogs see it down too"), "{over:?}");
    fixture.change(monitors[0], UP, 1).await;
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 1), (0, 0)]);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_opinion").await, 0);
}

async fn a_message_that_waits_for_too_long_is_told_as_the_node_says(kind: Kind) {
    let (mut fixture, monitors) = down(kind, 1).await;
    let wishes = by_default(Wish::Require);
    settle(&fixture, &wishes, &monitors).await;
    assert!(late(&fixture).await.is_empty());
    // A look of 48 s, and 15 s more.
    pass(&mut fixture, 62).await;
    assert_eq!(late(&fixture).await, monitors);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0); 2]);
    pass(&mut fixture, 2).await;
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(1, 0), (0, 0)]);
    let told = open(&mut fixture).await;
    assert!(
        told.values().all(|told| told.ends_with("no second opinion: the watchdogs did not answer in time")),
        "{told:?}"
    );

    let (mut fixture, monitors) = down(kind, 1).await;
    settle(&fixture, &wishes, &monitors).await;
    pass(&mut fixture, -64).await;
    assert_eq!(late(&fixture).await, monitors, "the clock was set back");
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(1, 0), (0, 0)]);

    let (mut fixture, monitors) = down(kind, 1).await;
    settle(&fixture, &wishes, &monitors).await;
    answer(&fixture, &wishes, Which::First, Seen::Nothing).await;
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(1, 0), (0, 0)]);
    let told = open(&mut fixture).await;
    assert!(told.values().all(|told| told.ends_with("no second opinion: all see it nothing")), "{told:?}");
}

async fn a_question_is_asked_by_one_and_taken_over_from_who_was_killed(kind: Kind) {
    let (mut fixture, monitors) = down(kind, 3).await;
    let wishes = by_default(Wish::Note);
    settle(&fixture, &wishes, &monitors).await;
    let claim = async |fixture: &Fixture, me, how_many| {
        let claimed = opinions::claim(&fixture.store, me, &wishes, (Which::First, how_many)).await.unwrap();
        claimed.into_iter().map(|claimed| (claimed.spec.id, claimed.change)).collect::<Vec<_>>()
    };
    let (mine, others) = (claim(&fixture, ME, 2).await, claim(&fixture, OTHER, 100).await);
    assert_eq!((mine.len(), others.len()), (2, 1));
    assert!(others.iter().all(|other| !mine.contains(other)));
    pass(&mut fixture, 6).await;
    opinions::renew(&fixture.store, ME, &[mine[0].0]).await.unwrap();
    pass(&mut fixture, 2).await;
    let taken = claim(&fixture, OTHER, 100).await;
    assert!(taken.contains(&mine[1]) && !taken.contains(&mine[0]), "what was not renewed is somebody else's");
    let answer = async |fixture: &Fixture, (monitor, change)| {
        opinions::answer(&fixture.store, ME, &wishes, (monitor, change, said(Seen::Down))).await.unwrap()
    };
    assert_eq!(answer(&fixture, mine[1]).await, Answered::TooLate, "who comes back too late changes nothing");
    let before = (mine[0].0, mine[0].1 - 1);
    assert_eq!(answer(&fixture, before).await, Answered::TooLate, "nor does who asked about another change");
    assert_eq!(answer(&fixture, mine[0]).await, Answered::Noted);
}

async fn who_heard_nobody_leaves_a_question_to_another_watchdog(kind: Kind) {
    let (fixture, monitors) = down(kind, 1).await;
    let wishes = by_default(Wish::Require);
    settle(&fixture, &wishes, &monitors).await;
    let claim = async |fixture: &Fixture, me| {
        let claimed = opinions::claim(&fixture.store, me, &wishes, (Which::First, 100)).await.unwrap();
        claimed.into_iter().map(|claimed| (claimed.spec.id, claimed.change)).collect::<Vec<_>>()
    };
    let answer = async |fixture: &Fixture, me, (monitor, change), opinion| {
        opinions::answer(&fixture.store, me, &wishes, (monitor, change, opinion)).await.unwrap()
    };
    let unheard = || Opinion { unheard: 2, ..said(Seen::Nothing) };
    let question = claim(&fixture, ME).await[0];
    assert_eq!(answer(&fixture, ME, question, unheard()).await, Answered::PassedOn);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0); 2], "nobody is told that nothing is known");
    assert!(claim(&fixture, ME).await.is_empty(), "others are to ask");
    assert_eq!(claim(&fixture, OTHER).await, [question]);
    assert_eq!(answer(&fixture, OTHER, question, said(Seen::Up)).await, Answered::Noted);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0), (1, 0)], "one deaf host undoes nothing");

    let (mut fixture, monitors) = down(kind, 1).await;
    settle(&fixture, &wishes, &monitors).await;
    let question = claim(&fixture, ME).await[0];
    assert_eq!(answer(&fixture, ME, question, unheard()).await, Answered::PassedOn);
    pass(&mut fixture, 8).await;
    assert_eq!(claim(&fixture, ME).await, [question], "where no other does it asks again");
    assert_eq!(answer(&fixture, ME, question, unheard()).await, Answered::PassedOn);
    assert_eq!(claim(&fixture, OTHER).await, [question]);
    assert_eq!(answer(&fixture, OTHER, question, unheard()).await, Answered::PassedOn);
    let third = Incarnation(3);
    assert_eq!(claim(&fixture, third).await, [question]);
    assert_eq!(answer(&fixture, third, question, unheard()).await, Answered::Noted, "all three have asked");
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(1, 0), (0, 0)]);
}

async fn of_a_mass_outage_only_so_many_wait_and_the_others_say_why_they_do_not(kind: Kind) {
    let (mut fixture, all) = down(kind, 600).await;
    with_watchdogs(&mut fixture).await;
    // The last ones are required, and come first.
    let require = "UPDATE komainu_monitor SET second_opinion = 'require' WHERE monitor_id > 590";
    fixture.raw.execute(require).await;
    let wishes = by_default(Wish::Note);
    let [(told, _), disputed] = settle(&fixture, &wishes, &all).await;
    let waiting = opinions::waiting(&fixture.store).await.unwrap();
    // Those that are required come on top of the notes that found room before them.
    assert!((3 * AT_ONCE..=3 * AT_ONCE + 10).contains(&waiting), "{waiting}");
    assert_eq!((told + u32::try_from(waiting).unwrap(), disputed), (600, (0, 0)));
    let crowded = "SELECT COUNT(*) FROM komainu_incident WHERE summary LIKE '%no second opinion: too many monitors went down at once'";
    assert_eq!(fixture.raw.count(crowded).await, i64::from(told));
    let first = opinions::claim(&fixture.store, ME, &wishes, (Which::First, 10)).await.unwrap();
    assert!(first.len() == 10 && first.iter().all(|claimed| claimed.spec.id.0 > 590), "all of them, and first");
    assert_eq!(settle(&fixture, &wishes, &all).await, [(0, 0); 2]);
}

async fn what_holds_a_page_back_waits_in_line_and_notes_take_no_room_from_it(kind: Kind) {
    let (mut fixture, all) = down(kind, 600).await;
    let require = "UPDATE komainu_monitor SET second_opinion = 'require' WHERE monitor_id > 550";
    fixture.raw.execute(require).await;
    let wishes = by_default(Wish::Note);
    let mut told = 0;
    for part in [&all[..250], &all[250..500], &all[500..]] {
        told += settle(&fixture, &wishes, part).await[0].0;
    }
    let required = async |fixture: &mut Fixture| {
        let id = |key: &String| key.strip_prefix("monitor/").and_then(|id| id.parse::<i64>().ok()).unwrap_or(0);
        open(fixture).await.keys().filter(|key| id(key) > 550).count()
    };
    // One watchdog, as far as anybody knows: room for 32 notes, and for 32 of the 50 that are required.
    assert_eq!((told, required(&mut fixture).await), (550 - 32, 0));
    let line = "SELECT COUNT(*) FROM komainu_opinion WHERE due_at IS NULL AND line = 1";
    assert_eq!(fixture.raw.count(line).await, 50 - 32);
    opinions::leave_line(&fixture.store).await.unwrap();
    assert_eq!(fixture.raw.count(line).await, 50 - 32, "there is no room yet");
    let claimed = opinions::claim(&fixture.store, ME, &wishes, (Which::First, 20)).await.unwrap();
    for claimed in claimed {
        assert!(claimed.spec.id.0 > 550);
        let answer = (claimed.spec.id, claimed.change, said(Seen::Up));
        opinions::answer(&fixture.store, ME, &wishes, answer).await.unwrap();
    }
    opinions::leave_line(&fixture.store).await.unwrap();
    assert_eq!(fixture.raw.count(line).await, 0);
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Up).await, 30 + 32);
    settle(&fixture, &wishes, &all).await;
    assert_eq!(required(&mut fixture).await, 0, "nobody sees any of them down");
}

async fn a_crowd_that_is_denied_is_held_and_one_that_is_confirmed_is_told(kind: Kind) {
    let wishes = by_default(Wish::Require);
    let (mut fixture, all) = down(kind, 60).await;
    assert_eq!(settle(&fixture, &wishes, &all).await, [(0, 0); 2]);
    assert_eq!(late(&fixture).await.len(), 60 - 32, "what waits in line is looked at each second");
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Up).await, 32);
    // Patience is over, of a look of 48 s, and the answers say that the node is wrong.
    let wait = "UPDATE komainu_opinion SET asked_at = asked_at - 64000 WHERE line = 1";
    fixture.raw.execute(wait).await;
    assert_eq!(settle(&fixture, &wishes, &all).await, [(0, 0), (32, 0)], "nobody is paged for the others");
    let held = HELD_AT_MOST.as_millis() - 64_000;
    fixture.raw.execute(&format!("UPDATE komainu_opinion SET asked_at = asked_at - {held} WHERE line = 1")).await;
    assert_eq!(settle(&fixture, &wishes, &all).await, [(28, 0), (0, 0)], "not for ever");
    let told = open(&mut fixture).await;
    let mut told = told.iter().filter(|(key, _)| key.starts_with("monitor/"));
    assert!(told.all(|(_, told)| told.ends_with("too many monitors went down at once")));
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_opinion").await, 32, "nobody needs their answers");

    let (fixture, all) = down(kind, 60).await;
    settle(&fixture, &wishes, &all).await;
    assert_eq!(settle(&fixture, &wishes, &all).await, [(0, 0); 2]);
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Down).await, 32);
    assert_eq!(settle(&fixture, &wishes, &all).await, [(60, 0), (0, 0)], "they are down, and all are told at once");

    let (mut fixture, all) = down(kind, 60).await;
    settle(&fixture, &wishes, &all).await;
    fixture.raw.execute(wait).await;
    assert_eq!(settle(&fixture, &wishes, &all).await, [(28, 0), (0, 0)], "of which nobody knows anything");
}

async fn what_kuma_tells_is_contradicted_and_not_held_back(kind: Kind) {
    let (mut fixture, monitors) = down(kind, 1).await;
    fixture.raw.execute("UPDATE komainu_monitor SET made_by = 'kuma', second_opinion = 'note'").await;
    let wishes = SecondOpinion::default();
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0); 2]);
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Up).await, 1);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0), (1, 0)]);
    pass(&mut fixture, 61).await;
    assert_eq!(answer(&fixture, &wishes, Which::Again, Seen::Down).await, 1);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0), (0, 1)], "they agree with Kuma");
    fixture.change(monitors[0], UP, 1).await;
    settle(&fixture, &wishes, &monitors).await;
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_opinion").await, 0);
}

async fn a_node_that_calls_a_monitor_up_is_contradicted_after_three_intervals(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let monitors = fixture.monitors(3, Some("node1")).await;
    let wishes = by_default(Wish::Note);
    fixture.change(monitors[0], UP, 0).await;
    fixture.change(monitors[1], DOWN, 0).await;
    let page = opinions::next_wished(&fixture.store, &wishes, MonitorId(0)).await.unwrap();
    assert_eq!((page.monitors, page.left_out, page.reached), (monitors.clone(), 0, MonitorId(0)));
    let sampled = opinions::sampled(&fixture.store, &wishes, &monitors).await.unwrap();
    assert_eq!(
        sampled.iter().map(|sampled| sampled.spec.id).collect::<Vec<_>>(),
        monitors[..1],
        "only what is called up"
    );
    for _ in 0..2 {
        opinions::suspect(&fixture.store, monitors[0]).await.unwrap();
    }
    assert!(opinions::sampled(&fixture.store, &wishes, &monitors).await.unwrap().is_empty(), "everybody looks already");
    assert_eq!(opinions::waiting(&fixture.store).await.unwrap(), 0, "nobody waits for it");
    for seconds in [0, 60, 60] {
        pass(&mut fixture, seconds).await;
        assert_eq!(settle(&fixture, &wishes, &monitors[..1]).await, [(0, 0); 2]);
        assert_eq!(answer(&fixture, &wishes, Which::Again, Seen::Down).await, 1);
    }
    pass(&mut fixture, 58).await;
    assert_eq!(settle(&fixture, &wishes, &monitors[..1]).await, [(0, 0); 2]);
    pass(&mut fixture, 2).await;
    assert_eq!(settle(&fixture, &wishes, &monitors[..1]).await, [(0, 0), (1, 0)]);
    let told = open(&mut fixture).await;
    assert!(
        told.values().all(|told| told.contains("node node1 calls monitor  up (timeout); all see it down")),
        "{told:?}"
    );
    pass(&mut fixture, 61).await;
    assert_eq!(answer(&fixture, &wishes, Which::Again, Seen::Up).await, 1);
    assert_eq!(settle(&fixture, &wishes, &monitors[..1]).await, [(0, 0), (0, 1)]);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_opinion").await, 0);
}

async fn a_tag_in_kuma_says_it_and_a_monitor_that_cannot_be_looked_at_is_left_out(kind: Kind) {
    let (mut fixture, monitors) = down(kind, 4).await;
    let [tagged, pushed, guarded, other] = monitors[..] else { panic!("{monitors:?}") };
    fixture.raw.execute("INSERT INTO tag (id, name, color) VALUES (70, 'second_opinion', '#000')").await;
    for monitor in [tagged, pushed, guarded] {
        let sql = format!("INSERT INTO monitor_tag (monitor_id, tag_id, value) VALUES ({monitor}, 70, 'require')");
        fixture.raw.execute(&sql).await;
    }
    fixture.raw.execute(&format!("UPDATE monitor SET type = 'push' WHERE id = {pushed}")).await;
    fixture.raw.execute(&format!("UPDATE monitor SET url = 'http://169.254.169.254/' WHERE id = {guarded}")).await;
    let wishes = SecondOpinion::default();
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(3, 0), (0, 0)]);
    let keys: Vec<_> = open(&mut fixture).await.into_keys().collect();
    assert!(!keys.contains(&format!("monitor/{tagged}")) && keys.contains(&format!("monitor/{other}")), "{keys:?}");
    let page = opinions::next_wished(&fixture.store, &wishes, MonitorId(0)).await.unwrap();
    assert_eq!((page.monitors, page.left_out), (vec![tagged], 2));
    let view = monitors::get(&fixture.store, tagged).await.unwrap().unwrap();
    assert!(view.tag_values.contains(&"second_opinion:require".to_owned()) && view.opinion.is_some(), "{view:?}");
}

async fn what_nobody_asks_about_any_more_is_forgotten_and_over(kind: Kind) {
    let (mut fixture, monitors) = down(kind, 2).await;
    let wishes = by_default(Wish::Require);
    settle(&fixture, &wishes, &monitors).await;
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Up).await, 2);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0), (2, 0)]);
    fixture
        .raw
        .execute(&format!("UPDATE komainu_monitor SET second_opinion = 'off' WHERE monitor_id = {}", monitors[0]))
        .await;
    fixture.raw.execute(&format!("UPDATE monitor SET active = 0 WHERE id = {}", monitors[1])).await;
    assert_eq!(
        settle(&fixture, &wishes, &monitors).await,
        [(1, 0), (0, 2)],
        "the one is told now, the other was paused"
    );
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_opinion").await, 0);

    let (mut fixture, monitors) = down(kind, 1).await;
    settle(&fixture, &wishes, &monitors).await;
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Up).await, 1);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0), (1, 0)]);
    monitors::delete(&fixture.store, "test", monitors[0], &[]).await.unwrap().unwrap();
    let (open, _) = opinions::open(&fixture.store, "", 10).await.unwrap();
    assert_eq!(open, monitors);
    assert_eq!(settle(&fixture, &wishes, &open).await, [(0, 0), (0, 1)]);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_opinion").await, 0);
}

async fn of_what_was_deleted_in_kumas_pages_nothing_is_asked_and_nothing_left(kind: Kind) {
    let (mut fixture, monitors) = down(kind, 3).await;
    let wishes = by_default(Wish::Require);
    settle(&fixture, &wishes, &monitors).await;
    assert_eq!(answer(&fixture, &wishes, Which::First, Seen::Up).await, 3);
    assert_eq!(settle(&fixture, &wishes, &monitors).await, [(0, 0), (3, 0)]);
    // Kuma knows nothing of komainu's tables.
    fixture.raw.execute(&format!("DELETE FROM monitor WHERE id = {}", monitors[0])).await;
    let off = format!("UPDATE komainu_monitor SET second_opinion = 'off' WHERE monitor_id = {}", monitors[1]);
    fixture.raw.execute(&off).await;
    let (page, _) = opinions::page(&fixture.store, MonitorId(0)).await.unwrap();
    assert_eq!(page, monitors);
    assert_eq!(settle(&fixture, &wishes, &page).await, [(1, 0), (0, 2)]);
    let left = fixture.raw.rows("SELECT monitor_id FROM komainu_opinion").await;
    assert_eq!(left, [[monitors[2].to_string()]]);
    let over = fixture.raw.rows("SELECT summary FROM komainu_event WHERE kind = 'resolved' ORDER BY summary").await;
    let has = |words: &str| over.iter().filter(|row| row[0].contains(words)).count();
    assert_eq!((has(": it was deleted"), has("nobody asks")), (1, 1), "{over:?}");
    pass(&mut fixture, 61).await;
    assert_eq!(answer(&fixture, &wishes, Which::Again, Seen::Up).await, 1, "nobody asks about it again");
}
