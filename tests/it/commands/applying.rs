//! A file becomes what is there.

use super::CommandLine;

const SHOP: &str = "\
set: shop
defaults:
  monitors: {interval: 60}
monitors:
  front:
    name: Front
    type: http
    url: https://shop.example.com/
    basic_auth_user: probe
    basic_auth_pass: hidden
    accepted_statuscodes: ['200-299', '404']
    headers: {Accept: text/html}
    tags: [web, shop]
    parent: shop
  db: {name: Database, type: port, hostname: db.example.com, port: 3306, timeout: 5}
  shop: {name: Shop, type: group}
heartbeats:
  backup: {period: 24h, grace: 1h, tags: [db]}
";

const APPLY: [&str; 3] = ["apply", "-f", "komainu.yaml"];

fn apply<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&APPLY, more].concat()
}

#[tokio::test]
async fn a_file_is_applied_once_and_then_there_is_nothing_to_do() {
    let cli = CommandLine::start().await;
    cli.write("komainu.yaml", SHOP);
    let dry = cli.run(&apply(&["--dry-run", "--exit-code"])).await;
    let words = String::from_utf8(dry.stdout).unwrap();
    assert_eq!(dry.status.code(), Some(3), "{words}");
    assert!(words.contains("+ monitor front") && words.ends_with("4 would be created\n"), "{words}");
    assert!(!words.contains("hidden"), "{words}");
    assert_eq!(cli.json(&["heartbeats", "list"]).await.as_array().unwrap().len(), 0);

    let done = cli.said(&apply(&["--secrets-to", "secrets"])).await;
    assert!(done.ends_with("4 created\n"), "{done}");
    assert!(cli.folder.path().join("secrets/backup").is_file());
    let (front, shop) = (cli.json(&["monitors", "show", "front"]).await, cli.json(&["monitors", "show", "shop"]).await);
    assert_eq!((&front["parent"], &front["managed_by"]), (&shop["id"], &"apply/shop".into()));
    assert_eq!(cli.said(&apply(&["--prune"])).await, "nothing to do\n");

    cli.write("komainu.yaml", &SHOP.replace("port: 3306", "port: 3307").replace("hidden", "changed"));
    let changed = cli.said(&apply(&[])).await;
    assert!(changed.contains("    port: 3306 -> 3307\n") && changed.ends_with("2 changed\n"), "{changed}");
    assert!(changed.contains("    basic_auth_pass: (secret)\n"), "{changed}");
}

