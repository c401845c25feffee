//! A backup of Kuma 1.x becomes monitors; what UptimeRobot has becomes checks.

use std::time::Duration;

use komainu::clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::CommandLine;
use super::robot::{KEY, Robot, Trouble};

const BACKUP: &str = include_str!("../fixtures/kuma/backup-1.23.16.json");
/// Of its 15 monitors two need what no backup holds.
const REFUSED: [&str; 2] = ["cannot import Registry", "cannot import Behind the proxy"];

#[tokio::test]
async fn a_backup_is_imported_as_a_whole_or_not_at_all_and_once() {
    let cli = CommandLine::start().await;
    cli.write("backup.json", BACKUP);
    let before = cli.json(&["monitors", "list"]).await.as_array().unwrap().len();
    let (code, complaint) = cli.refused(&["monitors", "import", "backup.json"]).await;
    assert!(code == 1 && complaint.contains("nothing was imported"), "{complaint}");
    let would = cli.said(&["monitors", "import", "backup.json", "--dry-run"]).await;
    assert!(REFUSED.iter().all(|words| would.contains(words)), "{would}");
    assert_eq!(cli.json(&["monitors", "list"]).await.as_array().unwrap().len(), before);

    let imported = cli.json(&["monitors", "import", "backup.json", "--skip-invalid"]).await;
    let made = usize::try_from(imported["created"].as_u64().unwrap()).unwrap();
    let refused = imported["refused"].as_array().unwrap();
    assert_eq!(made + refused.len(), 15, "{imported}");
    assert!(would.ends_with(&format!("{made} would be imported, {} cannot be imported\n", refused.len())), "{would}");
    assert_eq!(cli.json(&["monitors", "list"]).await.as_array().unwrap().len(), before + made);

    let group = cli.json(&["monitors", "show", "kuma-backup/4"]).await;
    let front = cli.json(&["monitors", "show", "kuma-backup/1"]).await;
    assert_eq!((&front["parent"], &front["run_on"][0]), (&group["id"], &"eu".into()));
    cli.said(&["monitors", "edit", "kuma-backup/1", "--interval", "90s"]).await;
    let again = cli.json(&["monitors", "import", "backup.json", "--skip-invalid"]).await;
    assert_eq!((again["created"].as_u64(), again["kept"].as_u64()), (Some(0), imported["created"].as_u64()), "{again}");
    assert_eq!(cli.json(&["monitors", "show", "kuma-backup/1"]).await["interval"], 90);
    let updated = cli.json(&["monitors", "import", "backup.json", "--skip-invalid", "--update"]).await;
    assert_eq!(updated["updated"], 1, "{updated}");
}

const ROBOTS: &str = r#"{"stat": "ok", "monitors": [
  {"id": 1, "friendly_name": "My shop", "url": "https://shop.example.com/", "type": 1, "http_method": 2, "interval": 300, "status": 2},
  {"id": 2, "friendly_name": "Gate", "url": "gate.example.com", "type": 4, "sub_type": "99", "port": "22", "interval": 60, "status": 0},
  {"id": 3, "friendly_name": "Backup", "url": "x", "type": 5, "interval": 3600, "status": 2},
  {"id": 4, "friendly_name": "Metadata", "url": "http://169.254.169.254/", "type": 1, "interval": 300, "status": 2}
]}"#;

#[tokio::test]
async fn monitors_of_uptimerobot_become_checks_and_heartbeats_once() {
    let cli = CommandLine::start().await;
    cli.write("robot.json", ROBOTS);
    let line = ["import", "uptimerobot", "robot.json"];
    let dry = cli.said(&[&line[..], &["--dry-run"]].concat()).await;
    assert!(
        dry.contains("My shop -> check my-shop (new)") && dry.contains("Backup -> heartbeat backup (new)"),
        "{dry}"
    );
    assert!(dry.contains("cannot import Metadata: url: 169.254.169.254 is not looked at"), "{dry}");
    assert_eq!(cli.json(&["checks", "list"]).await.as_array().unwrap().len(), 0);
    let (code, complaint) = cli.refused(&line).await;
    assert!(code == 1 && complaint.contains("nothing was imported"), "{complaint}");
    let skipping = [&line[..], &["--skip-invalid", "--secrets-to", "secrets"]].concat();
    let done = cli.said(&skipping).await;
    assert!(done.contains("3 to import, 0 there already, 1 cannot be imported"), "{done}");
    let gate = cli.json(&["checks", "show", "gate"]).await;
    assert_eq!((&gate["port"], &gate["paused"], &gate["interval"]), (&22.into(), &true.into(), &60.into()));
    assert_eq!(cli.json(&["heartbeats", "show", "backup"]).await["period_s"], 3600);
    assert!(cli.folder.path().join("secrets/backup").is_file());
    cli.said(&["checks", "edit", "gate", "--port=2222"]).await;
    let again = cli.said(&skipping).await;
    assert!(again.contains("0 to import, 3 there already"), "{again}");
    assert_eq!(cli.json(&["checks", "show", "gate"]).await["port"], 2222);
    let updating = [&skipping[..], &["--update"]].concat();
    let updated = cli.said(&updating).await;
    assert_eq!(cli.json(&["checks", "show", "gate"]).await["port"], 22);
    assert!(
        updated.contains("Gate -> check gate (changed)") && updated.contains("1 to import, 2 there already"),
        "{updated}"
    );
    let nothing = cli.said(&updating).await;
    assert!(nothing.contains("0 to import, 3 there already") && !nothing.contains("(changed)"), "{nothing}");
}

