//! compose.yaml, held against what the stack promises.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Map, Value};

use super::repository;
use super::yaml::{read, stack};

/// Of the services that run on; the image of ours is made here.
const OURS: &str = "komainu:local";

fn services(stack: &Value) -> &Map<String, Value> {
    stack["services"].as_object().unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap_or_else(|| panic!("{item}"))).collect()
}

fn environment(service: &Value) -> BTreeMap<&str, &str> {
    let entries = service["environment"].as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_else(|| panic!("{name}: {value}")))).collect()
}

#[test]
fn the_stack_has_its_services() {
    let stack = stack();
    let names: BTreeSet<&str> = services(&stack).keys().map(String::as_str).collect();
    let expected = ["db", "migrate", "kuma1", "kuma2", "kuma3", "w1", "w2", "w3", "gateway", "native1", "mail"];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(texts(&stack["services"]["mail"]["profiles"]), ["mail"], "the mail catcher is for who asks for it");
    assert_eq!(texts(&stack["services"]["native1"]["profiles"]), ["native"], "and so is a native node");
}

#[test]
fn nothing_is_published_but_the_gateway() {
    for file in FILES {
        for (name, service) in services(&read(file)) {
            assert!(service.get("ports").is_none() || name == "gateway", "{file}: {name}");
            assert!(service.get("network_mode").is_none() && service.get("privileged").is_none(), "{file}: {name}");
        }
    }
}

