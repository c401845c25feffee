//! The configurations and the database's users, by the programs that read them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::setup::Place;
use super::yaml::{read, stack};
use super::{komainu, refused, repository, said};
use crate::cluster::ports::free_port;
use crate::cluster::server::MariaDb;
use crate::cluster::wait::wait_until;
use crate::support::kuma;
use crate::support::raw::Raw;

/// As the image's entrypoint does: with its function for SQL, the file read into the shell.
const ENTRYPOINT: &str = r#"set -eu
docker_process_sql() { mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --port="$PORT" --user=root "$@"; }
. "$1""#;

/// Only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A database as compose makes it, and the files that its services are given.
struct Host {
    place: Place,
    server: MariaDb,
}

impl Host {
    async fn start() -> Self {
        let place = Place::made(&["--tls-within"]);
        let server = MariaDb::start();
        Raw::connect(&server.url("mysql")).await.execute("CREATE DATABASE kuma CHARACTER SET utf8mb4").await;
        let secrets = place.path().join("run");
        std::fs::create_dir(&secrets).unwrap();
        for user in ["watchdog", "node", "migrate"] {
            std::fs::write(secrets.join(format!("{user}_password")), place.secret(&format!("{user}.password")))
                .unwrap();
        }
        let host = Self { place, server };
        let mut shell = Command::new("bash");
        shell.args(["-c", ENTRYPOINT, "entrypoint"]).arg(repository("compose/mariadb/users.sh"));
        shell.env("KOMAINU_SECRETS", secrets).env("MARIADB_DATABASE", "kuma").env("PORT", host.port());
        said(&mut shell);
        host
    }

    fn port(&self) -> String {
        self.server.url("").rsplit(':').next().unwrap().trim_matches('/').to_owned()
    }

    /// As compose has it, but for where this host's database and files are.
    fn command(&self, config: &str, url: &str, line: &[&str]) -> Command {
        let url = self.place.secret(url).replace("@db:3306", &format!("@127.0.0.1:{}", self.port()));
        let file = self.place.path().join("database.url");
        std::fs::write(&file, url).unwrap();
        let mut command = komainu();
        command.args(line).arg("--config").arg(repository("compose/config").join(config));
        command.env("KOMAINU__DATABASE__URL_FILE", file);
        command
    }

    /// With the environment of that service.
    fn watchdog(&self, service: &str, line: &[&str]) -> Command {
        let mut command = self.command("watchdog.toml", "database.url", line);
        for (name, value) in stack()["services"][service]["environment"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            let preset = value.split_once(":-").map_or(value, |(_, preset)| preset.trim_end_matches('}'));
            command.env(name, preset);
        }
        command.env("KOMAINU__CLUSTER__KEY_FILE", self.place.path().join("secrets/cluster.key"));
        command.env("KOMAINU__WATCHDOG__STATE_DIR", self.place.path().join(service));
        command
    }

    /// Starts that watchdog, and waits until it is well by the word of the container's own health check.
    async fn runs(&self, service: &str) {
        self.runs_as(service, self.watchdog(service, &["watchdog"]), "http").await;
    }

    /// The same with what `compose.tls-within.yaml` puts on top of it.
    async fn runs_within(&self, service: &str) {
        let mut command = self.watchdog(service, &["watchdog"]);
        let file = |name: &str| self.place.path().join("secrets/within").join(name);
        let of = [
            ("ca", file("ca.crt")),
            ("cert", file(&format!("{service}.crt"))),
            ("key", file(&format!("{service}.key"))),
        ];
        for (name, value) in
            read("compose/compose.tls-within.yaml")["services"][service]["environment"].as_object().unwrap()
        {
            let value = value.as_str().unwrap();
            let mounted = of.iter().find(|(what, _)| value == format!("/run/secrets/tls_{what}"));
            command.env(name, mounted.map_or_else(|| value.into(), |(_, path)| path.clone().into_os_string()));
        }
        self.runs_as(service, command, "https").await;
    }

