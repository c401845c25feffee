//! The side of whoever calls: whom it trusts, and what it shows where it is asked.
//!
//! Clients live as long as the process does, so both are looked up anew for each connection.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Credentials, TlsError, TlsFiles};

/// Whom the host trusts.
pub(super) fn of_host() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // A host without certificates can still speak plain HTTP and TCP; whoever answers with TLS will be named.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Of a client that shows nothing, and trusts this CA too.
pub fn trusting(ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let files = TlsFiles { ca: ca.map(Path::to_owned), ..TlsFiles::default() };
    Ok(Credentials::open(files)?.client())
}

/// What is wrong with the certificate that a server showed, if that is why a call came to nothing.
pub(crate) fn misgiving(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(problem)) = error.downcast_ref() {
            return Some(problem.to_string());
        }
        // What an error of input or output wraps is not its source, but that one's source is.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

impl Credentials {
    /// Of a client that calls peers and nodes.
    pub(crate) fn client(self: &Arc<Self>) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default protocol versions");
        let builder = match self.current().trust {
            Some(_) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Trust(Arc::clone(self)))),
            None => builder.with_root_certificates(of_host()),
        };
        match self.current().own {
            Some(_) => builder.with_client_cert_resolver(Arc::new(OwnCertificate(Arc::clone(self)))),
            None => builder.with_no_client_auth(),
        }
    }
}

/// Whom this process trusts just now; everything is left to rustls' own verifier.
#[derive(Debug)]
struct Trust(Arc<Credentials>);

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let current = self.0.current();
        let Some(trust) = &current.trust else {
            return Err(rustls::Error::General("no CA is read".to_owned()));
        };
        trust.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    ring::default_provider().signature_verification_algorithms
}

/// The certificate of this process, where a server asks for one.
#[derive(Debug)]
struct OwnCertificate(Arc<Credentials>);

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.current().own.as_ref().map(|own| Arc::clone(&own.shown))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