#[test]
fn every_container_is_confined() {
    for (name, service) in services(&stack()) {
        let user = service["user"].as_str().unwrap_or_else(|| panic!("{name} names no user"));
        assert!(!user.starts_with("root") && !user.starts_with('0'), "{name} runs as {user}");
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        let added = texts(&service["cap_add"]);
        assert!(added.is_empty() || (name.starts_with("kuma") && added == ["NET_RAW"]), "{name}: {added:?}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(["cpus", "memory", "pids"].iter().all(|what| !limits[what].is_null()), "{name}: {limits}");
        // The only one with an end that Docker and Podman both have.
        assert_eq!(service["logging"]["driver"], "json-file", "{name}");
        assert_eq!(service["logging"]["options"]["max-size"], "10m", "{name}: its log has an end");
    }
}

#[test]
fn every_lasting_service_says_whether_it_is_well() {
    for (name, service) in services(&stack()) {
        let is_lasting = name != "migrate";
        assert_eq!(service["healthcheck"]["test"].is_array(), is_lasting, "{name}");
        let restart = if is_lasting { "unless-stopped" } else { "on-failure:3" };
        assert_eq!(service["restart"], restart, "{name}");
    }
}

#[test]
fn every_image_is_pinned_and_takes_a_digest() {
    for (name, service) in services(&stack()) {
        let image = service["image"].as_str().unwrap();
        if image == OURS {
            assert_eq!(service["build"]["dockerfile"], "compose/Dockerfile", "{name}");
            continue;
        }
        let (pinned, digest) = image.split_once("${").unwrap_or_else(|| panic!("{name}: {image}"));
        let tag = pinned.rsplit_once(':').unwrap().1;
        assert!(pinned.starts_with("docker.io/"), "{name}: {image}: Podman asks no registry unless it is named");
        assert!(tag.contains(|letter: char| letter.is_ascii_digit()) && tag != "latest", "{name}: {image}");
        assert!(digest.ends_with("_DIGEST:-}"), "{name}: {image}");
    }
    assert!(
        stack()["services"]["kuma1"]["image"].as_str().unwrap().starts_with("docker.io/louislam/uptime-kuma:2.5.3")
    );
}

#[test]
fn no_secret_stands_in_an_environment() {
    for file in FILES {
        for (name, service) in services(&read(file)) {
            for (variable, value) in environment(service) {
                let is_secret =
                    ["PASSWORD", "KEY", "SECRET", "TOKEN", "CERT"].iter().any(|word| variable.contains(word));
                assert!(!is_secret || value.starts_with("/run/secrets/"), "{file}: {name}: {variable}");
                assert!(!value.contains("mysql://"), "{file}: {name}: {variable}");
            }
            let arguments = format!("{} {}", service["command"], service["healthcheck"]);
            assert!(!arguments.to_lowercase().contains("password"), "{file}: {name}: {arguments}");
        }
    }
}

/// Where each secret of a service is mounted.
fn secrets(service: &Value) -> BTreeMap<String, String> {
    let mounted = |item: &Value| match item {
        Value::String(name) => (name.clone(), name.clone()),
        long => (long["source"].as_str().unwrap().to_owned(), long["target"].as_str().unwrap().to_owned()),
    };
    service["secrets"].as_array().into_iter().flatten().map(mounted).collect()
}

#[test]
fn every_secret_that_is_named_is_mounted_and_no_other() {
    let stack = stack();
    let declared: BTreeSet<&String> = stack["secrets"].as_object().unwrap().keys().collect();
    let mut used = BTreeSet::new();
    for (name, service) in services(&stack) {
        let mounted = secrets(service);
        for (variable, value) in environment(service) {
            if let Some(file) = value.strip_prefix("/run/secrets/") {
                assert!(mounted.values().any(|target| target == file), "{name}: {variable} names {file}");
            }
        }
        used.extend(mounted.into_keys());
    }
    assert_eq!(used.iter().collect::<BTreeSet<_>>(), declared);
    for (name, other) in [("w1", "root_password"), ("kuma1", "cluster_key"), ("gateway", "cluster_key")] {
        assert!(!secrets(&stack["services"][name]).contains_key(other), "{name} has no business with {other}");
    }
}

#[test]
fn things_start_in_an_order_that_works_on_an_empty_database() {
    let stack = stack();
    let waits =
        |name: &str, on: &str| stack["services"][name]["depends_on"][on]["condition"].as_str().map(str::to_owned);
    let healthy = Some("service_healthy".to_owned());
    assert_eq!(waits("migrate", "db"), healthy);
    for node in ["kuma1", "kuma2", "kuma3"] {
        assert_eq!(waits(node, "db"), healthy);
        assert_eq!(waits(node, "migrate"), None, "Kuma makes its tables before komainu does");
        assert_eq!(waits("migrate", node), None, "one Kuma that is broken keeps no watchdog from starting");
    }
    let command = texts(&stack["services"]["migrate"]["command"]).join(" ");
    assert!(command.contains("--wait-for-kuma"), "{command}");
    for watchdog in ["w1", "w2", "w3"] {
        assert_eq!(waits(watchdog, "migrate"), Some("service_completed_successfully".to_owned()));
        assert_eq!(waits("gateway", watchdog), Some("service_started".to_owned()));
    }
}

#[test]
fn what_podman_cannot_do_nobody_waits_for() {
    let stack = stack();
    let podman = read("compose/compose.podman.yaml");
    for (name, service) in services(&stack) {
        let waits = service["depends_on"].as_object().into_iter().flatten();
        let for_an_end = waits.filter(|(_, on)| on["condition"] == "service_completed_successfully").count() > 0;
        let is_reset = podman["services"].get(name).is_some_and(|service| service["depends_on"] == "!reset");
        assert_eq!(is_reset, for_an_end, "{name}");
    }
}

#[test]
fn nobody_is_given_a_folder_below_run() {
    // Podman makes them root's.
    for (name, service) in services(&stack()) {
        assert!(texts(&service["tmpfs"]).iter().all(|folder| !folder.starts_with("/run/")), "{name}");
    }
}

#[test]
fn every_node_is_entered_as_it_names_itself() {
    let stack = stack();
    let command = texts(&stack["services"]["migrate"]["command"]);
    let entered: BTreeSet<&str> = command.iter().filter_map(|word| word.strip_prefix("--node=")).collect();
    let mut named = BTreeSet::new();
    for (name, service) in services(&stack).iter().filter(|(name, _)| name.starts_with("kuma")) {
        let environment = environment(service);
        assert_eq!(environment["KOMAINU_NODE_ID"], name);
        assert_eq!(secrets(service)[&format!("{name}_key")], "node_key");
        assert_eq!(environment["NODE_OPTIONS"], "--require=/opt/komainu/komainu-agent.js");
        named.insert(format!("{name}={}", environment["KOMAINU_NODE_ADDRESS"]));
    }
    assert_eq!(entered, named.iter().map(String::as_str).collect());
}

#[test]
fn every_watchdog_names_the_two_others() {
    let stack = stack();
    for name in ["w1", "w2", "w3"] {
        let environment = environment(&stack["services"][name]);
        assert_eq!(environment["KOMAINU__WATCHDOG__ID"], name);
        assert_eq!(environment["KOMAINU__WATCHDOG__ADVERTISE"], format!("http://{name}:8900"));
        let peers: Vec<String> = serde_json::from_str(environment["KOMAINU__WATCHDOG__PEERS"]).unwrap();
        let others = ["w1", "w2", "w3"].iter().filter(|other| **other != name);
        assert_eq!(peers, others.map(|other| format!("http://{other}:8900")).collect::<Vec<_>>());
    }
    let known = environment(&stack["services"]["gateway"])["KOMAINU_WATCHDOGS"];
    assert_eq!(known, "http://w1:8900,http://w2:8900,http://w3:8900");
}

#[test]
fn the_database_is_reached_by_who_needs_it_only() {
    let stack = stack();
    assert_eq!(stack["networks"]["database"]["internal"], true);
    assert_eq!(stack["networks"]["cluster"]["internal"], true);
    let on_it = services(&stack).iter().filter(|(_, service)| texts(&service["networks"]).contains(&"database"));
    let names: BTreeSet<&str> = on_it.map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["db", "migrate", "kuma1", "kuma2", "kuma3", "native1", "w1", "w2", "w3"]));
    assert_eq!(texts(&stack["services"]["db"]["networks"]), ["database"], "and it reaches nobody");
}

