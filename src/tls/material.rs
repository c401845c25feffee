//! What stands in the files of `[tls]`, and whether it fits together.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::time::Wall;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Serving, TOLD_BEFORE_END, TlsFiles};

/// A chain has some kilobytes; whoever names a device by mistake must not have it read for ever.
const LONGEST: u64 = 1024 * 1024;

/// A file of `[tls]` that cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{setting}: {problem}")]
pub struct TlsError {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl TlsError {
    fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }
}

/// The files' contents.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Texts {
    own: Option<(Text, Text)>,
    ca: Option<Text>,
    client_ca: Option<Text>,
}

/// One file's.
#[derive(Clone, PartialEq, Eq)]
struct Text {
    setting: &'static str,
    file: String,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Texts(not shown)")
    }
}

impl Texts {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let own = files.own.as_ref();
        let own = own.map(|own| Ok((Text::read("cert", &own.cert)?, Text::read("key", &own.key)?))).transpose()?;
        let optional = |setting, file: &Option<_>| file.as_deref().map(|file| Text::read(setting, file)).transpose();
        Ok(Self { own, ca: optional("ca", &files.ca)?, client_ca: optional("client_ca", &files.client_ca)? })
    }
}

impl Text {
    fn read(setting: &'static str, path: &Path) -> Result<Self, TlsError> {
        let file = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
        read.map_err(|error| TlsError::new(setting, format!("cannot read {file}: {error}")))?;
        let is_too_long = u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST);
        if is_too_long {
            return Err(TlsError::new(setting, format!("{file} is longer than any certificate")));
        }
        Ok(Self { setting, file, bytes })
    }

    fn fault(&self, problem: impl std::fmt::Display) -> TlsError {
        TlsError::new(self.setting, format!("{}: {problem}", self.file))
    }

    /// At least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let found = found.map_err(|error| self.fault(format!("is no PEM file: {error}")))?;
        if found.is_empty() {
            return Err(self.fault("holds no certificate (-----BEGIN CERTIFICATE-----)"));
        }
        Ok(found)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.bytes)
            .map_err(|_| self.fault("holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"))
    }

    /// Adds what may sign.
    fn add_to(&self, roots: &mut RootCertStore) -> Result<(), TlsError> {
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| self.fault(format!("cannot be trusted: {error}")))?;
        }
        Ok(())
    }
}

/// The same, ready for use.
#[derive(Debug, Default)]
pub(super) struct Material {
    pub(super) serving: Option<Serving>,
    pub(super) own: Option<Own>,
    /// Where a CA is named beside those of the host.
    pub(super) trust: Option<Arc<WebPkiServerVerifier>>,
}

/// The own certificate.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) shown: Arc<CertifiedKey>,
    file: String,
    ends_at: Wall,
}

impl Material {
    pub(super) fn of(texts: &Texts) -> Result<Self, TlsError> {
        let own = texts.own.as_ref().map(|(cert, key)| Own::of(cert, key)).transpose()?;
        let serving = own.as_ref().map(|own| serving(own, texts.client_ca.as_ref())).transpose()?;
        let trust = texts.ca.as_ref().map(trust_in).transpose()?;
        Ok(Self { serving, own, trust })
    }

    pub(super) fn ends_at(&self) -> Option<Wall> {
        self.own.as_ref().map(|own| own.ends_at)
    }

    /// That it ends within two weeks, or has ended.
    pub(super) fn ends_soon(&self, now: Wall) -> Option<String> {
        let own = self.own.as_ref()?;
        let file = &own.file;
        let left = Duration::from_millis(u64::try_from(own.ends_at.0.saturating_sub(now.0)).unwrap_or(0));
        if left.is_zero() {
            return Some(format!("the certificate {file} has ended: clients that look at it do not connect"));
        }
        let days = left.as_secs() / 86_400;
        (left <= TOLD_BEFORE_END).then(|| match days {
            0 => format!("the certificate {file} ends within a day"),
            1 => format!("the certificate {file} ends in 1 day"),
            days => format!("the certificate {file} ends in {days} days"),
        })
    }

    /// That the own certificate does not bear the name by which others call.
    pub(super) fn misfit(&self, url: &Url) -> Option<String> {
        let own = self.own.as_ref().filter(|_| url.scheme() == "https")?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).ok()?;
        let fits = own.shown.end_entity_cert().and_then(ParsedCertificate::try_from);
        let fits = fits.and_then(|certificate| verify_server_name(&certificate, &name));
        fits.is_err().then(|| format!("the certificate {} does not bear the name {host} of {url}", own.file))
    }
}

impl Own {
    fn of(cert: &Text, key: &Text) -> Result<Self, TlsError> {
        let chain = cert.certificates()?;
        let ends_at =
            chain.first().and_then(|own| ends_at(own)).ok_or_else(|| cert.fault("is no X.509 certificate"))?;
        let shown = CertifiedKey::from_der(chain, key.private_key()?, &ring::default_provider());
        let shown = shown.map_err(|error| {
            let is_anothers = matches!(error, rustls::Error::InconsistentKeys(_));
            if is_anothers { key.fault(format!("is not the key of {}", cert.file)) } else { key.fault(error) }
        })?;
        // rustls shows what it cannot read itself: its clients would be the first to notice.
        shown
            .end_entity_cert()
            .and_then(ParsedCertificate::try_from)
            .map_err(|error| cert.fault(format!("cannot be used: {error}")))?;
        Ok(Self { shown: Arc::new(shown), file: cert.file.clone(), ends_at })
    }
}

fn ends_at(certificate: &CertificateDer<'_>) -> Option<Wall> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(Wall(certificate.validity().not_after.timestamp().saturating_mul(1_000)))
}

fn serving(own: &Own, client_ca: Option<&Text>) -> Result<Serving, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new("cert", error.to_string()))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(text) => {
            let mut roots = RootCertStore::empty();
            text.add_to(&mut roots)?;
            // Who shows none may still ask what anybody may ask.
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|error| text.fault(error))?)
        }
    };
    let shown = SingleCertAndKey::from(CertifiedKey::clone(&own.shown));
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Serving { config: Arc::new(config), asks_peers: client_ca.is_some() })
}

fn trust_in(ca: &Text) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let mut roots = super::trust::of_host();
    ca.add_to(&mut roots)?;
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| ca.fault(error))
}
