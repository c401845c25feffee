//! A mail server of aiosmtpd, and what Python's own reader of mail makes of what came. It ends with the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::wait::wait_until;

/// Debian's own: the one that `python3-aiosmtpd` is installed for.
const PYTHON: &str = "/usr/bin/python3";

/// A cold interpreter on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Reads all mails as mail programs do: whom they were handed in for, headers, texts, and what is wrong with them.
const READER: &str = r#"
import email, email.policy, json, pathlib, sys
mails = []
for number in range(1, 1000):
    file = pathlib.Path(sys.argv[1]) / f"{number}.eml"
    if not file.exists():
        break
    sender, to, tls, raw = file.read_bytes().split(b"\n", 3)
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    defects = [str(one) for part in mail.walk() for one in part.defects]
    defects += [str(one) for value in mail.values() for one in value.defects]
    mails.append({"to": to.decode(), "headers": {name.lower(): str(value) for name, value in mail.items()},
        "names": [name.lower() for name in mail.keys()], "defects": defects,
        "text": mail.get_body(("plain",)).get_content(), "html": mail.get_body(("html",)).get_content()})
print(json.dumps(mails))
"#;

pub(crate) struct Mailbox {
    port: u16,
    folder: TempDir,
    /// Its standard input keeps it alive; dropping it ends it.
    _process: Child,
}

impl Mailbox {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("notifiers/tests/vendors/smtpd.py");
        let process = Command::new(PYTHON)
            .args([&script, &certificate, &key, &folder.path().to_path_buf()])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ports = folder.path().join("ports");
        wait_until("the mail server listens", LIMIT, async || ports.exists()).await;
        let ports = std::fs::read_to_string(ports).unwrap();
        let port = ports.split(' ').next_back().unwrap().parse().unwrap();
        Self { port, folder, _process: process }
    }

    /// What makes watchdogs hand in there what subscribers of pages are told.
    pub(crate) fn sections(&self) -> String {
        let port = self.port;
        format!(
            "[[channel]]\nname = \"customers\"\ntype = \"mail\"\nsmtp = \"smtp://localhost:{port}\"\ntls = \"none\"\n\
             from = \"Shop <status@example.com>\"\nto = [\"ops@example.com\"]\n\
             [pages]\nmail = \"customers\"\nprivate_webhooks = true\n"
        )
    }

    /// From now on a mail is taken, and nobody hears that it was.
    pub(crate) fn hold(&self) {
        std::fs::write(self.held(), "").unwrap();
    }

    /// It goes on.
    pub(crate) fn release(&self) {
        std::fs::remove_file(self.held()).unwrap();
    }

    fn held(&self) -> PathBuf {
        self.folder.path().join("hold")
    }

    /// Everything that came, in order.
    pub(crate) async fn mails(&self) -> Vec<Value> {
        let output = Command::new(PYTHON).args(["-c", READER]).arg(self.folder.path()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until there are so many.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Value> {
        let mut mails = vec![];
        wait_until(&format!("{count} mails came"), LIMIT, async || {
            mails = self.mails().await;
            mails.len() >= count
        })
        .await;
        mails
    }
}

/// The first link of a mail that leads to this deed of a page.
pub(crate) fn link(mail: &Value, deed: &str) -> String {
    let text = mail["text"].as_str().unwrap();
    let found = text.split_whitespace().find(|word| word.starts_with("http") && word.contains(deed));
    found.expect("the mail bears a link to this deed").to_owned()
}
