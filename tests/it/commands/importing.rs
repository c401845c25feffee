//! A backup of Kuma 1.x becomes monitors.

use super::CommandLine;

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
    cli.said(&[&skipping[..], &["--update"]].concat()).await;
    assert_eq!(cli.json(&["checks", "show", "gate"]).await["port"], 22);
}
