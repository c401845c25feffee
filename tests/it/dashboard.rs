//! The dashboard as people meet it: in a real browser, on a cluster of real processes.
//!
//! One story, because a browser and a cluster take long to start.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use self::browser::{Browser, DESKTOP, PHONE, Scheme, say_left_out};
use self::up::Up;
use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

mod browser;
mod dressing;
mod subscribing;
mod up;

/// A loaded machine may take so long for what takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every page that only reads, and what stands on it.
const PAGES: [(&str, &str); 15] = [
    ("/watch", "Wrong now"),
    ("/watch/incidents", "watchdog/w3"),
    ("/watch/monitors", "10,006 monitors"),
    ("/watch/monitors/1", "Where it runs"),
    ("/watch/checks", "front-door"),
    ("/watch/heartbeats", "backup"),
    ("/watch/nodes", "node2"),
    ("/watch/moves", "New, and there was room."),
    ("/watch/silences", "watchdog/w3"),
    ("/watch/maintenances", "Plan a maintenance"),
    ("/watch/pages", "Status of the shop"),
    ("/watch/pages/shop", "Somebody looks."),
    ("/watch/channels", "nobody is told of anything"),
    ("/watch/audit", "check.create"),
    ("/watch/wall", "As w1 knows it"),
];

/// Those that ask before something is done.
const QUESTIONS: [&str; 12] = [
    "/watch/hands?deed=node.drain&node=node1",
    "/watch/hands?deed=incident.resolve&incident=1",
    "/watch/hands?deed=incident.silence&incident=1",
    "/watch/hands?deed=incident.publish&incident=1",
    "/watch/hands?deed=silence.add",
    "/watch/hands?deed=maintenance.add",
    "/watch/hands?deed=monitor.add",
    "/watch/hands?deed=check.add",
    "/watch/hands?deed=heartbeat.add",
    "/watch/hands?deed=page.edit&page=shop",
    "/watch/hands?deed=page.tell&page=shop",
    "/watch/hands?deed=page.plan&page=shop",
];

