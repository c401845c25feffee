//! TLS of outgoing runs: trusted roots, a monitor's own certificates, or no check at all where it says so.
//!
//! Verdicts are OpenSSL's, which Kuma uses, as far as rustls and webpki can tell: a common name counts where there is no
//! other, and a certificate that is trusted itself may sign others. What these libraries cannot judge at all (X.509 v1,
//! curves and signatures that ring does not know, short RSA keys) is [`Beyond`] them, and says nothing of the target.
//!
//! No session is resumed: each run checks the target's certificate anew, as Kuma does. What the target shows is noted for
//! the run that asked ([`noting`]), also where nothing hangs on it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::certificate::{
    Certificate, demands_what_nobody_knows, has_short_key, is_called, is_in_time, is_own_issuer, issuer_beyond,
    subject_of,
};
use super::failure::Failure;
use super::phases;

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
    let own_ca = match &certificates.ca {
        Some(pem) => Some(parse_chain(pem, "CA")?),
        None => None,
    };
    let verifier = Verifier::new(&provider, own_ca, !ignore_tls)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity(certificates)? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| Failure::target(format!("the TLS certificate and key do not fit: {error}")))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = phases::without_resumption();
    Ok(config)
}

fn roots(own_ca: Option<&[CertificateDer<'static>]>) -> Result<Arc<RootCertStore>, Failure> {
    let Some(own_ca) = own_ca else { return Ok(system_roots()) };
    let mut roots = RootCertStore::empty();
    for certificate in own_ca {
        roots.add(certificate.clone()).map_err(|error| Failure::target(format!("the TLS CA is invalid: {error}")))?;
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

/// What this node's libraries cannot judge, and OpenSSL can.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Beyond(String);

impl Beyond {
    fn fault(what: impl Into<String>) -> rustls::Error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Self(what.into())))))
    }
}

/// Whether the target of this run showed a certificate that was taken.
pub fn was_shown() -> bool {
    PRESENTED.try_with(|shown| shown.borrow().is_some()).unwrap_or(false)
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
    static PRESENTED: RefCell<Option<PresentedChain>>;
}

/// A chain as it came, and whether it would be trusted.
struct PresentedChain {
    chain: Vec<CertificateDer<'static>>,
    is_valid: bool,
}

/// Runs `asking`, and says which certificate its first TLS connection was shown; `host` is the one that was meant.
pub async fn noting<F: Future>(host: Option<&str>, asking: F) -> (F::Output, Option<Certificate>) {
    PRESENTED
        .scope(RefCell::default(), async {
            let output = asking.await;
            let shown = PRESENTED.with(RefCell::take);
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
    /// The monitor's own authorities.
    own_ca: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    is_strict: bool,
}

impl Verifier {
    fn new(
        provider: &Arc<CryptoProvider>,
        own_ca: Option<Vec<CertificateDer<'static>>>,
        is_strict: bool,
    ) -> Result<Self, Failure> {
        let algorithms = provider.signature_verification_algorithms;
        let roots = roots(own_ca.as_deref())?;
        let own_ca = own_ca.unwrap_or_default();
        if roots.is_empty() {
            return Ok(Self { judge: None, own_ca, algorithms, is_strict });
        }
        let judge = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        let judge = judge.map_err(|error| Failure::own(format!("this node cannot check certificates: {error}")))?;
        Ok(Self { judge: Some(judge), own_ca, algorithms, is_strict })
    }

    /// What OpenSSL says where webpki says this.
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls's enum grows; most faults are faults to both")]
    fn as_openssl(
        &self,
        fault: rustls::Error,
        own: &CertificateDer<'_>,
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Judged {
        use CertificateError as Fault;
        let rustls::Error::InvalidCertificate(certificate_fault) = &fault else { return Err(fault) };
        match certificate_fault {
            Fault::NotValidForName | Fault::NotValidForNameContext { .. } if is_called(own, host) => {
                Ok(ServerCertVerified::assertion())
            }
            Fault::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
                if !self.own_ca.iter().any(|trusted| trusted == own) {
                    return Err(if is_own_issuer(own) { fault } else { Beyond::fault("it may sign others itself") });
                }
                match (is_in_time(own, now), is_called(own, host)) {
                    (Ok(()), true) => Ok(ServerCertVerified::assertion()),
                    (Ok(()), false) => Err(Fault::NotValidForName.into()),
                    (Err(fault), _) => Err(fault.into()),
                }
            }
            Fault::Other(other)
                if other.0.to_string() == "UnsupportedCriticalExtension" && demands_what_nobody_knows(own) =>
            {
                Err(Fault::UnhandledCriticalExtension.into())
            }
            Fault::Other(_)
            | Fault::BadEncoding
            | Fault::UnsupportedSignatureAlgorithmContext { .. }
            | Fault::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Err(Beyond::fault(fault.to_string())),
            _ => Err(fault),
        }
    }

    /// A signature of the handshake by this certificate's key.
    fn signature(&self, own: &CertificateDer<'_>, checked: Result<HandshakeSignatureValid, rustls::Error>) -> Signed {
        match checked {
            // Who takes any certificate takes anybody's signature.
            Err(_) if !self.is_strict => Ok(HandshakeSignatureValid::assertion()),
            Err(fault) if has_short_key(own) => Err(Beyond::fault(format!("its RSA key is short: {fault}"))),
            Ok(_) | Err(_) => checked,
        }
    }
}

type Judged = Result<ServerCertVerified, rustls::Error>;
type Signed = Result<HandshakeSignatureValid, rustls::Error>;

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Judged {
        let verdict = match &self.judge {
            Some(judge) => judge
                .verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
                .or_else(|fault| self.as_openssl(fault, end_entity, server_name, now)),
            None => Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        if verdict.is_err() && self.is_strict {
            return verdict;
        }
        // Outside of a run (a canary's probe) nobody wants to know.
        let _ = PRESENTED.try_with(|shown| {
            shown.borrow_mut().get_or_insert_with(|| PresentedChain {
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
    ) -> Signed {
        self.signature(certificate, verify_tls12_signature(message, certificate, signed, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Signed {
        self.signature(certificate, verify_tls13_signature(message, certificate, signed, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.algorithms.supported_schemes();
        if !self.is_strict {
            // Also those of OpenSSL that nobody here could check.
            schemes.extend([
                SignatureScheme::ECDSA_NISTP521_SHA512,
                SignatureScheme::ED448,
                SignatureScheme::RSA_PKCS1_SHA1,
                SignatureScheme::ECDSA_SHA1_Legacy,
            ]);
        }
        schemes
    }
}
