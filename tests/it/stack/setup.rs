//! compose/setup, run in a folder of its own.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use komainu::keys::ClusterKey;
use tempfile::TempDir;

use super::yaml::read;
use super::{komainu, refused, repository, said};

/// A folder that holds nothing but `setup`.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        let place = Self(tempfile::Builder::new().prefix("komainu-setup-").tempdir().unwrap());
        std::fs::copy(repository("compose/setup"), place.path().join("setup")).unwrap();
        place
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// By its own first line, as people do.
    fn setup(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path().join("setup"));
        command.args(arguments).current_dir("/").env("KOMAINU", env!("CARGO_BIN_EXE_komainu"));
        command
    }

    pub(super) fn made(arguments: &[&str]) -> Self {
        let place = Self::new();
        said(&mut place.setup(arguments));
        place
    }

    pub(super) fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join("secrets").join(name)).unwrap().trim().to_owned()
    }

    fn secrets(&self) -> BTreeMap<String, String> {
        let files = std::fs::read_dir(self.path().join("secrets")).unwrap().map(Result::unwrap);
        let files = files.filter(|entry| entry.file_type().unwrap().is_file());
        files
            .map(|entry| entry.file_name().into_string().unwrap())
            .map(|name| (name.clone(), self.secret(&name)))
            .collect()
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn setup_makes_every_secret_that_compose_names() {
    let place = Place::made(&["--tls", "kuma.example.com", "--tls-within"]);
    for file in ["compose/compose.yaml", "compose/compose.tls.yaml", "compose/compose.tls-within.yaml"] {
        for (name, secret) in read(file)["secrets"].as_object().unwrap() {
            let path = place.path().join(secret["file"].as_str().unwrap());
            assert!(path.metadata().is_ok_and(|file| file.len() > 0), "{name}: {}", path.display());
        }
    }
    assert!(place.path().join("secrets/channels").is_dir() && place.path().join("state/upload").is_dir());
}

#[test]
fn a_second_setup_changes_nothing() {
    let place = Place::made(&["--tls", "kuma.example.com", "--url", "https://kuma.example.com"]);
    let (secrets, settings) = (place.secrets(), std::fs::read(place.path().join(".env")).unwrap());
    for arguments in [&[][..], &["--tls", "kuma.example.com", "--url", "https://kuma.example.com"]] {
        let words = said(&mut place.setup(arguments));
        assert!(!words.contains("made ") && !words.contains("set "), "{words}");
    }
    assert_eq!(place.secrets(), secrets);
    assert_eq!(std::fs::read(place.path().join(".env")).unwrap(), settings);
}

#[test]
fn no_two_setups_make_the_same_secret() {
    let mut all: Vec<String> =
        [Place::made(&[]), Place::made(&[])].iter().flat_map(|place| place.secrets().into_values()).collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn the_keys_that_setup_derives_are_those_that_watchdogs_expect() {
    let place = Place::made(&[]);
    let cluster = ClusterKey::parse(&place.secret("cluster.key")).unwrap();
    for node in ["kuma1", "kuma2", "kuma3", "native1"] {
        assert_eq!(place.secret(&format!("{node}.key")), cluster.node_key(&node.into()).reveal());
    }
    assert_eq!(place.secret("gateway.key"), cluster.gateway_key().reveal());
    let mut keygen = komainu();
    keygen.args(["keygen", "--node", "kuma3", "--key-file"]).arg(place.path().join("secrets/cluster.key"));
    assert_eq!(said(&mut keygen).trim(), place.secret("kuma3.key"));
}

#[test]
fn a_cluster_key_that_somebody_brought_along_is_kept_and_derived_from() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("secrets")).unwrap();
    let brought = "Zz~_0123456789abcdef!0123456789abcdef";
    std::fs::write(place.path().join("secrets/cluster.key"), format!("{brought}\n")).unwrap();
    said(&mut place.setup(&[]));
    let cluster = ClusterKey::parse(brought).unwrap();
    assert_eq!(place.secret("cluster.key"), brought);
    assert_eq!(place.secret("kuma2.key"), cluster.node_key(&"kuma2".into()).reveal());
}

