//! TLS of outgoing runs: trusted roots, a monitor's own certificates, or no check at all where it says so.
//!
//! No session is resumed: each run checks the target's certificate anew, as Kuma does.

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::failure::Failure;

/// A monitor's certificates, PEM: Kuma's `tls_ca`, `tls_cert`, `tls_key`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Certificates {
    /// Trusted instead of the system's roots.
    pub ca: Option<String>,
    /// Shown to the target, together with `key`.
    pub cert: Option<String>,
    /// Its private key.
    pub key: Option<String>,
}

/// The TLS side of a client.
pub fn client_config(ignore_tls: bool, certificates: &Certificates) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::own(format!("this node cannot do TLS: {error}")))?;
    let builder = if ignore_tls {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting::new(&provider)))
    } else {
        builder.with_root_certificates(roots(certificates)?)
    };
    let mut config = match identity(certificates)? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| Failure::target(format!("the TLS certificate and key do not fit: {error}")))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn roots(certificates: &Certificates) -> Result<Arc<RootCertStore>, Failure> {
    let Some(pem) = &certificates.ca else { return Ok(system_roots()) };
    let mut roots = RootCertStore::empty();
    for certificate in parse_chain(pem, "CA")? {
        roots.add(certificate).map_err(|error| Failure::target(format!("the TLS CA is invalid: {error}")))?;
    }
    Ok(Arc::new(roots))
}

/// Read once: it takes tens of milliseconds.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(load))
}

/// Whether this system trusts nobody, so that every certificate's issuer is unknown to it.
pub fn has_no_roots() -> bool {
    system_roots().is_empty()
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(certificates: &Certificates) -> Result<Option<Identity>, Failure> {
    let (Some(cert), Some(key)) = (&certificates.cert, &certificates.key) else { return Ok(None) };
    let chain = parse_chain(cert, "certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| Failure::target(format!("the TLS key is invalid: {error}")))?;
    Ok(Some((chain, key)))
}

fn parse_chain(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::target(format!("the TLS {what} is invalid: {error}")))
}

/// Trusts any certificate: for monitors that say "ignore TLS errors".
#[derive(Debug)]
struct Trusting {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trusting {
    fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
