//! A visitor of a page subscribes, confirms and leaves, in a real browser.

use std::path::Path;

use reqwest::Method;
use serde_json::json;

use super::PATIENCE;
use super::browser::{Browser, DESKTOP, PHONE, Scheme, say_left_out};
use crate::cluster::database::Kind;
use crate::cluster::mailbox::{Mailbox, link};
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and aiosmtpd"]
async fn a_visitor_subscribes_confirms_and_leaves_in_a_real_browser() {
    let Some(browser) = Browser::open().await else { return };
    let mailbox = Mailbox::start().await;
    let shape = Shape { watchdogs: 1, nodes: 0, monitors: 0, ..Shape::default() };
    let cluster = Cluster::start_with(Kind::Sqlite, shape, &mailbox.sections()).await;
    let page = json!({"title": "Shop", "accent": "#1a6e36", "subscribe": ["mail", "webhook"], "groups": [
        {"name": "Web", "components": [{"name": "Front", "check": "front"}, {"name": "Mail", "check": "mail"}]}]});
    assert_eq!(cluster.call(Method::PUT, "/api/v1/pages/shop", &page).await, 201);
    wait_until("the page is there", PATIENCE, async || cluster.ask_of("w1", "/pages/shop").await == Some(200)).await;
    browser.visit(&cluster.url_of("w1", "/pages/shop")).await;
    browser.press("Subscribe").await;
    browser.wait_for("What you want to hear of").await;
    meets_no_barrier(&browser).await;
    browser.run_scripts(false).await;
    browser.visit(&cluster.url_of("w1", "/pages/shop/subscribe")).await;
    browser.run_scripts(true).await;
    browser.fill("a-mail", "jane@example.com").await;
    browser.run("document.querySelectorAll('input[type=checkbox]')[1].click()", &[]).await;
    browser.run("document.querySelectorAll('form')[0].querySelector('button').click()", &[]).await;
    browser.wait_for("A mail is on its way").await;
    meets_no_barrier(&browser).await;
    let asked = mailbox.wait_for(1).await.pop().unwrap();
    browser.visit(&link(&asked, "/confirm/")).await;
    meets_no_barrier(&browser).await;
    browser.press("Confirm the subscription").await;
    browser.wait_for("Confirmed.").await;
    let shown = cluster.database.rows("SELECT state, components <> '[]' FROM komainu_page_subscriber").await;
    assert_eq!(shown, [["confirmed", "1"]]);
    cluster.post("/api/v1/pages/shop/incidents", &json!({"title": "Slow", "text": "We look."})).await;
    let told = mailbox.wait_for(2).await.pop().unwrap();
    browser.visit(&link(&told, "/unsubscribe/")).await;
    meets_no_barrier(&browser).await;
    browser.press("Unsubscribe").await;
    browser.wait_for("your address is deleted").await;
    assert_eq!(cluster.database.rows("SELECT COUNT(*) FROM komainu_page_subscriber").await, [["0"]]);
    browser.visit(&link(&asked, "/confirm/").replace("lang=en", "lang=zh-TW")).await;
    browser.press("確認訂閱").await;
    browser.wait_for("已失效").await;
    meets_no_barrier(&browser).await;
    // The link that is over is refused, which a browser notes.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|words| words.contains("404")), "{complaints:?}");
}

async fn meets_no_barrier(browser: &Browser) {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(axe) else {
        return say_left_out("barriers in pages, for axe-core is not there");
    };
    for screen in [DESKTOP, PHONE] {
        browser.become_screen(screen).await;
        let fits = "return document.documentElement.scrollWidth <= window.innerWidth";
        assert_eq!(browser.run(fits, &[]).await, json!(true), "it is wider than {screen:?}");
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.become_scheme(scheme).await;
            assert_eq!(browser.barriers(&axe).await, [""; 0], "on {screen:?}, {scheme:?}");
        }
    }
    browser.become_screen(DESKTOP).await;
}