    async fn runs_as(&self, service: &str, command: Command, scheme: &str) {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut watchdog = tokio::process::Command::from(command);
        watchdog.env("KOMAINU__WATCHDOG__LISTEN", &listen).stderr(Stdio::null()).kill_on_drop(true);
        let mut watchdog = watchdog.spawn().unwrap();
        let check = stack()["services"][service]["healthcheck"]["test"].clone();
        assert_eq!(check, json!(["CMD", "komainu", "health"]));
        let is_well = async || {
            assert!(watchdog.try_wait().unwrap().is_none(), "{service} has ended");
            let mut health = komainu();
            health.env("KOMAINU_CA", self.place.path().join("secrets/within/ca.crt"));
            health.args(["health", "--url"]).arg(format!("{scheme}://{listen}")).output().unwrap().status.success()
        };
        wait_until("the watchdog is well", LIMIT, is_well).await;
    }

    /// `config check` of a configuration, with this address of the database.
    fn checked(&self, config: &str, url: &str) -> Command {
        let mut check = self.command(config, url, &["config", "check"]);
        if config == "node.toml" {
            check.env("KOMAINU__NODE__ID", "native1").env("KOMAINU__NODE__ADVERTISE", "http://native1:8910");
            check.env("KOMAINU__NODE__KEY_FILE", self.place.path().join("secrets/kuma1.key"));
        } else {
            check.env("KOMAINU__WATCHDOG__ID", "w1").env("KOMAINU__WATCHDOG__ADVERTISE", "http://w1:8900");
            check.env("KOMAINU__CLUSTER__KEY_FILE", self.place.path().join("secrets/cluster.key"));
        }
        check
    }