/// 10,000 more that nobody has to run, at home already: to place them is another story.
async fn bring_many(cluster: &Cluster) {
    let monitors = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
                    INSERT INTO monitor (name, type, url, active) \
                    SELECT 'shop ' || i, 'http', 'https://shop' || i || '.example/', 0 FROM n";
    let homes = "INSERT INTO komainu_assignment (monitor_id, node_id, reason) \
                 SELECT id, 'node2', 'new_monitor' FROM monitor WHERE active = 0";
    cluster.database.execute(&format!("BEGIN IMMEDIATE; {monitors}; {homes}; COMMIT")).await;
    let check = json!({"name": "front-door", "type": "http", "url": cluster.target.url(0), "interval": 60});
    cluster.post("/api/v1/checks", &check).await;
    cluster.post("/api/v1/heartbeats", &json!({"name": "backup", "period_s": 3_600, "grace_s": 600})).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium"]
async fn people_look_at_the_cluster_and_act_in_a_real_browser() {
    let Some(browser) = Browser::open().await else { return };
    let shape = Shape { nodes: 2, monitors: 6, ..Shape::default() };
    let (mut cluster, ()) = tokio::join!(start(shape), signs_in_by_the_link(&browser));
    bring_many(&cluster).await;
    // An incident comes of it while the story goes on.
    cluster.process("w3").kill();
    signs_in_with_a_key(&browser, &cluster).await;
    finds_one_of_ten_thousand(&browser, &cluster).await;
    acknowledges(&browser, &cluster).await;
    makes_things_without_a_script(&browser, &cluster).await;
    reads_without_a_script(&browser, &cluster).await;
    meets_no_barrier(&browser, &cluster).await;
    watches_a_node_become_empty(&browser, &cluster).await;
    assert_eq!(browser.complaints().await, [""; 0]);
    learns_that_the_watchdog_is_gone(&browser, &mut cluster).await;
    goes_on_at_another_watchdog(&browser, &mut cluster).await;
}

/// Of which `w2` is at another host, for a browser: no cookie of `w1` is sent there.
async fn start(shape: Shape) -> Cluster {
    let mut cluster = Cluster::prepare(Kind::Sqlite, shape, "").await;
    let elsewhere = cluster.url_of("w2", "").replace("127.0.0.1", "localhost");
    cluster.edit_config("w2", |text| text.replace("state_dir", &format!("advertise = \"{elsewhere}\"\nstate_dir")));
    cluster.begin(shape).await;
    cluster
}

/// With what `komainu up` prints; a second time it leads to the page where one signs in.
async fn signs_in_by_the_link(browser: &Browser) {
    let up = Up::start();
    let link = up.link().await;
    browser.visit(&link).await;
    browser.wait_for("Nothing is wrong").await;
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.forget_cookies().await;
    browser.visit(&link).await;
    browser.wait_for("This link signed in once").await;
    // It is refused, which a browser notes.
    browser.complaints().await;
}

async fn signs_in_with_a_key(browser: &Browser, cluster: &Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch/monitors")).await;
    browser.fill("key", cluster.api_key()).await;
    browser.press("Sign in").await;
    browser.wait_for("The list was read").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

async fn finds_one_of_ten_thousand(browser: &Browser, cluster: &Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch/monitors")).await;
    browser.wait_for("10,006 monitors").await;
    browser.fill("q", "shop7777.example").await;
    browser.press("Show").await;
    browser.wait_for("1 monitor.").await;
    browser.press("shop 7777").await;
    browser.wait_for("Where it runs").await;
    assert!(browser.text().await.contains("https://shop7777.example/"));
    assert_eq!(browser.complaints().await, [""; 0]);
}

async fn acknowledges(browser: &Browser, cluster: &Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch")).await;
    browser.wait_for("Acknowledge watchdog/w3").await;
    browser.press("Acknowledge watchdog/w3").await;
    browser.wait_for("Acknowledge watchdog/w3?").await;
    browser.press("Acknowledge").await;
    browser.wait_for("acknowledged by key/test (page)").await;
    let rows = "SELECT COUNT(*) FROM komainu_incident WHERE acknowledged_by = 'key/test (page)'";
    assert_eq!(cluster.database.rows(rows).await, [["1"]]);
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// A heartbeat with its program, a silence, and a public page with what people are told there.
async fn makes_things_without_a_script(browser: &Browser, cluster: &Cluster) {
    browser.run_scripts(false).await;
    browser.visit(&cluster.url_of("w1", "/watch/heartbeats")).await;
    browser.press("Add a heartbeat").await;
    browser.wait_for("Add a heartbeat?").await;
    browser.fill("want-name", "no name").await;
    browser.press("Add it").await;
    browser.wait_for("letters, digits, dots, dashes and underscores").await;
    browser.fill("want-name", "nightly").await;
    browser.press("Add it").await;
    browser.wait_for("Its secret, shown this once").await;
    let program = "cat > ~/.config/komainu/nightly.secret) <<'SECRET'";
    assert!(browser.text().await.contains(program), "what is to be pasted is there");
    // A refused form is noted as an error by the browser.
    browser.complaints().await;
    browser.visit(&cluster.url_of("w1", "/watch/hands?deed=incident.silence&incident=1&back=/watch/silences")).await;
    browser.wait_for("it would hold 1 incident: watchdog/w3.").await;
    browser.fill("want-duration_s", "28800").await;
    browser.fill("want-comment", "its host is replaced").await;
    browser.press("Silence it").await;
    browser.wait_for("its host is replaced").await;
    publishes(browser, cluster).await;
    dressing::dresses_a_page(browser, cluster).await;
    dressing::silences_each_sunday(browser, cluster).await;
    dressing::lets_a_heartbeat_rest(browser, cluster).await;
    browser.run_scripts(true).await;
}

async fn publishes(browser: &Browser, cluster: &Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch/pages")).await;
    browser.press("Make a page").await;
    browser.wait_for("Make a public page?").await;
    for (field, words) in
        [("slug", "shop"), ("title", "Status of the shop"), ("groups", "# Web\nFront = check/front-door")]
    {
        browser.fill(&format!("want-{field}"), words).await;
    }
    browser.press("Make it").await;
    browser.wait_for("The page is made.").await;
    browser.visit(&cluster.url_of("w1", "/watch/incidents/1")).await;
    browser.press("Publish on a page").await;
    browser.wait_for("shop: Status of the shop").await;
    browser.fill("want-title", "One of three is gone").await;
    browser.fill("want-text", "Somebody looks.").await;
    browser.press("Publish it").await;
    browser.wait_for("The incident is published.").await;
    assert_eq!(browser.complaints().await, [""; 0]);
    let public = cluster.url_of("w2", "/pages/shop");
    let shown = async || {
        browser.visit(&public).await;
        browser.text().await.contains("Somebody looks.")
    };
    wait_until("the public page of another watchdog shows it", PATIENCE, shown).await;
    browser.complaints().await;
}

async fn reads_without_a_script(browser: &Browser, cluster: &Cluster) {
    browser.run_scripts(false).await;
    for (page, words) in PAGES {
        browser.visit(&cluster.url_of("w1", page)).await;
        let text = browser.text().await;
        assert!(text.contains(words), "{page} without a script: {words} is missing in {text}");
    }
    browser.visit(&cluster.url_of("w1", "/watch/monitors")).await;
    browser.press("More").await;
    browser.wait_for("Before").await;
    browser.run_scripts(true).await;
}

async fn meets_no_barrier(browser: &Browser, cluster: &Cluster) {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/axe.min.js");
    let axe = std::fs::read_to_string(axe).ok();
    if axe.is_none() {
        say_left_out("barriers in pages, for axe-core is not there");
    }
    for screen in [DESKTOP, PHONE] {
        browser.become_screen(screen).await;
        for page in PAGES.map(|(page, _)| page).into_iter().chain(QUESTIONS) {
            browser.visit(&cluster.url_of("w1", page)).await;
            let fits = "return document.documentElement.scrollWidth <= window.innerWidth";
            assert_eq!(browser.run(fits, &[]).await, json!(true), "{page} is wider than {screen:?}");
            for scheme in [Scheme::Light, Scheme::Dark] {
                let Some(axe) = axe.as_deref() else { continue };
                browser.become_scheme(scheme).await;
                assert_eq!(browser.barriers(axe).await, [""; 0], "{page} on {screen:?}, {scheme:?}");
            }
            assert_eq!(browser.complaints().await, [""; 0], "{page} on {screen:?}");
        }
    }
    browser.become_screen(DESKTOP).await;
}

async fn watches_a_node_become_empty(browser: &Browser, cluster: &Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch/nodes")).await;
    browser.press("Drain node1").await;
    browser.wait_for("move to other nodes").await;
    browser.press("Drain").await;
    browser.wait_for("node1 gives its monitors away now.").await;
    browser.mark_page().await;
    let is_empty = "const row = [...document.querySelectorAll('tbody tr')].find((row) => \
                    row.querySelector('th').innerText.trim() === 'node1'); \
                    return row !== undefined && /\\b0 of /.test(row.innerText) && row.innerText.includes('drained')";
    let found = async || browser.run(is_empty, &[]).await == json!(true);
    wait_until("the page shows that node1 is empty", PATIENCE, found).await;
    assert!(browser.is_marked().await, "nobody reloaded it: the page did");
    assert_eq!(cluster.owned_by("node1").await, [0; 0]);
}

async fn learns_that_the_watchdog_is_gone(browser: &Browser, cluster: &mut Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch")).await;
    browser.mark_page().await;
    cluster.process("w1").kill();
    browser.wait_for("This watchdog does not answer since").await;
    assert!(browser.text().await.contains("What stands here is"), "and how old it is");
    cluster.start_process("w1");
    let is_well = "return document.getElementById('trouble') === null";
    let goes_on = async || browser.run(is_well, &[]).await == json!(true);
    wait_until("the page goes on", PATIENCE, goes_on).await;
    assert!(browser.is_marked().await, "it is the same page still");
}

async fn goes_on_at_another_watchdog(browser: &Browser, cluster: &mut Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch/wall")).await;
    browser.wait_for("As w1 knows it").await;
    let has_tickets = "return performance.getEntriesByType('resource').filter((one) => \
                       one.name.endsWith('/watch/wall/tickets') && one.responseEnd > 0).length >= 2";
    wait_until("the wall has its tickets", PATIENCE, async || browser.run(has_tickets, &[]).await == json!(true)).await;
    cluster.process("w1").kill();
    browser.wait_for("As w2 knows it").await;
    let place = browser.run("return location.href", &[]).await;
    let there = cluster.url_of("w2", "/watch/wall").replace("127.0.0.1", "localhost");
    assert_eq!(place, json!(there), "and nothing of the ticket stands there");
}
