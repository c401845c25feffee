//! Kuma's maintenance windows, as a node reads them.

use std::time::Duration;

use komainu::opinion::SecondOpinion;
use komainu::store::windows::{self, Plan, WindowRow};
use komainu::store::{Store, downtimes, outbox};
use komainu_watchdogs::routing::{Matcher, Route, Routing};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use crate::support::kuma;

on_both_databases! {
    a_database_without_kuma_has_no_windows,
    a_window_is_read_as_kuma_stores_it_and_only_while_it_is_switched_on,
    a_row_of_nulls_is_read_and_so_is_the_zone_of_the_server,
    a_window_covers_what_it_names_and_all_below_a_group,
    a_monitor_in_maintenance_is_not_told_and_not_reminded_of,
    a_monitor_that_is_still_down_after_its_window_is_told_once_more,
}

async fn with_windows(kind: Kind) -> Fixture {
    let mut fixture = Fixture::native(kind).await;
    let all = kuma::stock(fixture.is_sqlite());
    let is_wanted =
        |sql: &&str| ["`maintenance`", "`monitor_maintenance`", "`setting`"].iter().any(|name| sql.contains(name));
    for sql in all.lines().filter(is_wanted) {
        fixture.raw.execute(sql).await;
    }
    fixture.give_new_tables().await;
    // Which tables there are is read once.
    fixture.store = Store::connect(&fixture.url).await.unwrap();
    fixture
}

async fn a_database_without_kuma_has_no_windows(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    assert_eq!(windows::plan(&fixture.store).await.unwrap(), Plan::default());
    assert_eq!(windows::covered(&fixture.store, &[]).await.unwrap(), []);
}

async fn a_window_is_read_as_kuma_stores_it_and_only_while_it_is_switched_on(kind: Kind) {
    let mut fixture = with_windows(kind).await;
    for (active, end) in [(1, "2099-01-02 03:00:00"), (0, "2099-01-02 03:00:00"), (1, "2020-01-01 00:00:00")] {
        let sql = format!(
            "INSERT INTO maintenance (title, description, active, strategy, start_date, end_date, start_time, end_time, \
             weekdays, days_of_month, interval_day, cron, timezone, duration) VALUES ('t', '', {active}, \
             'recurring-weekday', '2026-01-01 00:00:00', '{end}', '22:00', '01:30', '[0]', '[]', 1, '0 22 * * 0', \
             'Europe/Berlin', 12600)"
        );
        fixture.raw.execute(&sql).await;
    }
    let plan = windows::plan(&fixture.store).await.unwrap();
    let [window] = &plan.windows[..] else { panic!("neither the paused nor the ended one: {plan:?}") };
    let text = |text: &str| Some(text.to_owned());
    let start_time = window.start_time.as_deref().unwrap_or_default();
    assert!(start_time.starts_with("22:00"), "{start_time}");
    let expected = WindowRow {
        id: 1,
        strategy: "recurring-weekday".to_owned(),
        start_date: text("2026-01-01 00:00:00"),
        end_date: text("2099-01-02 03:00:00"),
        start_time: window.start_time.clone(),
        end_time: window.end_time.clone(),
        weekdays: text("[0]"),
        days_of_month: text("[]"),
        interval_day: Some(1),
        cron: text("0 22 * * 0"),
        timezone: text("Europe/Berlin"),
        duration: Some(12_600),
    };
    assert_eq!(*window, expected);
}

async fn a_row_of_nulls_is_read_and_so_is_the_zone_of_the_server(kind: Kind) {
    let mut fixture = with_windows(kind).await;
    fixture
        .raw
        .execute("INSERT INTO maintenance (title, description, weekdays, days_of_month) VALUES ('', '', NULL, NULL)")
        .await;
    fixture.raw.execute("INSERT INTO setting (`key`, value) VALUES ('serverTimezone', '\"Asia/Tokyo\"')").await;
    let plan = windows::plan(&fixture.store).await.unwrap();
    let bare = WindowRow { id: 1, strategy: "single".to_owned(), ..WindowRow::default() };
    assert_eq!(plan, Plan { windows: vec![bare], server_zone: Some("Asia/Tokyo".to_owned()) });
    fixture.raw.execute("UPDATE setting SET value = 'Asia/Tokyo'").await;
    assert_eq!(windows::plan(&fixture.store).await.unwrap().server_zone.as_deref(), Some("Asia/Tokyo"));
}