#[tokio::test]
async fn pruning_deletes_what_the_set_made_and_nothing_else() {
    let cli = CommandLine::start().await;
    cli.write("komainu.yaml", SHOP);
    cli.said(&apply(&[])).await;
    cli.said(&["monitors", "add", "--name=Mine", "--type=ping", "--hostname=127.0.0.1", "--ref=mine"]).await;
    cli.write("other.yaml", "set: other\nmonitors:\n  theirs: {name: Theirs, type: ping, hostname: 127.0.0.1}\n");
    cli.said(&["apply", "-f", "other.yaml"]).await;

    cli.write("komainu.yaml", "set: shop\nmonitors:\n  shop: {name: Shop, type: group}\n");
    assert_eq!(cli.said(&apply(&[])).await, "nothing to do\n");
    let pruned = cli.said(&apply(&["--prune"])).await;
    assert!(pruned.contains("- monitor db") && pruned.ends_with("2 deleted\n"), "{pruned}");
    for kept in ["mine", "theirs", "shop"] {
        cli.said(&["monitors", "show", kept]).await;
    }
    // The file has no section for heartbeats.
    cli.said(&["heartbeats", "show", "backup"]).await;
    cli.write("komainu.yaml", "set: shop\nmonitors:\n  theirs: {interval: 30}\n");
    let (code, complaint) = cli.refused(&apply(&["--prune"])).await;
    assert!(
        code == 1 && complaint.starts_with("komainu.yaml:3: monitors.theirs: belongs to apply/other"),
        "{complaint}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_line_and_nothing_is_done() {
    let cli = CommandLine::start().await;
    for (wrong, right, line) in [
        ("ulr: https://shop", "url: https://shop", "komainu.yaml:8: monitors.front.ulr: unknown field"),
        ("url: gopher://shop", "url: https://shop", "komainu.yaml:8: monitors.front.url: "),
        ("port: 99999", "port: 3306", "komainu.yaml:15: monitors.db.port: "),
    ] {
        cli.write("komainu.yaml", &SHOP.replace(right, wrong));
        for run in [apply(&["--dry-run"]), apply(&[])] {
            let (code, complaint) = cli.refused(&run).await;
            assert!(code == 1 && complaint.contains(line), "{complaint}");
        }
    }
    // The last thing that is written is judged before the first is.
    cli.write("komainu.yaml", &SHOP.replace("period: 24h", "period: 24h, cron: '0 4 * * *'"));
    for run in [apply(&["--dry-run"]), apply(&[])] {
        let (code, complaint) = cli.refused(&run).await;
        assert!(code == 1 && complaint.contains("komainu.yaml:18: heartbeats.backup."), "{complaint}");
    }
    assert_eq!(cli.json(&["monitors", "list", "--managed-by", "apply/shop"]).await.as_array().unwrap().len(), 0);
    cli.write("komainu.yaml", "monitors: {}\n");
    let (code, complaint) = cli.refused(&apply(&["--prune"])).await;
    assert!(code == 1 && complaint.contains("set: NAME"), "{complaint}");
}

const WATCHED: &str = "\
set: shop
defaults:
  checks: {interval: 20s, accepted_statuscodes: ['200']}
checks:
  front: {type: http, url: https://joe:s3@shop.example.com/, tags: [shop], headers: {X-Key: hidden}}
  gate:
    type: port
    hostname: gate.example.com
    port: 22
    quorum: all
";

#[tokio::test]
async fn checks_are_made_by_a_file_and_by_hand() {
    let cli = CommandLine::start().await;
    cli.write("komainu.yaml", WATCHED);
    let dry = cli.said(&apply(&["--dry-run"])).await;
    assert!(dry.contains("+ check front") && dry.ends_with("2 would be created\n") && !dry.contains("hidden"), "{dry}");
    assert!(cli.said(&apply(&[])).await.ends_with("2 created\n"));
    assert_eq!(cli.said(&apply(&["--prune"])).await, "nothing to do\n");
    cli.write("komainu.yaml", &WATCHED.replace("port: 22", "port: 0"));
    let (code, complaint) = cli.refused(&apply(&[])).await;
    assert!(code == 1 && complaint.starts_with("komainu.yaml:9: checks.gate.port: must be"), "{complaint}");
    cli.write("komainu.yaml", &WATCHED.replace("gate.example.com", "169.254.169.254"));
    let (_, complaint) = cli.refused(&apply(&[])).await;
    assert!(
        complaint.starts_with("komainu.yaml:8: checks.gate.hostname: 169.254.169.254 is not looked at"),
        "{complaint}"
    );

    let added =
        cli.json(&["checks", "add", "mine", "--type=ping", "--hostname=127.0.0.1", "--tags=own", "--quorum=2"]).await;
    assert_eq!((&added["quorum"], &added["state"]), (&2.into(), &"unknown".into()));
    let list = cli.said(&["checks", "list"]).await;
    assert!(
        list.contains("gate.example.com:22") && list.contains("not-shown@shop.example.com") && !list.contains("s3@"),
        "{list}"
    );
    assert!(
        cli.said(&["checks", "edit", "mine", "--interval=30s", "--set", "ping_count=2"])
            .await
            .contains("interval: 30\n")
    );
    assert_eq!(cli.said(&["checks", "pause", "mine", "gate"]).await, "paused mine\npaused gate\n");
    assert_eq!(cli.json(&["checks", "show", "gate"]).await["state"], "paused");
    assert_eq!(cli.said(&["checks", "resume", "--tag=own"]).await, "resumed mine\n");
    assert!(cli.said(&["checks", "show", "front", "--secrets"]).await.contains("hidden"));
    let shown = cli.said(&["checks", "show", "mine"]).await;
    assert!(shown.contains("\nuptime: 24h ") && shown.contains("WATCHDOG "), "{shown}");
    let tried = cli.said(&["checks", "try", "--type=port", "--hostname=127.0.0.1", "--port=1"]).await;
    assert!(tried.contains("refused") && tried.contains("\ndown: 1 of 1 watchdogs see it fail"), "{tried}");
    let (code, complaint) =
        cli.refused(&["checks", "try", "--type=port", "--hostname=169.254.169.254", "--port=1"]).await;
    assert!(code == 1 && complaint.contains("hostname: 169.254.169.254 is not looked at"), "{complaint}");
    let status = String::from_utf8(cli.run(&["status"]).await.stdout).unwrap();
    assert!(status.contains("\nchecks: "), "{status}");

    cli.write("komainu.yaml", "set: shop\nchecks:\n  front: {type: http}\n");
    let pruned = cli.said(&apply(&["--prune"])).await;
    assert!(pruned.contains("- check gate") && pruned.ends_with("1 deleted\n"), "{pruned}");
    assert_eq!(cli.said(&["checks", "delete", "mine"]).await, "deleted mine\n");
    let (code, complaint) = cli.refused(&["checks", "show", "mine"]).await;
    assert!(code == 1 && complaint.contains("there is no check mine"), "{complaint}");
    assert_eq!(cli.json(&["checks", "list"]).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_says_what_depends_on_what_it_makes_and_a_circle_is_told_by_its_line() {
    let cli = CommandLine::start().await;
    let dependencies = "dependencies:\n  monitor/front: {depends_on: [monitor/db, heartbeat/backup]}\n";
    cli.write("komainu.yaml", &format!("{SHOP}{dependencies}"));
    let done = cli.said(&apply(&[])).await;
    assert!(done.contains("+ dependency monitor/front") && done.ends_with("5 created\n"), "{done}");
    assert_eq!(cli.said(&apply(&[])).await, "nothing to do\n");
    let id = |monitor: serde_json::Value| monitor["id"].as_i64().unwrap();
    let (front, db) =
        (id(cli.json(&["monitors", "show", "front"]).await), id(cli.json(&["monitors", "show", "db"]).await));
    let listed = cli.json(&["dependencies", "list", "--on", "heartbeat/backup"]).await;
    assert_eq!(listed[0]["subject"], format!("monitor/{front}"));
    assert_eq!(listed[0]["depends_on"], serde_json::json!(["heartbeat/backup", format!("monitor/{db}")]));

    let circle = format!("{SHOP}{dependencies}  heartbeat/backup: {{depends_on: [monitor/front]}}\n");
    cli.write("komainu.yaml", &circle);
    let refused = cli.run(&apply(&["--dry-run"])).await;
    let words = String::from_utf8(refused.stderr).unwrap();
    let path = format!("heartbeat/backup depends on monitor/{front} depends on heartbeat/backup");
    assert!(words.contains("komainu.yaml:21: dependencies.") && words.contains(&path), "{words}");
    assert_eq!(refused.status.code(), Some(1));
    cli.said(&["dependencies", "clear", "monitor/front"]).await;
    assert_eq!(cli.json(&["dependencies", "list"]).await, serde_json::json!([]));
}
