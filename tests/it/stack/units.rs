//! The systemd units, by systemd's own judgement.

use std::process::Command;

use super::{refused, repository, words};

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_finds_nothing_wrong_with_the_units_of_the_stack() {
    let folder = tempfile::Builder::new().prefix("komainu-units-").tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let mut files = vec![];
    for entry in std::fs::read_dir(repository("compose/systemd")).unwrap() {
        let entry = entry.unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        // It looks whether what a unit starts is there.
        let text = text.replace("/usr/local/bin/komainu", env!("CARGO_BIN_EXE_komainu"));
        let text = text
            .replace("/usr/bin/node ", "/bin/sh ")
            .replace("/opt/uptime-kuma", place)
            .replace("/etc/komainu", place);
        let file = folder.path().join(entry.file_name());
        std::fs::write(&file, text).unwrap();
        files.push(file);
    }
    assert_eq!(files.len(), 4);
    for file in files {
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {}", file.display(), words(&output));
    }
}

#[test]
#[ignore = "needs systemd-analyze"]
fn what_a_program_could_reach_from_its_unit_is_little() {
    for program in ["komainu-watchdog", "komainu-node", "komainu-gateway", "uptime-kuma"] {
        let file = repository("compose/systemd").join(format!("{program}.service"));
        // Of ten; below three is "OK", and what is left is the network, which they are there for.
        let mut judge = Command::new("systemd-analyze");
        judge.args(["security", "--offline=true", "--threshold=30", "--no-pager"]).arg(&file);
        let output = judge.output().unwrap();
        assert!(output.status.success(), "{program}: {}", words(&output));
    }
}

#[test]
fn no_unit_runs_as_root_and_none_is_given_up() {
    for entry in std::fs::read_dir(repository("compose/systemd")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for line in [
            "DynamicUser=yes",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "Restart=always",
            "StartLimitIntervalSec=0",
        ] {
            assert!(text.lines().any(|own| own == line), "{}: {line}", path.display());
        }
        let secrets = text.lines().filter(|line| line.starts_with("LoadCredential="));
        assert!(secrets.count() > 0, "{}: secrets are credentials", path.display());
    }
}

#[test]
#[ignore = "needs Node.js"]
fn a_kuma_that_the_agent_does_not_know_is_not_started() {
    let unit = std::fs::read_to_string(repository("compose/systemd/uptime-kuma.service")).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStartPre=")).unwrap();
    let agent = repository("compose/kuma/komainu-agent.js");
    let agent = agent.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let line = line.replace("/usr/local/lib/komainu/kuma/komainu-agent.js", agent);
    let line = line.replace("/opt/uptime-kuma", folder.path().to_str().unwrap()).replace("/usr/bin/node", "node");
    let mut words = line.split(' ');
    let mut check = Command::new(words.next().unwrap());
    check.args(words).env("NODE_OPTIONS", format!("--require={agent}"));
    let (code, said) = refused(&mut check);
    assert!(code == 78 && !said.is_empty(), "{code}: {said}");
}
