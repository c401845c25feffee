//! Faults of a configuration, as people see them.

use std::path::PathBuf;
use std::time::Duration;

use figment::providers::Serialized;
use komainu_watchdogs::policy::Recovery;
use tempfile::TempDir;

use super::*;

mod calling;
mod serving;
mod telling;

const KEY: &str = "0123456789abcdef0123456789abcdef";

const GOOD: &str = r#"
[cluster]
name = "prod"
key_file = "cluster.key"
canaries = ["tcp://1.1.1.1:443", "https://example.com"]
[watchdog]
id = "w1"
zone = "rack-a"
listen = "0.0.0.0:8900"
advertise = "http://w1:8900"
peers = ["http://w2:8900"]
[database]
url_file = "database.url"
[policy]
probe_interval = "2s"
recovery = "manual"
"#;

struct Folder(TempDir);

impl Folder {
    fn with(config: &str) -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("komainu.toml", config);
        folder.write("cluster.key", &format!("{KEY}\n"));
        folder.write("database.url", "mysql://komainu:hunter2@db/kuma\n");
        folder.write("empty.url", "\n");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("komainu.toml")
    }

    fn load(&self) -> Result<Config, String> {
        Config::load(&self.file()).map_err(|error| self.shorten(&error))
    }

    fn shorten(&self, error: &ConfigError) -> String {
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn fault(config: &str) -> String {
    Folder::with(config).load().map(|config| config.effective()).unwrap_err()
}

/// The good configuration with one line changed.
fn fault_after(line: &str, becomes: &str) -> String {
    assert!(GOOD.contains(line), "{line}");
    fault(&GOOD.replace(line, becomes))
}

#[test]
fn a_good_file_is_read_with_defaults_for_the_rest() {
    let config = Folder::with(GOOD).load().unwrap();
    let watchdog = config.watchdog.unwrap();
    assert_eq!(config.cluster.name, "prod");
    assert_eq!(config.cluster.key, ClusterKey::parse(KEY).ok());
    assert_eq!((watchdog.id.as_str(), watchdog.zone.as_str()), ("w1", "rack-a"));
    assert_eq!(config.policy.probe_interval, Duration::from_secs(2));
    assert_eq!(config.policy.stall_grace, Duration::from_secs(30));
    assert_eq!(config.policy.recovery, Recovery::Manual);
    assert_eq!(config.status.details, Details::Public);
    assert!(config.node.is_none());
}

#[test]
fn the_state_dir_starts_at_the_folder_of_the_configuration() {
    let folder = Folder::with(&GOOD.replace("zone = \"rack-a\"", "state_dir = \"state\""));
    let watchdog = folder.load().unwrap().watchdog.unwrap();
    assert_eq!(watchdog.state_dir, Some(folder.0.path().join("state")));
}

/// A line of the good configuration, what becomes of it, and what is then said.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "zone = ",
        "zoen = ",
        "komainu.toml: [watchdog] zoen: unknown key; known keys are id, zone, listen, public_listen, advertise, peers, public_url, state_dir",
    ),
    (
        "[policy]",
        "[polizy]",
        "komainu.toml: [polizy]: unknown section; this version knows [cluster], [watchdog], [node], [database], [policy], [checks], [second_opinion], [status], [server], [tls], [routing], [deadman], [pages], [[channel]], [[route]], [[heartbeat]], [[person]], [[rotation]], [[ladder]]",
    ),
    ("id = \"w1\"", "", "komainu.toml: [watchdog] id: is missing"),
    (
        "zone = \"rack-a\"",
        "zone = \"a,b\"",
        "komainu.toml: [watchdog] zone: must be 1 to 190 characters, without commas and line ends",
    ),
    (
        "id = \"w1\"",
        "id = \"w 1\"",
        "komainu.toml: [watchdog] id: must be 1 to 50 letters, digits, dots, dashes or underscores",
    ),
    (
        "\"2s\"",
        "\"2 parsecs\"",
        "komainu.toml: [policy] probe_interval: \"2 parsecs\" is not a duration; write \"5s\", \"500ms\" or \"1m30s\"",
    ),
    (
        "\"2s\"",
        "5",
        "komainu.toml: [policy] probe_interval: must be a duration with its unit, \"5s\" or \"500ms\", not signed int `5`",
    ),
    ("\"2s\"", "\"0s\"", "komainu.toml: [policy] probe_interval: must be longer than 0"),
    ("\"manual\"", "\"never\"", "komainu.toml: [policy] recovery: \"never\" is not one of auto, manual"),
    (
        "http://w2:8900",
        "w2:8900",
        "komainu.toml: [watchdog] peers: must begin with http:// or https:// and name a host",
    ),
    (
        "http://w2:8900",
        "http://w2:8900/x",
        "komainu.toml: [watchdog] peers: must be scheme, host and port only: http://host:port",
    ),
    (
        "tcp://1.1.1.1:443",
        "tcp://1.1.1.1",
        "komainu.toml: [cluster] canaries: \"tcp://1.1.1.1\" needs a host and a port: tcp://1.1.1.1:443",
    ),
    (
        "tcp://1.1.1.1:443",
        "icmp://1.1.1.1",
        "komainu.toml: [cluster] canaries: \"icmp://1.1.1.1\": canaries speak tcp, http or https, not icmp",
    ),
    (
        "advertise = \"http://w1:8900\"",
        "",
        "komainu.toml: [watchdog] advertise: is missing: peers cannot call 0.0.0.0:8900; write the address they reach this host at, http://host:8900",
    ),
    (
        "key_file = \"cluster.key\"",
        "",
        "komainu.toml: [cluster] key_file: a watchdog needs the cluster's key: `komainu keygen > cluster.key`, then key_file = \"cluster.key\"",
    ),
    (
        "key_file = \"cluster.key\"",
        "key = \"changeme\"",
        "komainu.toml: [cluster] key: the cluster key has 8 characters, it needs at least 32; `komainu keygen` prints a good one",
    ),
    (
        "cluster.key",
        "no.key",
        "komainu.toml: [cluster] key_file: cannot read no.key: No such file or directory (os error 2)",
    ),
    (
        "key_file = \"cluster.key\"",
        "key_file = \"cluster.key\"\nkey = \"x\"",
        "komainu.toml: [cluster] key_file: key and key_file are both given; keep one",
    ),
    (
        "url_file = \"database.url\"",
        "",
        "komainu.toml: [database] url_file: is missing: a file that holds mysql://user:password@host/database or sqlite:///path; or say it as url",
    ),
    (
        "url_file = \"database.url\"",
        "url_file = \"no.url\"",
        "komainu.toml: [database] url_file: cannot read no.url: No such file or directory (os error 2)",
    ),
    (
        "url_file = \"database.url\"",
        "url_file = \"database.url\"\nurls = [\"mysql://k@db1/kuma\"]",
        "komainu.toml: [database] urls: another url is given too; keep one: a url may name several servers itself",
    ),
    (
        "url_file = \"database.url\"",
        "urls = [\"mysql://k@db1/kuma\", \"mysql://k@db2/other\"]",
        "komainu.toml: [database] urls: database url: its servers have one database, not kuma and other",
    ),
    ("database.url", "empty.url", "komainu.toml: [database] url_file: empty.url is empty"),
];

