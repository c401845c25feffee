//! TLS of outgoing runs: trusted roots, a monitor's own certificates, or no check at all where it says so.
//!
//! No session is resumed: each run checks the target's certificate anew, as Kuma does. What the target shows is noted for
//! the run that asked ([`noting`]), also where nothing hangs on it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certificate::{Certificate, issuer_beyond, subject_of};
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
    let verifier = Verifier::new(&provider, roots(certificates)?, !ignore_tls)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
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

/// What this system trusts.
struct System {
    roots: Arc<RootCertStore>,
    /// The same in full, by their subjects: a chain is shown with the root that it ends at.
    by_subject: HashMap<Vec<u8>, CertificateDer<'static>>,
}

/// Read once: it takes tens of milliseconds.
fn system() -> &'static System {
    static SYSTEM: OnceLock<System> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let certs = rustls_native_certs::load_native_certs().certs;
        let by_subject = certs.iter().filter_map(|cert| Some((subject_of(cert)?, cert.clone()))).collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certs);
        System { roots: Arc::new(roots), by_subject }
    })
}

fn system_roots() -> Arc<RootCertStore> {
    Arc::clone(&system().roots)
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

tokio::task_local! {
    /// The first chain that the run of this task was shown.
    static SHOWN: RefCell<Option<Shown>>;
}

/// A chain as it came, and whether it would be trusted.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    is_valid: bool,
}

/// Runs `asking`, and says which certificate its first TLS connection was shown; `host` is the one that was meant.
pub async fn noting<F: Future>(host: Option<&str>, asking: F) -> (F::Output, Option<Certificate>) {
    SHOWN
        .scope(RefCell::default(), async {
            let output = asking.await;
            let shown = SHOWN.with(RefCell::take);
            let certificate = shown.map(|mut shown| {
                let root = issuer_beyond(&shown.chain).and_then(|issuer| system().by_subject.get(&issuer));
                shown.chain.extend(root.cloned());
                Certificate::new(shown.chain, shown.is_valid, host)
            });
            (output, certificate)
        })
        .await
}

/// Judges the chain that a target shows and notes it. Where it is not strict (monitors that say "ignore TLS errors"), a
/// chain that is not trusted is taken all the same; Kuma then shows the certificate as not valid.
#[derive(Debug)]
struct Verifier {
    /// `None`: nobody is trusted here.
    judge: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    is_strict: bool,
}

impl Verifier {
    fn new(provider: &Arc<CryptoProvider>, roots: Arc<RootCertStore>, is_strict: bool) -> Result<Self, Failure> {
        let algorithms = provider.signature_verification_algorithms;
        if roots.is_empty() {
            return Ok(Self { judge: None, algorithms, is_strict });
        }
        let judge = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        let judge = judge.map_err(|error| Failure::own(format!("this node cannot check certificates: {error}")))?;
        Ok(Self { judge: Some(judge), algorithms, is_strict })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = match &self.judge {
            Some(judge) => judge.verify_server_cert(end_entity, intermediates, server_name, ocsp, now),
            None => Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        if verdict.is_err() && self.is_strict {
            return verdict;
        }
        // Outside of a run (a canary's probe) nobody wants to know.
        let _ = SHOWN.try_with(|shown| {
            shown.borrow_mut().get_or_insert_with(|| Shown {
                chain: std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned()).collect(),
                is_valid: verdict.is_ok(),
            });
        });
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
