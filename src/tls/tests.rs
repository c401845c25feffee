use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use super::*;

const DAY: i64 = 86_400_000;

/// A folder with a CA, in which certificates are written.
pub(crate) struct Office {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Office {
    pub(crate) fn open() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        Self { folder, authority }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Writes a certificate for localhost, its number being this, and its key.
    pub(crate) fn issue(&self, name: &str, number: u64) -> OwnFiles {
        let (text, key) = self.made(number, 2099);
        let files = self.own(name);
        replace(&files.cert, &text);
        replace(&files.key, &key.serialize_pem());
        files
    }

    fn own(&self, name: &str) -> OwnFiles {
        let file = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        OwnFiles { cert: file("crt"), key: file("key") }
    }

    fn made(&self, number: u64, ends_in: i32) -> (String, KeyPair) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.serial_number = Some(number.into());
        params.not_after = rcgen::date_time_ymd(ends_in, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.authority).unwrap().pem(), key)
    }

    /// With everything: `w1` shows itself, trusts the CA, and asks peers for a certificate of it.
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        Credentials::open(self.files()).unwrap()
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { own: Some(self.issue("w1", 1)), ca: Some(self.ca()), client_ca: Some(self.ca()) }
    }
}

/// As somebody does who wants no reader to see half of it.
fn replace(file: &Path, text: &str) {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, file).unwrap();
}

fn shown(credentials: &Credentials) -> Vec<u8> {
    credentials.current().own.as_ref().unwrap().shown.cert[0].to_vec()
}

const NOW: Wall = Wall(1_800_000_000_000);

#[test]
fn what_is_broken_changes_nothing_and_is_named_once_a_second_look_finds_it() {
    let office = Office::open();
    let credentials = office.credentials();
    let before = shown(&credentials);
    let own = office.own("w1");
    for (file, text, problem) in [
        (&own.cert, "no certificate", "holds no certificate"),
        (&own.key, "no key", "holds no private key in PEM"),
        (&own.key, &KeyPair::generate().unwrap().serialize_pem(), "is not the key of"),
        (&office.ca(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be trusted"),
    ] {
        let good = std::fs::read_to_string(file).unwrap();
        replace(file, text);
        credentials.look();
        assert!(credentials.troubles(NOW).is_empty(), "a key may follow its certificate in a moment");
        credentials.look();
        let troubles = credentials.troubles(NOW);
        assert!(
            troubles.len() == 1 && troubles[0].starts_with("tls: ") && troubles[0].contains(problem),
            "{troubles:?}"
        );
        assert!(troubles[0].contains(file.to_str().unwrap()), "{troubles:?}");
        assert_eq!(shown(&credentials), before);
        replace(file, &good);
        credentials.look();
        assert!(credentials.troubles(NOW).is_empty(), "what was in force stands there again");
    }
    std::fs::remove_file(&own.cert).unwrap();
    credentials.look();
    credentials.look();
    assert!(credentials.troubles(NOW)[0].contains("cannot read"));
    assert!(credentials.serving().is_some());
}

#[test]
fn a_new_certificate_is_in_force_for_those_who_connect_and_for_those_who_are_called() {
    let office = Office::open();
    let credentials = office.credentials();
    let before = shown(&credentials);
    office.issue("w1", 2);
    credentials.look();
    assert_ne!(shown(&credentials), before);
    assert!(credentials.troubles(NOW).is_empty());
}

#[test]
fn a_certificate_that_ends_is_told_of_two_weeks_before() {
    let office = Office::open();
    let (text, key) = office.made(7, 2030);
    let own = office.own("w1");
    replace(&own.cert, &text);
    replace(&own.key, &key.serialize_pem());
    let credentials = Credentials::open(TlsFiles { own: Some(own.clone()), ..TlsFiles::default() }).unwrap();
    let end = credentials.ends_at().unwrap();
    let told = |left: i64| credentials.troubles(Wall(end.0 - left)).pop().unwrap_or_default();
    assert_eq!(told(14 * DAY + 1), "");
    let file = own.cert.display();
    assert_eq!(told(14 * DAY), format!("tls: the certificate {file} ends in 14 days"));
    assert_eq!(told(DAY), format!("tls: the certificate {file} ends in 1 day"));
    assert_eq!(told(DAY - 1), format!("tls: the certificate {file} ends within a day"));
    assert!(told(0).contains("has ended"));
}

#[test]
fn a_name_that_the_certificate_does_not_bear_is_remarked() {
    let office = Office::open();
    let files = office.files();
    let check = |url: &str| files.check(&[&url.parse().unwrap()], NOW).unwrap();
    for fits in ["https://localhost:8900", "https://127.0.0.1:8900", "http://w1:8900"] {
        assert!(check(fits).is_empty(), "{fits}");
    }
    for (misfit, name) in [("https://w1:8900", "w1"), ("https://[::1]:8900", "::1")] {
        assert!(check(misfit)[0].contains(&format!("does not bear the name {name} ")), "{misfit}");
    }
}

#[tokio::test]
async fn files_that_change_are_found_while_the_process_runs() {
    let office = Office::open();
    let credentials = office.credentials();
    let before = shown(&credentials);
    let watching = tokio::spawn(Arc::clone(&credentials).watch());
    office.issue("w1", 2);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while shown(&credentials) == before {
        look.tick().await;
    }
    watching.abort();
}
