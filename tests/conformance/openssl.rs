//! Servers of OpenSSL's own, for what rustls does not speak and certificates that it does not read.
//!
//! Where no `openssl` is installed, the cases that need one are left out, and it is said.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::target::Served;

/// Stands before what a case calls such a server.
const MARK: &str = "openssl: ";

/// By name: how its key and certificate are made, and what the server is told.
const SERVERS: [(&str, &str, &str); 9] = [
    ("CBC alone", "rsa:2048", "-tls1_2 -cipher ECDHE-RSA-AES128-SHA256"),
    ("RSA key exchange alone", "rsa:2048", "-tls1_2 -cipher AES128-GCM-SHA256"),
    ("X.509 v1", "v1", ""),
    ("a short RSA key", "rsa:1024", "-cipher DEFAULT@SECLEVEL=0"),
    ("a P-521 key", "ec -pkeyopt ec_paramgen_curve:secp521r1", ""),
    ("an unknown critical extension", "rsa:2048 -addext 1.2.3.4=critical,DER:0500", ""),
    ("a client's certificate is wanted", "rsa:2048", "-tls1_2 -Verify 1"),
    ("Camellia alone", "rsa:2048", "-tls1_2 -cipher CAMELLIA128-SHA"),
    ("TLS 1.0 alone", "rsa:2048", "-tls1 -cipher DEFAULT@SECLEVEL=0"),
];

/// Whether a case needs one of these.
pub(crate) fn is_meant(shown: &str) -> bool {
    shown.starts_with(MARK)
}

pub(crate) fn is_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok())
}

/// Its certificate, which vouches for itself.
pub(crate) fn certificate(shown: &str) -> String {
    std::fs::read_to_string(made(shown).join("certificate.pem")).unwrap()
}

/// Listens until it is ended.
pub(crate) async fn serve(shown: &str) -> Served {
    let folder = made(shown);
    let mut server = tokio::process::Command::new("openssl");
    server.args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", "certificate.pem", "-key", "key.pem"]);
    server.args(found(shown).2.split_whitespace());
    let server = server.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = server.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("it says where it listens");
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.parse().unwrap();
        }
    };
    let server = tokio::spawn(async move {
        while lines.next_line().await.is_ok_and(|line| line.is_some()) {}
        server.wait().await
    });
    (address, Some(server.abort_handle()))
}

fn found(shown: &str) -> (&'static str, &'static str, &'static str) {
    let name = shown.strip_prefix(MARK).unwrap();
    *SERVERS.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("there is no server {name}"))
}

/// The folder with its key and certificate.
fn made(shown: &str) -> PathBuf {
    static ALL: OnceLock<tempfile::TempDir> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let all = tempfile::tempdir().unwrap();
        for (name, how, _) in SERVERS {
            let folder = all.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let make = |arguments: &str| {
                let openssl = Command::new("openssl").args(arguments.split_whitespace()).current_dir(&folder).output();
                let output = openssl.unwrap();
                assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            };
            if how == "v1" {
                make("req -new -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost");
                std::fs::write(folder.join("none"), "").unwrap();
                make("x509 -req -in request.pem -signkey key.pem -days 365 -extfile none -out certificate.pem");
            } else {
                make(&format!(
                    "req -x509 -newkey {how} -nodes -keyout key.pem -out certificate.pem -days 365 -subj /CN=localhost \
                     -addext subjectAltName=DNS:localhost"
                ));
            }
        }
        all
    });
    all.path().join(found(shown).0)
}
