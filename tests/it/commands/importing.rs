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
