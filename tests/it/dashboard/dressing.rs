//! The forms that came later: how a page looks and who may read it, a silence that comes again, a heartbeat that rests.

use serde_json::json;

use super::PATIENCE;
use super::browser::Browser;
use crate::cluster::Cluster;
use crate::cluster::wait::wait_until;

/// One green dot.
const LOGO: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const PASSWORD: &str = "correct horse";

/// Of the page `shop`, which is there.
pub(super) async fn dresses_a_page(browser: &Browser, cluster: &Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch/pages/shop")).await;
    browser.press("Change the page").await;
    browser.wait_for("Change the page shop?").await;
    browser.fill("want-accent", "#7a1fa2").await;
    browser.fill("want-logo", LOGO).await;
    browser.fill("want-password", "short").await;
    browser.run("document.querySelector('input[name=subscribe][value=webhook]').click()", &[]).await;
    browser.press("Change it").await;
    // A password that is too short: everything else is as it was typed.
    browser.wait_for("must have 8 to 200 characters").await;
    let typed = "return [document.getElementById('want-accent').value, \
                 document.querySelector('input[name=subscribe][value=webhook]').checked]";
    assert_eq!(browser.run(typed, &[]).await, json!(["#7a1fa2", true]));
    browser.fill("want-password", PASSWORD).await;
    browser.press("Change it").await;
    browser.wait_for("The page shop is changed.").await;
    reads_a_closed_page(browser, &cluster.url_of("w2", "/pages/shop")).await;
}

async fn reads_a_closed_page(browser: &Browser, public: &str) {
    let is_closed = async || {
        browser.visit(public).await;
        browser.run("return document.getElementById('password') !== null", &[]).await == json!(true)
    };
    wait_until("another watchdog asks for the password", PATIENCE, is_closed).await;
    assert!(!browser.text().await.contains("Somebody looks."));
    for (password, words) in [("wrong horse", "That is not the password of this page."), (PASSWORD, "Somebody looks.")]
    {
        browser.fill("password", password).await;
        browser.run("document.querySelector('form button').click()", &[]).await;
        browser.wait_for(words).await;
    }
    let looks = "return [document.querySelector('img.logo').naturalWidth, \
                 getComputedStyle(document.querySelector('header')).borderBottomColor]";
    assert_eq!(browser.run(looks, &[]).await, json!([1, "rgb(122, 31, 162)"]));
    browser.press("Subscribe").await;
    browser.wait_for("By webhook").await;
    // What was closed and what was refused is noted by the browser.
    browser.complaints().await;
}

pub(super) async fn silences_each_sunday(browser: &Browser, cluster: &Cluster) {
    browser.visit(&cluster.url_of("w1", "/watch/silences")).await;
    browser.press("Make a silence").await;
    browser.wait_for("Make a silence?").await;
    let fields = [
        ("matchers", "kind=monitor\ntag=backup"),
        ("cron", "0 2 * * 0"),
        ("lasts_s", "2h"),
        ("time_zone", "Asia/Taipei"),
        ("comment", "backups of Sundays"),
    ];
    for (field, words) in fields {
        browser.fill(&format!("want-{field}"), words).await;
    }
    browser.fill("want-duration_s", "28800").await;
    browser.press("Silence it").await;
    browser.wait_for("The silence stands.").await;
    let rows = "SELECT cron, duration_s, time_zone FROM komainu_silence WHERE remark = 'backups of Sundays'";
    assert_eq!(cluster.database.rows(rows).await, [["0 2 * * 0", "7200", "Asia/Taipei"]]);
    assert_eq!(browser.complaints().await, [""; 0]);
}

pub(super) async fn lets_a_heartbeat_rest(browser: &Browser, cluster: &Cluster) {
    for (button, words, paused) in
        [("Pause", "nightly is paused.", "1"), ("Resume", "nightly is waited for again.", "0")]
    {
        browser.visit(&cluster.url_of("w1", "/watch/heartbeats/nightly")).await;
        browser.press(button).await;
        browser.wait_for(&format!("{button} nightly?")).await;
        browser.press(button).await;
        browser.wait_for(words).await;
        let rows = "SELECT is_paused FROM komainu_heartbeat WHERE name = 'nightly'";
        assert_eq!(cluster.database.rows(rows).await, [[paused]]);
    }
    assert_eq!(browser.complaints().await, [""; 0]);
}