#[test]
fn each_fault_names_file_section_key_and_remedy() {
    for (line, becomes, expected) in FAULTS {
        assert_eq!(fault_after(line, becomes), *expected, "after {becomes}");
    }
}

#[test]
fn several_servers_are_given_as_one_url_or_as_a_list() {
    let urls = "urls = [\"mysql://k:x@db1/kuma\", \"mysql://k:x@db2:3307/kuma\"]";
    let config = Folder::with(&GOOD.replace("url_file = \"database.url\"", urls)).load().unwrap();
    let one = Folder::with(GOOD);
    one.write("database.url", "mysql://k:x@db1,db2:3307/kuma\n");
    assert_eq!(config.database.url, one.load().unwrap().database.url);
}

#[test]
fn all_faults_are_told_at_once() {
    let told =
        fault(&GOOD.replace("zone =", "zoen =").replace("recovery =", "recovry =").replace("cluster.key", "no.key"));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "komainu.toml: 3 faults", "{told}");
    assert!(
        lines[1].contains("[cluster] key_file") && lines[2].contains("zoen") && lines[3].contains("recovry"),
        "{told}"
    );
}

#[test]
fn what_is_not_toml_is_placed_without_being_quoted() {
    let told = fault("[cluster]\nkey = \"hunter2\n");
    assert!(told.starts_with("komainu.toml, line 2, column "), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_missing_file_names_the_command_that_writes_one() {
    let error = Config::load(Path::new("/nonexistent/komainu.toml")).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/komainu.toml") && error.contains("komainu init"), "{error}");
}

#[test]
fn what_later_versions_will_know_is_refused_for_now() {
    let told = fault(&format!("{GOOD}\n[[check]]\nname = \"x\"\n"));
    assert!(told.contains("unknown section"), "{told}");
}

#[test]
fn the_environment_overrides_the_file() {
    let folder = Folder::with(GOOD);
    let config = Config::load_with(&folder.file(), Serialized::default("policy.stall_grace", "45s")).unwrap();
    assert_eq!(config.policy.stall_grace, Duration::from_secs(45));
}

#[test]
fn a_fault_in_the_environment_says_so() {
    let folder = Folder::with(GOOD);
    let environment = Env::raw().only(&["PATH"]).map(|_| "watchdog.path".into());
    let error = Config::load_with(&folder.file(), environment).unwrap_err();
    assert!(folder.shorten(&error).starts_with("komainu.toml: [watchdog] path (from the environment"), "{error}");
}

#[test]
fn subscribers_are_told_through_a_channel_of_mail_and_a_fault_is_named() {
    let mail = "[[channel]]\nname = \"customers\"\ntype = \"mail\"\nsmtp = \"smtps://mail.example.com\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n\
                [[channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"https://a.example/\"\n";
    let config =
        Folder::with(&format!("{GOOD}\n{mail}[pages]\nmail = \"customers\"\nmails_per_second = 3\n")).load().unwrap();
    let pages = &config.pages;
    assert_eq!((pages.mail.as_ref().map(|(name, _)| name.as_str()), pages.mails_per_second), (Some("customers"), 3));
    assert!(!pages.private_webhooks && config.effective().contains("mail = \"customers\""), "{}", config.effective());
    let without = Folder::with(GOOD).load().unwrap();
    assert!(without.pages.mail.is_none() && !without.effective().contains("[pages]"));
    for (line, said) in [
        ("mail = \"nobody\"", "mail: no [[channel]] has the name \"nobody\"; there are customers, ops"),
        ("mail = \"ops\"", "mail: the [[channel]] \"ops\" is no mail"),
        ("mails_per_second = 0", "mails_per_second: must be from 1 to 200"),
        ("mails = 1", "mails"),
    ] {
        let fault = fault(&format!("{GOOD}\n{mail}[pages]\n{line}\n"));
        assert!(fault.contains(said), "{fault}");
    }
}

#[test]
fn a_second_opinion_is_asked_for_by_default_or_by_tags_and_a_fault_is_named() {
    let folder = Folder::with(&format!(
        "{GOOD}\n[checks]\ndeny = [\"10.0.0.0/8\"]\n[second_opinion]\ndefault = \"note\"\nsample_each = \"1m\"\n\
         rules = [{{ tag = \"shop\", second_opinion = \"require\", zones = [\"a\"] }}]\n"
    ));
    let config = folder.load().unwrap();
    let opinion = &config.second_opinion;
    assert_eq!((opinion.sample_each, opinion.guard.deny.len()), (Duration::from_secs(60), 1));
    let chosen = opinion.choice.of(None, &["shop".to_owned()]);
    assert_eq!((chosen.wish.as_str(), chosen.zones.len()), ("require", 1));
    assert_eq!(opinion.choice.of(None, &[]).wish.as_str(), "note");
    assert!(config.effective().contains("second_opinion = \"require\""), "{}", config.effective());
    assert_eq!(Folder::with(GOOD).load().unwrap().second_opinion.choice.of(None, &[]).wish.as_str(), "off");
    for (line, said) in [
        ("default = \"maybe\"", "default"),
        ("sample_each = \"11m\"", "sample_each: must be from 10s to 10m"),
        ("rules = [{ tag = \" \", second_opinion = \"note\" }]", "rules: a rule names no tag"),
    ] {
        let fault = fault(&format!("{GOOD}\n[second_opinion]\n{line}\n"));
        assert!(fault.contains(said), "{fault}");
    }
}

#[test]
fn the_effective_settings_show_no_secret() {
    let shown = Folder::with(GOOD).load().unwrap().effective();
    assert!(!shown.contains("hunter2") && !shown.contains(KEY), "{shown}");
    assert!(shown.contains("probe_interval = \"2s\"") && shown.contains("failure_threshold = 3"), "{shown}");
}

#[test]
fn a_node_needs_its_own_key_and_no_cluster_key() {
    let node = "[node]\nid = \"node1\"\nlisten = \"127.0.0.1:8910\"\n[database]\nurl = \"sqlite:///tmp/x.db\"\n";
    assert_eq!(fault(node), "komainu.toml: [node] key_file: a node needs its key: `komainu nodes add node1` prints it");
    let key = ClusterKey::parse(KEY).unwrap().node_key(&"node1".into());
    let config =
        Folder::with(&node.replace("[database]", &format!("key = \"{}\"\n[database]", key.reveal()))).load().unwrap();
    let node = config.node.unwrap();
    assert_eq!(node.advertise.map(|url| url.to_string()).as_deref(), Some("http://127.0.0.1:8910/"));
    assert_eq!(node.key, key);
}

#[test]
fn a_node_may_be_told_how_its_monitors_name_themselves_and_a_file_may_begin_with_a_byte_order_mark() {
    let key = ClusterKey::parse(KEY).unwrap().node_key(&"node1".into());
    let node = |agent: &str| {
        let key = key.reveal();
        format!(
            "\u{feff}[node]\nid = \"node1\"\nkey = \"{key}\"\nuser_agent = \"{agent}\"\n[database]\nurl = \"sqlite:///tmp/x.db\"\n"
        )
    };
    let config = Folder::with(&node("Uptime-Kuma/2.5.3")).load().unwrap();
    assert!(config.effective().contains("user_agent = \"Uptime-Kuma/2.5.3\""));
    assert_eq!(config.node.unwrap().user_agent.unwrap(), "Uptime-Kuma/2.5.3");
    for agent in ["", "a\\nb"] {
        let problem = "must be a text that a header may hold; leave it out for komainu's own";
        assert_eq!(fault(&node(agent)), format!("komainu.toml: [node] user_agent: {problem}"));
    }
}
