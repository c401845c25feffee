//! The commands of docs/compose.md, as they stand there.

use crate::stack::repository;

/// The blocks of shell under a heading, for Podman: "Everything else here is said with `podman` for `docker` …".
pub(super) fn blocks(heading: &str) -> Vec<String> {
    let page = std::fs::read_to_string(repository("docs/compose.md")).unwrap();
    let (_, section) = page.split_once(&format!("# {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fenced = section.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    fenced.map(for_podman).collect()
}

fn for_podman(block: &str) -> String {
    let lines = block.lines().map(str::trim_start);
    lines.map(|line| line.replace("docker compose", "podman-compose").replace("docker", "podman") + "\n").collect()
}