    fn migrate(&self) -> Command {
        let line = stack()["services"]["migrate"]["command"].clone();
        let line: Vec<&str> = line.as_array().unwrap().iter().filter_map(|word| word.as_str()).collect();
        let own: Vec<&str> = line.into_iter().filter(|word| !word.starts_with("--config")).collect();
        self.command("migrate.toml", "migrate.url", &own)
    }
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn the_configurations_of_compose_work_with_the_users_of_compose() {
    let host = Host::start().await;
    let (_, words) = refused(&mut host.watchdog("w1", &["config", "check"]));
    assert!(words.contains("`komainu migrate --dry-run`") && words.contains("zone = \"this-host\""), "{words}");
    let mut raw = Raw::connect(&host.server.url("kuma")).await;
    raw.execute(&format!("SET SESSION innodb_strict_mode = 0;\n{}", kuma::stock(false))).await;
    raw.execute("INSERT INTO setting (`key`, value) VALUES ('jwtSecret', 'x')").await;

    let words = said(&mut host.migrate());
    assert!(
        ["kuma1", "kuma2", "kuma3"].iter().all(|node| words.contains(&format!("node {node} is entered"))),
        "{words}"
    );
    let words = said(&mut host.migrate());
    assert!(words.contains("nothing to do") && words.contains("node kuma3 was entered before"), "{words}");
    for service in ["w1", "w2", "w3"] {
        host.runs(service).await;
    }
    host.runs_within("w2").await;
    let mut create = host.command("migrate.toml", "migrate.url", &["apikeys", "create", "ops", "--scope", "admin"]);
    assert!(said(&mut create).starts_with("kmn_"));
    for (config, url) in [("watchdog.toml", "database.url"), ("node.toml", "node.url")] {
        let words = said(&mut host.checked(config, url));
        assert!(words.ends_with("OK\n"), "{words}");
    }
    // One with the other's user: what would fail some day is said now.
    let (_, words) = refused(&mut host.checked("node.toml", "database.url"));
    assert!(words.contains("lacks a grant") && words.contains("`komainu migrate --dry-run`"), "{words}");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn the_script_gives_migrate_what_its_dry_run_says_and_makes_the_users_of_a_database_that_is_there_already() {
    let host = Host::start().await;
    let mut dry = host.command("migrate.toml", "migrate.url", &["migrate", "--dry-run", "--without-kuma"]);
    let words = said(&mut dry);
    let mut printed = words.lines().filter_map(|line| line.strip_prefix("-- GRANT "));
    let own = printed.next().unwrap();
    let script = std::fs::read_to_string(repository("compose/mariadb/users.sh")).unwrap();
    let said_there = own.replace("`kuma`", r"\`$MARIADB_DATABASE\`");
    assert!(script.contains(&format!("GRANT {said_there}")), "{own}");
    assert!(printed.clone().any(|grant| grant.ends_with("`komainu_audit` TO 'komainu_watchdog'@'%';")), "{words}");
    assert!(printed.all(|grant| !script.contains(grant)), "and nothing of the others: one list is enough");
    // By hand: with the client instead of the entrypoint's function.
    let bin = host.place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let client = format!("#!/bin/sh\nexec /usr/bin/mariadb --no-defaults -h 127.0.0.1 -P {} \"$@\"\n", host.port());
    std::fs::write(bin.join("mariadb"), client).unwrap();
    std::fs::set_permissions(bin.join("mariadb"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let secrets = host.place.path().join("run");
    std::fs::write(secrets.join("root_password"), "").unwrap();
    let mut by_hand = Command::new("bash");
    by_hand.arg(repository("compose/mariadb/users.sh")).env("MARIADB_DATABASE", "kuma").env("KOMAINU_SECRETS", secrets);
    let path = std::env::var("PATH").unwrap();
    said(by_hand.env("PATH", format!("{}:{path}", bin.display())));
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn watchdogs_and_nodes_cannot_change_a_table() {
    let host = Host::start().await;
    said(&mut host.command("migrate.toml", "migrate.url", &["migrate", "--without-kuma", "--grant"]));
    for role in ["watchdog", "node"] {
        let password = host.place.secret(&format!("{role}.password"));
        let url = format!("mysql://komainu_{role}:{password}@127.0.0.1:{}/kuma", host.port());
        let mut raw = Raw::connect(&url).await;
        for sql in ["CREATE TABLE t (a INT)", "SELECT * FROM mysql.user", "CREATE USER x"] {
            let error = raw.try_execute(sql).await.unwrap_err().to_string();
            assert!(error.contains("denied"), "{sql}: {error}");
        }
    }
    let nobody = sqlx::mysql::MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(host.port().parse().unwrap())
        .username("komainu_watchdog");
    assert!(sqlx::ConnectOptions::connect(&nobody).await.is_err(), "nobody comes in without a password");
}

#[test]
fn an_empty_password_makes_no_user() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("watchdog_password"), "").unwrap();
    std::fs::write(folder.path().join("node_password"), "ab").unwrap();
    std::fs::write(folder.path().join("migrate_password"), "ab'; DROP").unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", "set -eu; docker_process_sql() { echo reached; cat; }; . \"$1\"", "entrypoint"]);
    shell
        .arg(repository("compose/mariadb/users.sh"))
        .env("KOMAINU_SECRETS", folder.path())
        .env("MARIADB_DATABASE", "kuma");
    let (_, words) = refused(&mut shell);
    assert!(words.contains("watchdog_password is not made of hex digits") && !words.contains("reached"), "{words}");
}

#[test]
#[ignore = "needs MariaDB"]
fn the_servers_settings_are_ones_that_mariadb_knows() {
    let mut server = Command::new("mariadbd");
    let file = repository("compose/mariadb/komainu.cnf");
    server.arg(format!("--defaults-file={}", file.display())).args(["--verbose", "--help", "--user=root"]);
    let words = said(&mut server);
    assert!(!words.contains("[ERROR]"), "{words}");
    let shown =
        |name: &str| words.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
    assert!(shown("innodb-buffer-pool-size").ends_with("805306368"), "{}", shown("innodb-buffer-pool-size"));
    assert!(shown("innodb-flush-log-at-trx-commit").ends_with(" 1"), "what was answered survives a power failure");
}

#[test]
fn the_configuration_of_a_native_node_is_one() {
    let place = Place::made(&[]);
    let secrets = place.path().join("secrets");
    let mut check = komainu();
    check.args(["config", "check", "--config"]).arg(repository("compose/config/node.toml"));
    check.env("KOMAINU__NODE__ID", "native1").env("KOMAINU__NODE__ADVERTISE", "http://native1:8910");
    check.env("KOMAINU__NODE__KEY_FILE", secrets.join("kuma1.key"));
    check.env("KOMAINU__DATABASE__URL_FILE", secrets.join("node.url"));
    let (_, words) = refused(&mut check);
    assert!(words.contains("advertise = \"http://native1:8910\""), "{words}");
    assert!(words.contains("cannot reach the database") && words.contains("1 fault to mend"), "{words}");
}
