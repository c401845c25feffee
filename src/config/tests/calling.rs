//! Ladders, and who is on them, as a file says them.

use super::*;

const CHANNEL: &str = "[[channel]]\nname = \"NAME\"\ntype = \"webhook\"\nurl = \"https://hooks.example.com/NAME\"\n";

const CALLING: &str = r#"
[[person]]
name = "ada"
channels = ["phone"]
[[rotation]]
name = "week"
people = ["ada"]
begins_on = "2026-01-05"
time_zone = "Europe/Berlin"
overrides = [{ from = "2026-12-24T09:00:00+01:00", until = "2026-12-27T09:00:00+01:00", person = "ada" }]
[[ladder]]
name = "night"
steps = [{ rotation = "week" }, { after = "10m", people = ["ada"], channels = ["ops"] }]
repeat = "1h"
ack_timeout = "2h"
[[route]]
channels = ["ops"]
ladder = "night"
"#;

fn with(calling: &str) -> String {
    let channels = ["ops", "phone"].map(|name| CHANNEL.replace("NAME", name)).concat();
    format!("{GOOD}{channels}{calling}")
}

#[test]
fn a_ladder_is_read_with_whom_it_calls_and_shown_as_it_is_read() {
    let config = Folder::with(&with(CALLING)).load().unwrap();
    let ladder = &config.on_call.ladders["night"];
    assert_eq!(ladder.times.afters, [0, 600].map(Duration::from_secs));
    assert_eq!(config.on_call.of_routes, [Some("night".to_owned())]);
    let now = komainu_watchdogs::time::Wall(1_800_000_000_000);
    assert_eq!(Vec::from_iter(config.on_call.reached("night", 0, now)), ["phone"]);
    assert_eq!(Vec::from_iter(config.on_call.reached("night", 1, now)), ["ops", "phone"]);
    let shown = config.effective();
    for line in [
        "ladder = \"night\"",
        "begins_on = \"2026-01-05\"",
        "handover = \"09:00\"",
        "after = \"10m\"",
        "ack_timeout = \"2h\"",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn what_is_wrong_with_a_ladder_is_said_with_its_name_and_key() {
    let two = "steps = [{ after = \"10m\", people = [\"ada\"] }, { people = [\"ada\"] }]";
    let steps = "steps = [{ rotation = \"week\" }, { after = \"10m\", people = [\"ada\"], channels = [\"ops\"] }]";
    for (line, becomes, said) in [
        (
            "ladder = \"night\"",
            "ladder = \"day\"",
            "[[route]] #1 ladder: no [[ladder]] has the name \"day\"; there are night",
        ),
        (
            "{ rotation = \"week\" }",
            "{ rotation = \"day\" }",
            "[[ladder]] night steps.rotation: no [[rotation]] has the name \"day\"; there are week",
        ),
        ("{ rotation = \"week\" }", "{ }", "[[ladder]] night steps: each must name channels, people or a rotation"),
        (steps, two, "[[ladder]] night steps.after: counts from the opening: no step comes before the one above it"),
        ("repeat = \"1h\"", "repeat = \"1s\"", "[[ladder]] night repeat: must be 1m to 7d"),
        (
            "channels = [\"phone\"]",
            "channels = [\"fax\"]",
            "[[person]] ada channels: no [[channel]] has the name \"fax\"; there are ops, phone",
        ),
        (
            "people = [\"ada\"]\nbegins_on",
            "people = [\"bob\"]\nbegins_on",
            "[[rotation]] week people: no [[person]] has the name \"bob\"; there are ada",
        ),
        ("\"2026-01-05\"", "\"monday\"", "[[rotation]] week begins_on: write a date as 2026-01-05"),
        ("Europe/Berlin", "Berlin", "[[rotation]] week time_zone: write it as Europe/Berlin"),
        (
            "2026-12-27T",
            "2026-12-23T",
            "[[rotation]] week overrides: write from and until as 2026-03-01T09:00:00+01:00, until after from",
        ),
    ] {
        assert!(CALLING.contains(line), "{line}");
        let fault = fault(&with(&CALLING.replace(line, becomes)));
        assert!(fault.contains(said), "{said}: {fault}");
    }
}
