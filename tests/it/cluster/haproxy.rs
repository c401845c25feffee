//! `HAProxy` before a Galera cluster, as docs/database.md shows it: all connections go to one server, and stay there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::ports::free_port;

/// Where Debian's package puts it.
pub(crate) const PROGRAM: &str = "/usr/sbin/haproxy";

/// The proxy; killed when dropped.
pub(crate) struct HaProxy {
    child: Child,
    port: u16,
}

impl HaProxy {
    /// Before these servers, its files in this folder.
    pub(crate) fn start(folder: &Path, servers: &[u16]) -> Self {
        Self::start_with(folder, servers, str::to_owned)
    }

    /// The same without the table: once the first server is back, who connects goes there, and all else stays where it is.
    pub(crate) fn start_without_table(folder: &Path, servers: &[u16]) -> Self {
        let is_table = |line: &&str| !line.trim_start().starts_with("stick");
        Self::start_with(folder, servers, |text| text.lines().filter(is_table).collect::<Vec<_>>().join("\n") + "\n")
    }

    fn start_with(folder: &Path, servers: &[u16], edit: impl Fn(&str) -> String) -> Self {
        let check = folder.join("is-synced");
        std::fs::write(&check, include_str!("../fixtures/galera/is-synced")).unwrap();
        std::fs::set_permissions(&check, std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_port();
        let text = edit(include_str!("../fixtures/galera/haproxy.cfg"));
        let text = text.replace("@bind@", &format!("127.0.0.1:{port}")).replace("@check@", &check.to_string_lossy());
        let servers: Vec<_> = servers
            .iter()
            .enumerate()
            .map(|(at, port)| {
                format!("    server g{} 127.0.0.1:{port} check{}", at + 1, if at == 0 { "" } else { " backup" })
            })
            .collect();
        let config = folder.join("haproxy.cfg");
        std::fs::write(&config, text.replace("    @servers@", &servers.join("\n"))).unwrap();
        let mut command = Command::new(PROGRAM);
        let child = command.args(["-db", "-f"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { child: child.unwrap(), port }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
