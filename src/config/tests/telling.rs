//! Who is told, and how: channels, routes, the dead man's switch and fixed secrets.

use komainu_notifiers::slack::Access;
use komainu_notifiers::{Settings, mail};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::routing::GROUP_WAIT;

use super::*;

const TELLING: &str = r#"
[[channel]]
name = "ops"
type = "slack"
webhook_url_file = "slack.url"
fallback = "mail"
[[channel]]
name = "bot"
type = "slack"
bot_token = "xoxb-hunter2"
channel = "C0123456789"
[[channel]]
name = "mail"
type = "mail"
smtp = "smtps://komainu@example.com@mail.example.com"
password_file = "mail.password"
from = "Komainu <komainu@example.com>"
to = ["ops@example.com"]
[[channel]]
name = "phone"
type = "pushbullet"
token = "o.hunter2"
[[channel]]
name = "hook"
type = "webhook"
url = "https://example.com/hunter2"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[[channel]]
name = "push"
type = "template"
preset = "ntfy"
values = { topic = "ops-8f3a" }
secret_files = { token = "ntfy.token" }
[[route]]
match = { kind = "heartbeat", severity = "critical", tag = "shop", key = "heartbeat/*" }
channels = ["ops", "phone"]
group_wait = "2s"
repeat = "4h"
[[route]]
channels = ["mail"]
[deadman]
url = "https://hc-ping.com/hunter2"
[[heartbeat]]
name = "legacy-backup"
secret_file = "legacy.secret"
"#;

fn folder(telling: &str) -> Folder {
    let folder = Folder::with(&format!("{GOOD}{telling}"));
    folder.write("slack.url", "https://hooks.slack.com/services/T0/B0/hunter2\n");
    folder.write("mail.password", "hunter2 with blanks\n");
    folder.write("legacy.secret", "hunter2-hunter2\n");
    folder.write("ntfy.token", "tk_hunter2\n");
    folder
}

/// The settings above with one line changed.
fn told_after(line: &str, becomes: &str) -> String {
    assert!(TELLING.contains(line), "{line}");
    folder(&TELLING.replacen(line, becomes, 1)).load().map(|config| config.effective()).unwrap_err()
}

#[test]
fn channels_routes_and_fixed_secrets_are_read() {
    let config = folder(TELLING).load().unwrap();
    let names: Vec<&str> = config.channels.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!(names, ["ops", "bot", "mail", "phone", "hook", "push"]);
    assert_eq!(config.routing.channels, names);
    assert_eq!(config.channels[0].fallback.as_deref(), Some("mail"));
    let Settings::Slack(slack) = &config.channels[0].settings else { panic!("{:?}", config.channels[0]) };
    let Access::Webhook { url } = &slack.access else { panic!("{slack:?}") };
    assert_eq!(url.reveal().as_str(), "https://hooks.slack.com/services/T0/B0/hunter2");
    let [first, second] = config.routing.routes.as_slice() else { panic!("{:?}", config.routing) };
    assert_eq!((first.matcher.kind.as_deref(), first.matcher.severity), (Some("heartbeat"), Some(Severity::Critical)));
    assert_eq!((first.group_wait, first.repeat), (Duration::from_secs(2), Some(Duration::from_secs(4 * 3_600))));
    assert_eq!((second.group_wait, second.repeat), (GROUP_WAIT, None));
    assert_eq!(config.deadman.unwrap().interval, Duration::from_secs(60));
    assert_eq!(config.heartbeat_secrets["legacy-backup"].reveal(), "hunter2-hunter2");
}

