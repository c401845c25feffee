//! The dashboard as a browser meets it, without one.

use std::time::Duration;

use komainu_watchdogs::view::View;

use crate::api::support::{Surface, TestAnswer};
use crate::clock;

mod forms;
mod hands;
mod incidents;
mod lists;
mod maintenances;
mod monitors;
mod moves;
mod overview;
mod pages;
mod safety;
mod session;
mod silences;
mod wall;

const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

/// Somebody at a browser.
struct Browser {
    surface: Surface,
    cookie: String,
}

impl Browser {
    async fn stranger() -> Self {
        Self { surface: Surface::plain().await.lasting(), cookie: String::new() }
    }

    /// Signed in with a new key of that scope, which is named after it.
    async fn signed_in(scope: &str) -> Self {
        let mut browser = Self::stranger().await;
        let key = browser.surface.key(scope).await;
        let answer = browser.post("/watch/sign-in", &format!("key={key}&next=/watch/nodes")).await;
        assert_eq!((answer.code, answer.header("location").as_str()), (303, "/watch/nodes"));
        browser.cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        browser
    }

    async fn get(&self, path: &str) -> TestAnswer {
        self.surface.send_with("GET", path, &[("cookie", &self.cookie)], "").await
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.code, 200, "{path}");
        String::from_utf8(answer.body).unwrap()
    }

    /// The page as soon as it says that: what was read within the last second is believed.
    async fn page_saying(&self, path: &str, words: &str) -> String {
        let gives_up_at = clock::now() + Duration::from_secs(10);
        loop {
            let page = self.page(path).await;
            if page.contains(words) {
                return page;
            }
            assert!(clock::now() < gives_up_at, "{words} is missing in {page}");
            // Pages are counted.
            clock::sleep_until(clock::now() + Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, path: &str, form: &str) -> TestAnswer {
        self.surface.send_with("POST", path, &[("cookie", &self.cookie), SAME], form).await
    }
}

fn text(answer: TestAnswer) -> String {
    String::from_utf8(answer.body).unwrap()
}

/// Somebody who reads a cluster that is like this.
async fn reading(shown: View) -> Browser {
    let mut browser = Browser { surface: Surface::showing(shown).await.lasting(), cookie: String::new() };
    let key = browser.surface.key("read").await;
    let answer = browser.post("/watch/sign-in", &format!("key={key}")).await;
    browser.cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    browser
}
