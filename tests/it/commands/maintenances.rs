//! Maintenance windows by hand.

use super::CommandLine;

#[tokio::test]
async fn a_maintenance_lives_its_life_on_the_command_line() {
    let cli = CommandLine::start().await;
    let add =
        ["maintenances", "add", "disks", "--title", "New disks", "--on", "monitor/1", "tag/db", "--duration", "2h"];
    let added = cli.said(&add).await;
    assert!(added.starts_with("disks: active, "), "{added}");
    let (code, complaint) = cli.refused(&add).await;
    assert!(code == 1 && complaint.contains("there is a maintenance disks already"), "{complaint}");
    let again = ["--cron", "0 23 * * 6", "--lasts", "4h", "--time-zone", "Europe/Berlin", "--public-title", "Works"];
    cli.said(&[&["maintenances", "add", "patches", "--title", "x", "--on", "node/node1"][..], &again].concat()).await;
    let listed = cli.said(&["maintenances", "list"]).await;
    assert!(listed.contains("monitor/1 tag/db") && listed.contains("again 0 23 * * 6 Europe/Berlin"), "{listed}");
    cli.said(&["maintenances", "edit", "patches", "--public-title", "", "--lasts", "2h"]).await;
    let shown = cli.json(&["maintenances", "show", "patches"]).await;
    assert_eq!((&shown["lasts_s"], &shown["public_title"]), (&7_200.into(), &serde_json::Value::Null), "{shown}");
    assert!(cli.said(&["maintenances", "end", "disks"]).await.contains("expired, over"));
    assert!(!cli.said(&["maintenances", "list"]).await.contains("disks"));
    assert!(cli.said(&["maintenances", "list", "--all"]).await.contains("disks"));
    assert_eq!(cli.said(&["maintenances", "delete", "disks", "patches"]).await.lines().count(), 2);
}
