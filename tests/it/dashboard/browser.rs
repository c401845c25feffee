//! A real browser: Debian's Chromium, driven over the `WebDriver` protocol by its own chromedriver.
//!
//! Owns the process and the way to ask it. Where there is none, [`Browser::open`] says so, and the test tries nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::ports::free_port;
use crate::cluster::wait::wait_until;

/// How large what people look at is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Screen {
    width: u32,
    height: u32,
}

pub(super) const DESKTOP: Screen = Screen { width: 1_280, height: 900 };
pub(super) const PHONE: Screen = Screen { width: 390, height: 844 };

/// What their system prefers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Light,
    Dark,
}

/// A page or a script may take so long on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Browser {
    driver: Child,
    http: reqwest::Client,
    /// Of its session.
    session: String,
    /// Its profile; gone with it.
    profile: TempDir,
}

/// What a test does not try says so where its output is read.
#[expect(clippy::print_stderr, reason = "what is left out is said, and passes for nothing that was tried")]
pub(super) fn say_left_out(what: &str) {
    eprintln!("left out: {what}");
}

fn program(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/bin").join(name);
    path.exists().then_some(path)
}

impl Browser {
    /// Opens one; `None`: there is none on this machine.
    pub(super) async fn open() -> Option<Self> {
        let (Some(chromium), Some(driver)) = (program("chromium"), program("chromedriver")) else {
            say_left_out("the dashboard in a browser, for chromium and chromium-driver are not installed");
            return None;
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (port, profile) = (free_port(), TempDir::new().unwrap());
        let mut command = Command::new(driver);
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = command.spawn().unwrap();
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, http, session: base.clone(), profile };
        wait_until("chromedriver answers", PATIENCE, async || {
            browser.http.get(format!("{base}/status")).send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        let made = browser.post("/session", &browser.capabilities(&chromium)).await;
        browser.session = format!("{base}/session/{}", made["sessionId"].as_str().unwrap());
        browser.become_screen(DESKTOP).await;
        Some(browser)
    }

    fn capabilities(&self, chromium: &Path) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        // As root there is no sandbox; in containers /dev/shm is small.
        let flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &profile];
        json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": chromium, "args": flags}}}})
    }

    pub(super) async fn become_screen(&self, Screen { width, height }: Screen) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    pub(super) async fn become_scheme(&self, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Whether pages may run their scripts from the next one on.
    pub(super) async fn run_scripts(&self, may_run: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": !may_run})).await;
    }

    pub(super) async fn forget_cookies(&self) {
        self.devtools("Network.clearBrowserCookies", json!({})).await;
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.session)).header("content-type", "application/json");
        let text = request.body(body.to_string()).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {text}");
        answer["value"].clone()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    /// Opens a page and waits until it has loaded.
    pub(super) async fn visit(&self, url: &str) {
        self.post("/url", &json!({"url": url})).await;
    }

    /// What a script returns.
    pub(super) async fn run(&self, script: &str, arguments: &[&str]) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": arguments})).await
    }

    /// The words that can be read on the page, with one blank between them.
    pub(super) async fn text(&self) -> String {
        self.run("return (document.body?.innerText ?? '').replace(/\\s+/g, ' ')", &[])
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until that can be read, without a reload by this test.
    pub(super) async fn wait_for(&self, words: &str) {
        wait_until(&format!("the page says {words:?}"), PATIENCE, async || self.text().await.contains(words)).await;
    }

    /// Fills in a field by its id.
    pub(super) async fn fill(&self, id: &str, value: &str) {
        self.run("document.getElementById(arguments[0]).value = arguments[1]", &[id, value]).await;
    }

    /// Presses what bears that name, as a person would.
    pub(super) async fn press(&self, name: &str) {
        let script = "const all = [...document.querySelectorAll('a, button')]; \
                      const found = all.find((one) => one.innerText.trim().replace(/\\s+/g, ' ').startsWith(arguments[0])); \
                      if (!found) return false; found.click(); return true;";
        assert_eq!(self.run(script, &[name]).await, json!(true), "there is nothing called {name:?} to press");
    }

    /// Marks the page as it is, so that a reload shows.
    pub(super) async fn mark_page(&self) {
        self.run("document.documentElement.dataset.marked = 'yes'", &[]).await;
    }

    /// Whether this is still the page that was marked.
    pub(super) async fn is_marked(&self) -> bool {
        self.run("return document.documentElement.dataset.marked === 'yes'", &[]).await == json!(true)
    }

    /// What the browser complained of since this was asked last: errors of scripts, what the policy blocked, files that are missing.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"})).await;
        let severe = log.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE");
        severe.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What axe-core finds wrong with the page that is open.
    pub(super) async fn barriers(&self, axe: &str) -> Vec<String> {
        if self.run("return typeof window.axe", &[]).await == json!("undefined") {
            self.run(axe, &[]).await;
        }
        let script = "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then((found) => \
                      done(found.violations.map((one) => \
                      `${one.id}: ${one.nodes.map((node) => node.html).join(' | ')}`)), \
                      (error) => done([String(error)]));";
        let found = self.post("/execute/async", &json!({"script": script, "args": []})).await;
        found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its driver's session; the driver is asked first, so that no browser is left.
        let _ended = Command::new("curl").args(["-s", "-m", "5", "-X", "DELETE", &self.session]).output();
        let _gone = self.driver.kill();
        let _gone = self.driver.wait();
    }
}