/// As version 3 shows them.
fn robots(count: usize) -> Vec<Value> {
    let one = |number: usize| {
        json!({"id": 7_000 + number, "friendlyName": format!("Shop {number}"), "url": format!("https://shop{number}.example.com/"),
            "type": "HTTP", "status": "UP", "interval": 300, "timeout": 30, "httpMethodType": "GET", "authType": "NONE"})
    };
    (1..=count).map(one).collect()
}

fn fetching<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["import", "uptimerobot", "--uptimerobot-key-file", "robot.key", "--api", url], more].concat()
}

#[tokio::test]
async fn a_list_is_fetched_page_by_page_and_as_slowly_as_uptimerobot_says() {
    let (cli, robot) = (CommandLine::start().await, Robot::start(robots(120)).await);
    let url = robot.url();
    cli.write("robot.key", &format!("{KEY}\n"));
    robot.trouble([Trouble::Slow(1), Trouble::Slow(2)]);
    let began_at = clock::now();
    let dry = cli.said(&fetching(&url, &["--dry-run"])).await;
    assert!(dry.contains("120 would be imported, 0 there already, 0 cannot be imported"), "{dry}");
    assert!(clock::now().since(began_at) >= Duration::from_secs(3), "it waited as long as it was told to");
    assert_eq!(robot.asked(), ["0+50", "0+50", "0+50", "50+50", "100+50"]);
    let done = cli.said(&fetching(&url, &[])).await;
    assert!(done.contains("120 to import"), "{done}");
    assert_eq!(cli.json(&["checks", "list"]).await.as_array().unwrap().len(), 120);
    let shop = cli.json(&["checks", "show", "shop-120"]).await;
    assert_eq!((&shop["method"], &shop["interval"], &shop["timeout"]), (&"GET".into(), &300.into(), &30.0.into()));

    // The same account by version 2, whose answers were saved one after another.
    let mut saved = String::new();
    for offset in [0, 50, 100] {
        let form = format!("api_key={KEY}&format=json&offset={offset}&limit=50");
        let asked = reqwest::Client::builder().build().unwrap().post(format!("{url}v2/getMonitors")).body(form);
        let asked = asked.header("content-type", "application/x-www-form-urlencoded");
        saved += &asked.send().await.unwrap().text().await.unwrap();
    }
    cli.write("two.json", &saved);
    let again = cli.said(&["import", "uptimerobot", "two.json"]).await;
    assert!(again.contains("0 to import, 120 there already"), "{again}");
}

#[tokio::test]
async fn what_keeps_a_list_from_being_fetched_is_said_and_nothing_is_imported() {
    let (cli, robot) = (CommandLine::start().await, Robot::start(robots(60)).await);
    let url = robot.url();
    let refused = async || {
        let (code, complaint) = cli.refused(&fetching(&url, &[])).await;
        assert!(code == 1 && !complaint.contains(KEY), "{complaint}");
        complaint
    };
    cli.write("robot.key", "another-key");
    let complaint = refused().await;
    assert!(complaint.contains("401") && complaint.contains("is the key of robot.key right?"), "{complaint}");

    cli.write("robot.key", KEY);
    robot.trouble([Trouble::Slow(86_400)]);
    let complaint = refused().await;
    assert!(complaint.contains("no request for 86400 s") && !complaint.contains("right?"), "{complaint}");
    robot.trouble(std::iter::repeat_n(Trouble::Slow(0), 100));
    let complaint = refused().await;
    assert!(complaint.contains("takes no request"), "{complaint}");

    // Whoever writes the list may not send the key elsewhere.
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = format!("http://127.0.0.1:{}/v3/monitors", elsewhere.local_addr().unwrap().port());
    let asked = tokio::spawn(async move { elsewhere.accept().await.is_ok() });
    robot.trouble([Trouble::Next(there)]);
    let complaint = refused().await;
    assert!(complaint.contains("on another host, which does not get the key") && !asked.is_finished(), "{complaint}");

    let asked = robot.asked().len();
    robot.trouble([Trouble::Next(format!("{url}v3/monitors?limit=50"))]);
    let complaint = refused().await;
    assert!(complaint.contains("comes again") && robot.asked().len() - asked < 4, "{complaint}");

    robot.trouble([Trouble::Endless]);
    let complaint = refused().await;
    assert!(complaint.contains("is larger than"), "{complaint}");
    assert_eq!(cli.json(&["checks", "list"]).await.as_array().unwrap().len(), 0);
}
