//! From a copy of the repository to a stack that runs, loses a watchdog, stops, and is as it was.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use komainu::clock;
use serde_json::Value;

use super::engine::{Engine, answered, say};
use super::{images, page};
use crate::cluster::wait::wait_until;
use crate::stack::{repository, words, yaml};

/// Only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(90);

/// `stop` ends a watchdog that has nothing to tell in well under a second; its grace is 20.
const STOPS_WITHIN: Duration = Duration::from_secs(6);

const NATIVE: &str = "native1";

#[tokio::test]
#[ignore = "needs Podman and debootstrap"]
async fn the_image_and_the_stack_run_under_podman_as_their_pages_say() {
    let Some(engine) = Engine::start() else { return };
    let begin = clock::now();
    let told = |what: &str| {
        say(&format!("containers: {what} {:.0} s after the begin", clock::now().since(begin).as_secs_f32()));
    };
    if !images::make(&engine) {
        return;
    }
    told("images of all names");
    let site = Site::copied(engine);
    site.has_an_image_without_shell_root_or_rights();
    told("the image is tried");
    site.starts().await;
    site.every_container_is_confined();
    site.answers().await;
    site.takes_a_native_node().await;
    told("the stack is tried");
    site.notices_a_watchdog_that_is_killed().await;
    site.stops_within_its_grace();
    told("losses are tried");
    site.is_as_it_was_after_all_was_stopped().await;
    site.leaves_nothing();
    told("it is over");
}

/// A copy of the repository, with things beside it that must not come into the image.
struct Site {
    engine: Engine,
    place: PathBuf,
}

