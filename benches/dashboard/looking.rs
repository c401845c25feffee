//! How soon a page can be used in a real browser.

use std::time::Duration;

use super::browser::Browser;
use crate::desk::Desk;
use crate::{PAGES, millis, say};

const VISITS: u32 = 20;

/// Says nothing where there is no browser.
pub(crate) async fn until_usable(desk: &Desk) {
    let Some(browser) = Browser::open().await else { return };
    browser.visit(&desk.url("/watch/sign-in")).await;
    browser.fill("key", &desk.key).await;
    browser.press("Sign in").await;
    browser.wait_for("Wrong now").await;
    for page in PAGES {
        let mut times = vec![];
        for _ in 0..VISITS {
            browser.visit(&desk.url(page)).await;
            let script = "return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd";
            times.push(Duration::from_secs_f64(browser.run(script, &[]).await.as_f64().unwrap() / 1e3));
        }
        let figure = format!("p50 {:.0}, longest {:.0} ms", millis(&mut times, 50), millis(&mut times, 100));
        say(&format!("until {page} can be used in Chromium"), &figure, "<= 1 s");
    }
}