#[test]
fn what_containers_mount_can_be_read_after_a_copy_under_a_strict_umask() {
    let place = Place::new();
    for folder in ["config", "kuma", "mariadb", "openresty"] {
        let folder = place.path().join(folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
        std::fs::set_permissions(folder.join("file"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    said(&mut place.setup(&[]));
    for folder in ["config", "kuma", "mariadb", "openresty"] {
        let folder = place.path().join(folder);
        assert_eq!((mode(&folder), mode(&folder.join("file"))), (0o755, 0o644), "{}", folder.display());
    }
}

#[test]
fn nobody_else_on_the_host_comes_near_the_secrets() {
    let place = Place::made(&["--tls", "kuma.example.com"]);
    assert_eq!((mode(&place.path().join("secrets")), mode(&place.path().join("state"))), (0o700, 0o700));
    for name in place.secrets().into_keys() {
        assert_eq!(mode(&place.path().join("secrets").join(&name)), 0o444, "{name}: any user of a container reads it");
    }
}

#[test]
fn a_certificate_that_somebody_put_there_is_kept_with_its_key_and_the_gateway_can_read_both() {
    let place = Place::made(&["--tls", "kuma.example.com"]);
    let file = |name: &str| place.path().join("secrets").join(name);
    for name in ["gateway.crt", "gateway.crt.key"] {
        std::fs::set_permissions(file(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let before = (place.secret("gateway.crt"), place.secret("gateway.crt.key"));
    said(&mut place.setup(&["--tls", "kuma.example.com"]));
    assert_eq!((place.secret("gateway.crt"), place.secret("gateway.crt.key")), before);
    assert_eq!((mode(&file("gateway.crt")), mode(&file("gateway.crt.key"))), (0o444, 0o444));
    std::fs::remove_file(file("gateway.crt")).unwrap();
    said(&mut place.setup(&["--tls", "kuma.example.com"]));
    assert_eq!(place.secret("gateway.crt.key"), before.1, "a certificate is made for the key that is there");
    std::fs::remove_file(file("gateway.crt.key")).unwrap();
    let (code, words) = refused(&mut place.setup(&["--tls", "kuma.example.com"]));
    assert!(code == 1 && words.contains("gateway.crt has no key"), "{words}");
}

#[test]
fn setup_goes_on_with_nothing_that_is_broken() {
    let place = Place::made(&[]);
    let file = |name: &str| place.path().join("secrets").join(name);
    let replace = |name: &str, text: &str| {
        std::fs::remove_file(file(name)).unwrap();
        std::fs::write(file(name), text).unwrap();
    };
    replace("kuma2.key", &"ab".repeat(32));
    let (code, words) = refused(&mut place.setup(&[]));
    assert!(code == 1 && words.contains("kuma2.key does not follow from secrets/cluster.key"), "{words}");
    std::fs::remove_file(file("kuma2.key")).unwrap();
    replace("kuma.password", "");
    let (code, words) = refused(&mut place.setup(&[]));
    assert!(code == 1 && words.contains("kuma.password is empty"), "{words}");
    replace("kuma.password", "ab");
    replace("cluster.key", "short");
    let (code, words) = refused(&mut place.setup(&[]));
    assert!(code == 1 && words.contains("cluster.key is no cluster key"), "{words}");
}

#[test]
fn setup_takes_no_address_that_a_shell_would_act_on() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["--url"], &["--tls"], &["now"]] {
        assert_eq!(refused(&mut place.setup(arguments)).0, 2, "{arguments:?}");
    }
    for arguments in
        [["--url", "http://x/$(id)"], ["--url", "http://x\nA=b"], ["--tls", "a/CN=b"], ["--tls", "a,DNS:b"]]
    {
        assert_eq!(refused(&mut place.setup(&arguments)).0, 1, "{arguments:?}");
    }
    assert!(!place.path().join("secrets").exists());
}

#[test]
fn certificates_within_are_kept_and_their_ca_signs_for_no_container() {
    let place = Place::made(&["--tls-within"]);
    let within = place.path().join("secrets/within");
    let before = std::fs::read(within.join("w1.crt")).unwrap();
    assert_eq!((mode(&within), mode(&within.join("ca.key")), mode(&within.join("w1.key"))), (0o700, 0o600, 0o444));
    said(&mut place.setup(&["--tls", "kuma.example.com"]));
    said(&mut place.setup(&["--tls-within"]));
    assert_eq!(std::fs::read(within.join("w1.crt")).unwrap(), before);
    let settings = std::fs::read_to_string(place.path().join(".env")).unwrap();
    assert!(settings.contains("COMPOSE_FILE=compose.yaml:compose.tls-within.yaml:compose.tls.yaml\n"), "{settings}");
    let stack = read("compose/compose.tls-within.yaml");
    let mounted: Vec<_> = stack["secrets"].as_object().unwrap().values().collect();
    assert!(mounted.iter().all(|secret| secret["file"] != "./secrets/within/ca.key"), "{mounted:?}");
}

#[test]
fn the_settings_that_are_asked_for_replace_the_former_ones() {
    let place = Place::made(&["--url", "http://one.example.com"]);
    said(&mut place.setup(&["--url", "https://two.example.com"]));
    let settings = std::fs::read_to_string(place.path().join(".env")).unwrap();
    assert_eq!(settings, "KOMAINU_PUBLIC_URL=https://two.example.com\n");
    said(&mut place.setup(&["--tls", "two.example.com", "--url", "https://two.example.com:8443"]));
    let settings = std::fs::read_to_string(place.path().join(".env")).unwrap();
    assert!(settings.contains("COMPOSE_FILE=compose.yaml:compose.tls.yaml\n"), "{settings}");
    let certificate = place.path().join("secrets/gateway.crt");
    let shown =
        said(Command::new("openssl").args(["x509", "-noout", "-ext", "subjectAltName", "-in"]).arg(certificate));
    assert!(shown.contains("DNS:two.example.com"), "{shown}");
}

#[test]
fn the_next_commands_are_those_of_the_engine() {
    let place = Place::new();
    let docker = said(&mut place.setup(&[]));
    assert!(docker.contains("  docker compose up -d --build --wait\n") && !docker.contains("podman"), "{docker}");
    let podman = said(&mut place.setup(&["--podman"]));
    let next = "  . ./.env && export COMPOSE_FILE\n  podman-compose up -d --build\n";
    assert!(podman.contains(next) && !podman.contains("docker compose"), "{podman}");
    let settings = std::fs::read_to_string(place.path().join(".env")).unwrap();
    assert_eq!(settings, "COMPOSE_FILE=compose.yaml:compose.podman.yaml\n");
}
