//! A mail server of aiosmtpd, with a certificate of its own authority. It ends with the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use komainu_notifiers::mail::Authorities;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Debian's own: the one that `python3-aiosmtpd` is installed for.
const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vendors/smtpd.py");

/// A cold interpreter on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct MailServer {
    pub(crate) smtps: u16,
    pub(crate) starttls: u16,
    pub(crate) plain: u16,
    authority: String,
    folder: TempDir,
    /// Its standard input keeps it alive; dropping it ends it.
    _process: Child,
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let authority = certified.cert.pem();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, &authority).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let process = Command::new(PYTHON)
            .args([Path::new(SCRIPT), &certificate, &key, folder.path()])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ports = appeared(&folder.path().join("ports")).await;
        let [smtps, starttls, plain] =
            ports.split(' ').map(|port| port.parse().unwrap()).collect::<Vec<u16>>().try_into().unwrap();
        Self { smtps, starttls, plain, authority, folder, _process: process }
    }

    pub(crate) fn authorities(&self) -> Authorities {
        Authorities::parse(self.authority.as_bytes()).unwrap()
    }

    /// All mails that it took: envelope sender, recipients and protection in the first three lines, then the mail.
    pub(crate) fn taken(&self) -> Vec<String> {
        let file = |number: u32| -> PathBuf { self.folder.path().join(format!("{number}.eml")) };
        (1..).map_while(|number| std::fs::read_to_string(file(number)).ok()).collect()
    }
}

/// The text of a file, once there is one.
async fn appeared(file: &Path) -> String {
    let look = async {
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(START_LIMIT, look).await.expect("the mail server starts")
}
