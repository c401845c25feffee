//! A small CA for one cluster, and the certificates that it signs: `komainu init --tls`.
//!
//! The CA's key is needed only here: whoever keeps it elsewhere between two calls of this command gives no process of the
//! cluster the means to speak for another. A renewed certificate keeps its key, so that one file changes, in one step.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};

use crate::cli::{files, print};
use crate::clock;

/// As long as such a cluster may stand; another one means new files on every host.
const AUTHORITY_YEARS: i16 = 10;

/// A little more than two years: it is told two weeks before.
const CERTIFICATE_DAYS: i32 = 800;

/// Clocks of hosts differ.
const BEGUN_DAYS_AGO: i32 = 1;

/// Whom a certificate is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Subject {
    /// Of its files, and the first of its names.
    pub(super) name: String,
    /// Further names and addresses by which it is called.
    hosts: Vec<String>,
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, hosts) = text.split_once('=').unwrap_or((text, ""));
        crate::config::ensure_id(name)
            .map_err(|problem| format!("a name {problem}: w1, or w1=w1.example.com,10.0.0.1"))?;
        if name == "ca" {
            return Err("\"ca\" is the name of the CA's own files".to_owned());
        }
        let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect();
        Ok(Self { name: name.to_owned(), hosts })
    }
}

impl Subject {
    /// By which it is called; on its own host too.
    fn names(&self) -> Vec<String> {
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        [self.name.clone()].into_iter().chain(self.hosts.iter().cloned()).chain(own).collect()
    }
}

/// Makes what is missing in this folder; with `renew` the certificates of these subjects are made anew.
pub(super) fn write(dir: &Path, subjects: &[Subject], renew: bool) -> anyhow::Result<()> {
    let (cert, key) = (dir.join("ca.crt"), dir.join("ca.key"));
    let today = Timestamp::from_millisecond(clock::wall().0)?.to_zoned(TimeZone::UTC).date();
    let issuer = match (cert.exists(), key.exists()) {
        (true, true) => {
            print::line(format!("kept     {}, {}", cert.display(), key.display()));
            Issuer::from_ca_cert_pem(&read(&cert)?, key_in(&key)?)
                .with_context(|| format!("{} is no CA that can sign", cert.display()))?
        }
        (false, false) => {
            let made = new_authority(today)?;
            files::write_secret(&key, made.key().serialize_pem().trim_end())?;
            files::write_secret(&cert, made.pem().trim_end())?;
            print::line(format!("wrote    {} (copy it to whoever calls)", cert.display()));
            print::line(format!(
                "wrote    {} (it signs more certificates; keep it away from every host)",
                key.display()
            ));
            Issuer::from_ca_cert_pem(&made.pem(), key_in(&key)?)?
        }
        (true, false) => bail!("{} is not here: only with it more certificates can be signed", key.display()),
        (false, true) => bail!("{} is not here, its key is; put it back, or move both away", cert.display()),
    };
    for subject in subjects {
        certify(dir, subject, (&issuer, today), renew)?;
    }
    Ok(())
}

fn certify(
    dir: &Path,
    subject: &Subject,
    (issuer, today): (&Issuer<'_, KeyPair>, Date),
    renew: bool,
) -> anyhow::Result<()> {
    let file = |kind: &str| -> PathBuf { dir.join(format!("{}.{kind}", subject.name)) };
    let (cert, key) = (file("crt"), file("key"));
    if cert.exists() && !renew {
        print::line(format!("kept     {} (--renew makes it anew)", cert.display()));
        return Ok(());
    }
    let pair = if key.exists() {
        key_in(&key)?
    } else {
        let pair = KeyPair::generate().context("cannot make a key")?;
        files::write_secret(&key, pair.serialize_pem().trim_end())?;
        print::line(format!("wrote    {}", key.display()));
        pair
    };
    let ends_on = today.saturating_add(jiff::Span::new().days(CERTIFICATE_DAYS));
    let mut params = params(&subject.name, subject.names(), (today, ends_on))?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let made = params.signed_by(&pair, issuer).context("cannot sign a certificate")?;
    files::replace(&cert, &made.pem(), 0o600)?;
    print::line(format!("wrote    {} for {}, until {ends_on}", cert.display(), subject.names().join(", ")));
    Ok(())
}

fn new_authority(today: Date) -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let ends_on = today.saturating_add(jiff::Span::new().years(AUTHORITY_YEARS));
    let mut params = params("komainu cluster CA", Vec::new(), (today, ends_on))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().context("cannot make a key")?;
    CertifiedIssuer::self_signed(params, key).context("cannot make a CA")
}

fn params(name: &str, names: Vec<String>, (today, ends_on): (Date, Date)) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names).context("one of the names cannot stand in a certificate")?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(rand::random::<u64>() >> 1));
    let begun_on = today.saturating_sub(jiff::Span::new().days(BEGUN_DAYS_AGO));
    let moment = |date: Date| -> anyhow::Result<_> {
        let (month, day) = (u8::try_from(date.month())?, u8::try_from(date.day())?);
        Ok(rcgen::date_time_ymd(i32::from(date.year()), month, day))
    };
    (params.not_before, params.not_after) = (moment(begun_on)?, moment(ends_on)?);
    Ok(params)
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn key_in(file: &Path) -> anyhow::Result<KeyPair> {
    KeyPair::from_pem(&read(file)?).with_context(|| format!("{} holds no private key in PEM", file.display()))
}