#[test]
fn a_route_says_for_which_nodes_it_is_at_which_hours_and_whether_others_go_on() {
    let night = "[[route]]\nmatch = { node = \"eu-*\" }\nchannels = [\"phone\"]\ncontinue = false\n\
         active = [\"22:00-07:00 Europe/Berlin\", \"Sat-Sun 00:00-24:00 Europe/Berlin\"]\n\
         [[route]]\nchannels = [\"bot\"]\nactive = \"Mon-Fri 09:00-18:00 UTC\"\ncontinue = true\n[[route]]\nchannels = [\"mail\"]\n";
    let config = folder(&TELLING.replacen("[[route]]\nchannels = [\"mail\"]\n", night, 1)).load().unwrap();
    let [_, eu, office, all] = config.routing.routes.as_slice() else { panic!("{:?}", config.routing) };
    assert_eq!((eu.matcher.node.as_deref(), eu.hours.len(), eu.is_last), (Some("eu-*"), 2, true));
    assert_eq!((office.hours.len(), office.is_last, all.hours.len(), all.is_last), (1, false, 0, false));
    let shown = config.effective();
    for line in [
        "node = \"eu-*\"",
        "\"22:00-07:00 Europe/Berlin\"",
        "\"Sat,Sun 00:00-24:00 Europe/Berlin\"",
        "\"Mon,Tue,Wed,Thu,Fri 09:00-18:00 UTC\"",
        "continue = false",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn a_mail_server_is_read_with_its_user_its_port_and_its_protection() {
    let server = |line: &str| {
        let smtp = "smtp = \"smtps://komainu@example.com@mail.example.com\"";
        let config = folder(&TELLING.replacen(smtp, line, 1)).load().unwrap();
        let Settings::Mail(mail) = &config.channels[2].settings else { panic!("{:?}", config.channels[2]) };
        let login = mail.login.as_ref().unwrap();
        assert_eq!(login.password.reveal(), "hunter2 with blanks");
        (login.user.clone(), mail.server.host.clone(), mail.server.port, mail.server.tls)
    };
    let expect = |user: &str, host: &str, port, tls| (user.to_owned(), host.to_owned(), port, tls);
    for (line, expected) in [
        ("smtp = \"smtps://k@example.com@mx\"", expect("k@example.com", "mx", 465, mail::Tls::Wrapped)),
        ("smtp = \"smtps://k%40example.com@mx:8465\"", expect("k@example.com", "mx", 8465, mail::Tls::Wrapped)),
        ("smtp = \"smtp://k@m\u{fc}x\"", expect("k", "xn--mx-xka", 587, mail::Tls::StartTls)),
        ("smtp = \"smtp://k@mx\"", expect("k", "mx", 587, mail::Tls::StartTls)),
        ("smtp = \"smtp://k@mx:587?tls=required\"", expect("k", "mx", 587, mail::Tls::StartTls)),
        ("smtp = \"smtp://k+x@[::1]:25\"\ntls = \"none\"", expect("k+x", "::1", 25, mail::Tls::None)),
    ] {
        assert_eq!(server(line), expected, "{line}");
    }
}

/// A line of the settings above, what becomes of it, and what is then said.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "type = \"slack\"",
        "type = \"teams\"",
        "[[channel]] ops type: \"teams\" is not one of slack, mail, pushbullet, webhook, template",
    ),
    ("type = \"slack\"", "", "[[channel]] ops type: is missing"),
    ("name = \"ops\"\n", "", "[[channel]] #1 name: is missing"),
    ("name = \"bot\"", "name = \"ops\"", "[[channel]] ops name: two channels have this name"),
    (
        "name = \"bot\"",
        "name = \"a b\"",
        "[[channel]] a b name: must be 1 to 50 letters, digits, dots, dashes or underscores",
    ),
    (
        "webhook_url_file",
        "webhook_file",
        "[[channel]] ops webhook_file: unknown key; known keys are name, type, fallback, answers, time_zone, drill, weekly, webhook_url, webhook_url_file, bot_token, bot_token_file, channel, api_url",
    ),
    (
        "webhook_url_file = \"slack.url\"",
        "",
        "[[channel]] ops webhook_url_file: is missing: an incoming webhook's URL; or bot_token_file and channel",
    ),
    (
        "\"slack.url\"",
        "\"no.url\"",
        "[[channel]] ops webhook_url_file: cannot read no.url: No such file or directory (os error 2)",
    ),
    (
        "channel = \"C0123456789\"",
        "",
        "[[channel]] bot channel: is missing: the channel's id (C0123456789) or name (#ops)",
    ),
    (
        "fallback = \"mail\"",
        "fallback = \"male\"",
        "[[channel]] ops fallback: no [[channel]] has the name \"male\"; there are bot, hook, mail, ops, phone, push",
    ),
    (
        "fallback = \"mail\"",
        "fallback = \"ops\"",
        "[[channel]] ops fallback: must be another channel than the one that fails",
    ),
    (
        "smtps://komainu@example.com@mail.example.com",
        "smtps://komainu:hunter2@mail.example.com",
        "[[channel]] mail smtp: holds a password; move it to password_file",
    ),
    (
        "smtps://",
        "imap://",
        "[[channel]] mail smtp: must begin with smtps:// or smtp://; write smtps://user@host:465 or smtp://user@host:587",
    ),
    (
        "smtps://komainu@example.com@mail.example.com",
        "smtp://komainu@mail.example.com?tls=opportunistic",
        "[[channel]] mail smtp: takes ?tls=required or ?tls=none, nothing else after the port",
    ),
    ("password_file = \"mail.password\"", "", "[[channel]] mail password_file: is missing: smtp names a user"),
    ("to = [\"ops@example.com\"]", "to = []", "[[channel]] mail to: names nobody; write to = [\"ops@example.com\"]"),
    (
        "to = [\"ops@example.com\"]",
        "to = [\"ops@example.com\"]\nca_file = \"slack.url\"",
        "[[channel]] mail ca_file: slack.url: holds no certificate; it must begin with -----BEGIN CERTIFICATE-----",
    ),
    (
        "token = \"o.hunter2\"",
        "token = \"o.hunter2\"\ndevice = \"d\"\nemail = \"e@example.com\"",
        "[[channel]] phone device: device, email and channel_tag are targets; keep one",
    ),
    ("token = \"o.hunter2\"", "token = 5", "[[channel]] phone token: must be a string"),
    (
        "url = \"https://example.com/hunter2\"",
        "url = \"example.com/hunter2\"",
        "[[channel]] hook url: relative URL without a base; write https://host/path",
    ),
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "hunter2",
        "[[channel]] hook secret: must be whsec_ and 24 to 64 bytes in base64, for example of: echo whsec_$(openssl rand -base64 32)",
    ),
    (
        "preset = \"ntfy\"",
        "preset = \"nfty\"",
        "[[channel]] push preset: there is none called \"nfty\"; there are alertmanager, discord, gotify, matrix, ntfy, pagerduty, teams, telegram",
    ),
    (
        "values = { topic = \"ops-8f3a\" }",
        "",
        "[[channel]] push values.topic: is missing: the topic; on a server that everybody may read, one that nobody guesses",
    ),
    (
        "\"ntfy.token\"",
        "\"no.token\"",
        "[[channel]] push secret_files.token: cannot read no.token: No such file or directory (os error 2)",
    ),
    (
        "preset = \"ntfy\"",
        "preset = \"ntfy\"\nsecrets = { token = \"tk_hunter2\" }",
        "[[channel]] push secret_files.token: secrets.token is given too; keep one",
    ),
    ("preset = \"ntfy\"", "preset = \"ntfy\"\nsecrets = \"tk_hunter2\"", "[[channel]] push secrets: must be a map"),
    (
        "preset = \"ntfy\"",
        "preset = \"ntfy\"\ntime_zone = \"Europe/Berlni\"",
        "[[channel]] push time_zone: failed to find time zone `Europe/Berlni` in time zone database; write Europe/Berlin",
    ),
    (
        "preset = \"ntfy\"",
        "preset = \"ntfy\"\nsecrets = { pin = 4711 }",
        "[[channel]] push secrets.pin: must be a string",
    ),
    (
        "preset = \"ntfy\"",
        "preset = \"ntfy\"\njson = \"{{ headlin }}\"",
        "[[channel]] push json: nothing is called \"headlin\"; there are id, cluster, headline, tone, is_over, is_digest, counts, more, lines, text, remarks, doubt, late_by_s, late_why, items, item, runbook_url, link, now, now_s, values, secrets, body (body in headers only)",
    ),
    (
        "channels = [\"mail\"]",
        "channels = [\"male\"]",
        "[[route]] #2 channels: no [[channel]] has the name \"male\"; there are ops, bot, mail, phone, hook, push",
    ),
    ("channels = [\"mail\"]", "channels = []", "[[route]] #2 channels: names no channel"),
    (
        "kind = \"heartbeat\"",
        "kind = \"hartbeat\"",
        "[[route]] #1 match.kind: \"hartbeat\" is not one of node, nodes, progress, watchdog, leader, capacity, disagreement, isolation, foreign-runner, clock, database, servers, pushes, upkeep, heartbeat, monitor, certificate, check, partial, checks, channel, silence, aside",
    ),
    (
        "severity = \"critical\"",
        "severity = \"bad\"",
        "[[route]] #1 match.severity: \"bad\" is not one of critical, warning",
    ),
    ("tag = ", "tags = ", "[[route]] #1 match.tags: unknown key; known keys are kind, severity, tag, key, node"),
    ("repeat = \"4h\"", "repeat = \"1s\"", "[[route]] #1 repeat: must be at least 1m"),
    (
        "group_wait = \"2s\"",
        "group_wait = \"1h\"",
        "[[route]] #1 group_wait: must be at most 5m: what waits is not told yet",
    ),
    (
        "[[route]]\nchannels = [\"mail\"]\n",
        "",
        "[routing] unmatched: nobody would hear of any kind: add a [[route]] without match and active, whose channels hear of everything, or write unmatched = \"drop\"",
    ),
    (
        "[[route]]\nchannels = [\"mail\"]\n",
        "[[route]]\nmatch.severity = \"critical\"\nchannels = [\"mail\"]\n",
        "[routing] unmatched: nobody would hear of any kind as a warning: add a [[route]] without match and active, whose channels hear of everything, or write unmatched = \"drop\"",
    ),
    ("[deadman]", "[routing]\nunmatched = \"tell\"\n[deadman]", "[routing] unmatched: \"tell\" is not one of drop"),
    (
        "[[heartbeat]]",
        "[heartbeat]",
        "[heartbeat]: there may be several of them, so each begins with double brackets: [[heartbeat]]",
    ),
    (
        "name = \"legacy-backup\"",
        "name = \"-backup\"",
        "[[heartbeat]] -backup name: must be 1 to 100 letters, digits, dots, dashes or underscores, a letter or digit first",
    ),
    (
        "secret_file = \"legacy.secret\"",
        "secret = \"short\"",
        "[[heartbeat]] legacy-backup secret: has 5 characters, it needs at least 8",
    ),
    (
        "url = \"https://hc-ping.com/hunter2\"",
        "",
        "[deadman] url_file: is missing: a file with the address to ping; or say it as url",
    ),
    (
        "url = \"https://hc-ping.com/hunter2\"",
        "url = \"https://hc-ping.com/hunter2\"\ninterval = \"1s\"",
        "[deadman] interval: must be at least 5s",
    ),
    (
        "repeat = \"4h\"",
        "active = \"22:00-07:00\"",
        "[[route]] #1 active: \"22:00-07:00\" must be like \"22:00-07:00 Europe/Berlin\" or \"Mon-Fri 09:00-18:00 Europe/Berlin\"",
    ),
    (
        "repeat = \"4h\"",
        "active = \"22:00-07:00 Europe/Nowhere\"",
        "[[route]] #1 active: \"22:00-07:00 Europe/Nowhere\": there is no time zone \"Europe/Nowhere\"; write it as Europe/Berlin",
    ),
    (
        "[[route]]\nchannels = [\"mail\"]",
        "[[route]]\nactive = \"00:00-24:00 UTC\"\nchannels = [\"mail\"]",
        "[routing] unmatched: nobody would hear of any kind: add a [[route]] without match and active, whose channels hear of everything, or write unmatched = \"drop\"",
    ),
];