#[test]
fn every_file_that_is_mounted_is_there() {
    for (name, service) in services(&stack()) {
        for volume in texts(&service["volumes"]) {
            let (source, _) = volume.split_once(':').unwrap();
            let Some(file) = source.strip_prefix("./") else {
                assert!(stack()["volumes"].get(source).is_some(), "{name}: {volume}");
                continue;
            };
            // `setup` makes these.
            let is_made = file.starts_with("secrets/") || file.starts_with("state/");
            assert!(is_made || repository("compose").join(file).exists(), "{name}: {volume}");
            assert!(file.starts_with("state/") || volume.ends_with(":ro"), "{name}: {volume}");
        }
    }
}

/// The stack, and what is put on top of it.
const FILES: [&str; 4] = [
    "compose/compose.yaml",
    "compose/compose.tls.yaml",
    "compose/compose.tls-within.yaml",
    "compose/compose.podman.yaml",
];

/// The text of a file of compose/.
fn text(name: &str) -> String {
    std::fs::read_to_string(repository("compose").join(name)).unwrap()
}

#[test]
fn every_variable_is_one_that_its_program_reads() {
    let gateway = text("openresty/start") + &text("openresty/nginx.conf");
    let agent = text("kuma/lib/identity.js");
    let command = std::fs::read_to_string(repository("src/cli/client.rs")).unwrap();
    for file in FILES {
        for (name, service) in services(&read(file)) {
            let program = match name.as_str() {
                "gateway" => &gateway,
                "w1" | "w2" | "w3" | "native1" => &command,
                _ => &agent,
            };
            // Those of watchdogs are sections and keys: `config check` judges them.
            let own = |variable: &&str| variable.starts_with("KOMAINU_") && !variable.starts_with("KOMAINU__");
            for variable in environment(service).into_keys().filter(own) {
                assert!(program.contains(variable), "{file}: {name}: nobody reads {variable}");
            }
        }
    }
    for line in text("systemd/komainu-gateway.service").lines().filter_map(|line| line.strip_prefix("Environment=")) {
        assert!(gateway.contains(line.split_once('=').unwrap().0), "{line}");
    }
}

#[test]
fn every_configuration_that_is_named_is_there() {
    for (name, service) in services(&stack()) {
        let words = texts(&service["command"]).join(" ").replace('=', " ");
        for file in words.split(' ').filter_map(|word| word.strip_prefix("/etc/komainu/")) {
            assert!(repository("compose/config").join(file).exists(), "{name}: {file}");
        }
    }
}

#[test]
fn the_databases_users_are_made_by_the_shell_of_the_entrypoint() {
    let mode = repository("compose/mariadb/users.sh").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0, "a program of its own would not have the entrypoint's function for SQL");
}