impl Site {
    fn copied(engine: Engine) -> Self {
        let place = engine.folder().join("site");
        std::fs::create_dir(&place).unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-R").args(
            [
                "Cargo.toml",
                "Cargo.lock",
                "askama.toml",
                ".dockerignore",
                "src",
                "watchdogs",
                "notifiers",
                "migrations",
                "docs",
                "benches",
            ]
            .map(repository),
        );
        answered("cp", &copy.args(["tests", "compose"].map(repository)).arg(&place).output().unwrap());
        std::fs::create_dir_all(place.join("target/debug")).unwrap();
        let site = Self { engine, place };
        site.shell("rm -rf compose/secrets compose/state compose/.env");
        site
    }

    /// What a shell in that copy says, which must go well.
    fn shell(&self, script: &str) -> String {
        let output = self.engine.command(&self.place, "sh").args(["-ec", script]).output().unwrap();
        answered(script, &output)
    }

    /// The same in a shell that stands where the page has led.
    fn within(&self, script: &str) -> String {
        let block = &page::blocks("With Podman")[0];
        let led = block.lines().filter(|line| line.starts_with("cd ") || line.starts_with(". "));
        self.shell(&format!("{}\n{script}", led.collect::<Vec<_>>().join("\n")))
    }

    /// With the command line that the page gives.
    fn with_komainu(&self, script: &str) -> String {
        let block = &page::blocks("The whole stack on one host, with compose")[2];
        let (function, _) = block.split_once("}\n").unwrap();
        self.within(&format!("{function}}}\n{script}"))
    }

    fn status(&self) -> Value {
        let output = self.engine.command(&self.place, "curl").args(["-sS", "http://127.0.0.1:8080/status"]).output();
        serde_json::from_slice(&output.unwrap().stdout).unwrap_or_default()
    }

    /// By the line at the head of the Dockerfile.
    fn has_an_image_without_shell_root_or_rights(&self) {
        let file = std::fs::read_to_string(repository("compose/Dockerfile")).unwrap();
        let line = file.lines().find_map(|line| line.strip_prefix("#   docker ")).unwrap();
        self.shell(&format!("podman {line}"));
        let user = self.engine.podman("image inspect --format {{.Config.User}} komainu:local");
        assert_eq!(user.trim(), "65532:65532");
        let confined = "run --rm --read-only --cap-drop=ALL --security-opt=no-new-privileges --network=none";
        let version = self.engine.podman(&format!("{confined} komainu:local --version"));
        assert!(version.starts_with("komainu "), "{version}");
        let shell = self.engine.try_podman(&format!("{confined} --entrypoint=/bin/sh komainu:local"));
        assert!(!shell.status.success() && words(&shell).contains("no such file"), "{}", words(&shell));
    }

    /// By the block of the page; its last line is what a person looks at then.
    async fn starts(&self) {
        let begin = clock::now();
        let block = &page::blocks("With Podman")[0];
        let (start, look) = block.trim_end().rsplit_once('\n').unwrap();
        self.shell(start);
        self.is_well(&[]).await;
        say(&format!("containers: all are well {:.1} s after ./setup", clock::now().since(begin).as_secs_f32()));
        let shows_all = async || {
            let shown = self.within(&format!("{look} || true"));
            ["w1", "w2", "w3"].iter().all(|name| shown.contains(name))
        };
        wait_until("the command line shows all watchdogs", LIMIT, shows_all).await;
    }

    /// By the health checks of compose.yaml, which no systemd runs here.
    async fn is_well(&self, also: &[&str]) {
        let stack = yaml::stack();
        for (name, service) in stack["services"].as_object().unwrap() {
            let is_started = service.get("profiles").is_none() || also.contains(&name.as_str());
            if is_started && service.get("healthcheck").is_some() {
                let check = format!("healthcheck run {}", container(name));
                let is_well = async || self.engine.try_podman(&check).status.success();
                wait_until(&format!("{name} is well"), LIMIT, is_well).await;
            }
        }
        let end = self.engine.podman(&format!("inspect --format {{{{.State.ExitCode}}}} {}", container("migrate")));
        assert_eq!(end.trim(), "0", "migrate");
    }

    /// What the kernel says of the first process of each.
    fn every_container_is_confined(&self) {
        for (name, service) in yaml::stack()["services"].as_object().unwrap() {
            if service.get("profiles").is_some() || name == "migrate" {
                continue;
            }
            let pid = self.engine.podman(&format!("inspect --format {{{{.State.Pid}}}} {}", container(name)));
            let read = |what: &str| self.shell(&format!("cat /proc/{}/{what}", pid.trim()));
            let (status, mounts) = (read("status"), read("mounts"));
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
            // NET_RAW for Kuma's `ping`, else nothing. Podman gives a process what its container may have.
            let rights = if name.starts_with("kuma") { "0000000000002000" } else { "0000000000000000" };
            assert_eq!((field("CapBnd:"), field("CapEff:")), (rights, rights), "{name}");
            assert_eq!(field("NoNewPrivs:"), "1", "{name}");
            assert!(!field("Uid:").split_whitespace().any(|user| user == "0"), "{name}: {status}");
            assert!(mounts.lines().any(|line| line.starts_with("overlay / overlay ro,")), "{name}: {mounts}");
        }
    }

    async fn answers(&self) {
        let checked = self.within("podman-compose exec w1 komainu config check --config /etc/komainu/watchdog.toml");
        assert!(checked.contains("OK"), "{checked}");
        self.hears_of_all_watchdogs().await;
        self.within(&page::blocks("The whole stack on one host, with compose")[1]);
        let key = std::fs::read_to_string(self.place.join("compose/ops.key")).unwrap();
        assert!(key.starts_with("kmn_") && key.lines().count() == 1, "a key and nothing else: {key}");
        let nodes = self.with_komainu("komainu nodes list");
        assert!(["kuma1", "kuma2", "kuma3"].iter().all(|name| nodes.contains(name)), "{nodes}");
    }

    async fn hears_of_all_watchdogs(&self) {
        let are_up = async || ["w1", "w2", "w3"].iter().all(|name| self.watchdog(name) == "up");
        wait_until("all watchdogs are up", LIMIT, are_up).await;
    }

    fn watchdog(&self, name: &str) -> String {
        let status = self.status();
        let all = status["watchdogs"].as_array().into_iter().flatten();
        all.filter(|one| one["watchdog_id"] == name).filter_map(|one| one["status"].as_str()).collect()
    }

    /// With a monitor whose pings the container must be let send.
    async fn takes_a_native_node(&self) {
        self.with_komainu(&page::blocks("A native node")[0]);
        self.is_well(&[NATIVE]).await;
        self.with_komainu("komainu monitors add --name pinger --type ping --hostname w1 --wait");
        self.pings().await;
    }

    async fn pings(&self) {
        let is_up = async || {
            let list = self.with_komainu("komainu monitors list");
            list.lines().any(|line| line.contains("pinger") && line.contains(" up ") && line.contains(NATIVE))
        };
        wait_until("the native node pings", LIMIT, is_up).await;
    }

    async fn notices_a_watchdog_that_is_killed(&self) {
        self.engine.podman(&format!("kill {}", container("w1")));
        let is_seen = async || self.watchdog("w1") == "down";
        let took = wait_until("a watchdog that was killed is told as down", LIMIT, is_seen).await;
        say(&format!("containers: a watchdog that was killed is told as down after {:.1} s", took.as_secs_f32()));
        assert_eq!(self.watchdog("w2"), "up");
        self.engine.podman(&format!("start {}", container("w1")));
        self.hears_of_all_watchdogs().await;
    }

    fn stops_within_its_grace(&self) {
        let begin = clock::now();
        self.within("podman-compose stop w2");
        let took = clock::now().since(begin);
        say(&format!("containers: a watchdog stops in {:.1} s", took.as_secs_f32()));
        let end = self.engine.podman(&format!("inspect --format {{{{.State.ExitCode}}}} {}", container("w2")));
        assert_eq!((end.trim(), took < STOPS_WITHIN), ("0", true), "it ended by itself: {took:?}");
    }

    /// Containers and networks are made anew; volumes are not.
    async fn is_as_it_was_after_all_was_stopped(&self) {
        let volumes = self.engine.podman("volume ls --quiet");
        self.within("podman-compose --profile native down");
        assert_eq!(self.engine.podman("ps --all --quiet"), "");
        assert_eq!(self.engine.podman("volume ls --quiet"), volumes);
        self.within("podman-compose --profile native up -d");
        self.is_well(&[NATIVE]).await;
        self.hears_of_all_watchdogs().await;
        // The key of before still opens, and what ran runs.
        self.pings().await;
        let migrated = self.engine.podman(&format!("logs {}", container("migrate")));
        assert!(migrated.contains("nothing to do"), "{migrated}");
    }

    fn leaves_nothing(&self) {
        self.within("podman-compose --profile native down -v");
        assert_eq!(self.engine.podman("ps --all --quiet") + &self.engine.podman("volume ls --quiet"), "");
        assert_eq!(self.engine.podman("network ls --format {{.Name}}").trim(), "podman", "Podman's own is left");
    }
}

/// As podman-compose names it.
fn container(service: &str) -> String {
    format!("komainu_{service}_1")
}