#[test]
fn each_fault_of_an_entry_names_the_entry() {
    for (line, becomes, expected) in FAULTS {
        let told = told_after(line, becomes);
        assert_eq!(told, format!("komainu.toml: {expected}"), "after {becomes}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn what_no_route_matches_is_dropped_only_where_somebody_says_so() {
    let narrow = TELLING.replacen("[[route]]\nchannels = [\"mail\"]\n", "", 1);
    let said = narrow.replacen("[deadman]", "[routing]\nunmatched = \"drop\"\n[deadman]", 1);
    let config = folder(&said).load().unwrap();
    assert!(config.drops_unmatched && config.effective().contains("[routing]\nunmatched = \"drop\""));
    assert_eq!(config.unheard().as_deref(), Some("any kind"), "a tag or a part of the keys is not all of a kind");
    let most = "[[route]]\nmatch.kind = \"node\"\nchannels = [\"mail\"]\n\
         [[route]]\nmatch.severity = \"critical\"\nchannels = [\"mail\"]\n[routing]\nunmatched = \"drop\"\n[deadman]";
    let unheard = folder(&narrow.replacen("[deadman]", most, 1)).load().unwrap().unheard().unwrap();
    assert!(
        unheard.starts_with("nodes, progress,") && unheard.ends_with("channel, silence, aside as a warning"),
        "{unheard}"
    );
    assert_eq!(folder(TELLING).load().unwrap().unheard(), None);
}

#[test]
fn the_faults_of_all_entries_are_told_at_once() {
    let told =
        folder(&TELLING.replace("webhook_url_file", "x").replace("secret = ", "y = ").replace("4h", "4x")).load();
    let told = told.map(|config| config.effective()).unwrap_err();
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[test]
fn the_effective_settings_show_channels_without_their_secrets() {
    let shown = folder(TELLING).load().unwrap().effective();
    assert!(!shown.contains("hunter2") && !shown.contains("MfKQ9r8"), "{shown}");
    for line in [
        "[[channel]]",
        "webhook_url = \"(set)\"",
        "smtp = \"smtps://komainu@example.com@mail.example.com:465\"",
        "channels = [\"ops\", \"phone\"]",
        "repeat = \"4h\"",
        "interval = \"1m\"",
        "name = \"legacy-backup\"",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

/// Its channels and routes alone, as somebody would begin with them.
#[test]
fn what_the_readme_shows_of_telling_leaves_nothing_to_nobody() {
    let readme = include_str!("../../../README.md");
    let (_, telling) = readme.split_once("## Tell people").unwrap();
    let block = telling.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let config = folder(&format!("\n{block}")).load().unwrap();
    assert_eq!((config.channels.len(), config.routing.routes.len(), config.unheard()), (2, 2, None));
}

/// All TOML of the document, as one configuration.
#[test]
fn what_the_document_about_channels_shows_is_a_configuration() {
    let document = include_str!("../../../docs/channels.md");
    let blocks: Vec<&str> =
        document.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block)).collect();
    let folder = folder(&format!("\n{}", blocks.join("\n")));
    folder.write("slack.token", "xoxb-1");
    folder.write("pushbullet.token", "o.1");
    for (name, text) in [
        ("hook.url", "https://example.com/hook"),
        ("telegram.token", "123456:ABC"),
        ("teams.url", "https://example.com/workflow"),
        ("discord.url", "https://discord.com/api/webhooks/1/x"),
        ("pagerduty.key", "0123456789abcdef0123456789abcdef"),
        ("gotify.token", "A.x"),
        ("matrix.token", "syt_x"),
        ("wecom.key", "x"),
    ] {
        folder.write(name, text);
    }
    folder.write("hook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let config = folder.load().unwrap();
    assert_eq!((config.channels.len(), config.routing.routes.len()), (15, 6));
}

#[test]
fn no_debug_form_shows_a_secret() {
    let shown = format!("{:?}", folder(TELLING).load().unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}