async fn a_window_covers_what_it_names_and_all_below_a_group(kind: Kind) {
    let mut fixture = with_windows(kind).await;
    let monitors = fixture.monitors(6, None).await;
    let [plain, outer, inner, child, grandchild, other] = monitors[..] else { panic!("six") };
    fixture.raw.execute(&format!("UPDATE monitor SET type = 'group' WHERE id IN ({outer}, {inner})")).await;
    // The two groups are each other's parents: nobody may make such a circle, and nobody may be caught in it.
    for (below, above) in [(inner, outer), (outer, inner), (child, outer), (grandchild, inner)] {
        fixture.raw.execute(&format!("UPDATE monitor SET parent = {above} WHERE id = {below}")).await;
    }
    for (window, monitor) in [(1, plain), (2, outer), (3, other)] {
        let sql = format!("INSERT INTO monitor_maintenance (monitor_id, maintenance_id) VALUES ({monitor}, {window})");
        fixture.raw.execute(&sql).await;
    }
    let mut covered = windows::covered(&fixture.store, &[1, 2]).await.unwrap();
    covered.sort();
    assert_eq!(covered, [(1, plain), (2, outer), (2, inner), (2, child), (2, grandchild)]);
}

async fn a_monitor_in_maintenance_is_not_told_and_not_reminded_of(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let channels = vec!["ops".to_owned()];
    let repeat = Some(Duration::from_millis(1));
    let route = Route {
        matcher: Matcher::default(),
        channels: channels.clone(),
        group_wait: Duration::ZERO,
        repeat,
        ..Route::default()
    };
    let routing = Routing { channels, routes: vec![route] };
    let settle = async |fixture: &Fixture| {
        downtimes::settle(&fixture.store, &[monitor], (&routing, &SecondOpinion::default())).await.unwrap()
    };
    fixture.change(monitor, 3, 0).await;
    assert_eq!(settle(&fixture).await, (0, 0));
    fixture.change(monitor, 0, 1).await;
    assert_eq!(settle(&fixture).await, (1, 0), "it is down when its window ends");
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent', sent_at = 1").await;
    fixture.change(monitor, 3, 2).await;
    assert_eq!(settle(&fixture).await, (0, 0), "what was told stays open");
    assert_eq!(outbox::remind(&fixture.store, &routing, 0).await.unwrap().incidents, 0, "and nobody is woken");
    fixture.change(monitor, 0, 3).await;
    assert_eq!(outbox::remind(&fixture.store, &routing, 0).await.unwrap().incidents, 1);
    fixture.change(monitor, 1, 4).await;
    assert_eq!(settle(&fixture).await, (0, 1));
}

async fn a_monitor_that_is_still_down_after_its_window_is_told_once_more(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![] };
    fixture.change(monitor, 0, -60).await;
    assert_eq!(
        downtimes::settle(&fixture.store, &[monitor], (&routing, &SecondOpinion::default())).await.unwrap(),
        (1, 0)
    );
    let as_long_ago = "UPDATE komainu_incident SET opened_at = opened_at - 59000";
    fixture.raw.execute(as_long_ago).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent', sent_at = due_at - 59000").await;
    let remind = async |fixture: &Fixture| outbox::remind(&fixture.store, &routing, 0).await.unwrap().incidents;
    assert_eq!(remind(&fixture).await, 0, "no route repeats");
    fixture.change(monitor, 3, -40).await;
    assert_eq!(remind(&fixture).await, 0);
    fixture.change(monitor, 0, -20).await;
    assert_eq!(remind(&fixture).await, 1);
    assert_eq!(remind(&fixture).await, 0, "it waits to be sent");
    let sent = "UPDATE komainu_delivery SET state = 'sent', sent_at = due_at WHERE state <> 'sent'";
    fixture.raw.execute(sent).await;
    assert_eq!(remind(&fixture).await, 0, "once");
    let events = fixture.raw.rows("SELECT kind FROM komainu_event ORDER BY id").await.concat();
    assert_eq!(events, ["opened", "reminder"]);
}
