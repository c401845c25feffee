//! One monitor by hand.

use super::CommandLine;

#[tokio::test]
async fn a_monitor_lives_its_life_on_the_command_line() {
    let cli = CommandLine::start().await;
    let target = cli.cluster.url_of("w1", "/health");
    let added = cli
        .said(&[
            "monitors",
            "add",
            "--name",
            "Front",
            "--type=http",
            "--target",
            &target,
            "--ref=front",
            "--interval=1s",
            "--wait",
        ])
        .await;
    assert!(added.contains("Front") && added.contains("last beat: ") && added.contains("  up  "), "{added}");
    let listed = cli.said(&["monitors", "list", "--text", "Front", "--status", "up"]).await;
    assert!(listed.contains("front") && listed.lines().count() == 2, "{listed}");

    let edited = cli.said(&["monitors", "edit", "front", "--interval", "2s", "--tags", "shop"]).await;
    assert!(edited.contains("interval: 2\n") && edited.contains("tags: shop\n"), "{edited}");
    assert!(cli.said(&["monitors", "pause", "--tag", "shop"]).await.starts_with("paused"));
    assert_eq!(cli.json(&["monitors", "show", "Front"]).await["active"], false);
    cli.said(&["monitors", "resume", "front"]).await;
    let beats = cli.said(&["monitors", "beats", "front"]).await;
    assert!(beats.contains("STATUS") && beats.contains("up"), "{beats}");

    cli.said(&["monitors", "delete", "front"]).await;
    let (code, complaint) = cli.refused(&["monitors", "show", "front"]).await;
    assert!(code == 1 && complaint.contains("there is no monitor with the id, ref or name front"), "{complaint}");
}
