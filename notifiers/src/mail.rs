//! Mail over SMTP.
//!
//! All messages about one incident bear the same subject, without `Re:`, and refer to the same root: Gmail makes a thread
//! of what has an equal subject and a common reference, Outlook of a common reference; neither minds that nobody has ever
//! seen the root. The `Message-ID` is made from the notice, so that a repetition is dropped or shown beside its twin.
//!
//! Domains beyond ASCII travel as DNS knows them (RFC 5890); a user beyond it needs a server that takes such (RFC 6531).
//!
//! Each recipient is judged alone: whoever is refused while others are taken is told of later, or the sender is told so.
//!
//! TLS is either there from the first byte or turned on before anything else is said; in the clear only where the
//! configuration says so.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use lettre::address::AddressError;
pub use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::message::{MultiPart, MultiPartKind, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use lettre::{Address, Message};
use thiserror::Error;
use tokio::time::timeout;

use crate::words;
use crate::{DeliveryError, EventKind, Missed, Notice, Receipt, Secret};

mod content;
pub mod letter;

use self::content::{header, html, plain, subject, text};

/// Until there is a connection, for each of the server's addresses.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// For the dialogue up to the mail itself.
const DIALOGUE_LIMIT: Duration = Duration::from_secs(10);

/// How long a server may look at a mail before it says that it has it. RFC 5321, section 4.5.3.2.6, grants it ten minutes,
/// because a mail that is taken and not confirmed in time arrives twice; a critical is told elsewhere after two.
pub const CONFIRM_LIMIT: Duration = Duration::from_secs(120);

/// Parting is a courtesy: the mail is the server's by then.
const QUIT_LIMIT: Duration = Duration::from_secs(1);

/// Which server, and from whom to whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where mail is handed in.
    pub server: Server,
    /// Needed by most servers.
    pub login: Option<Login>,
    /// The sender.
    pub from: Mailbox,
    /// At least one.
    pub to: Vec<Mailbox>,
    /// How long the server may take to confirm a mail that it was handed: [`CONFIRM_LIMIT`].
    pub confirm_within: Duration,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name, which its certificate must bear.
    pub host: String,
    /// 465 or 587 as a rule.
    pub port: u16,
    /// How it is protected.
    pub tls: Tls,
    /// Trusted besides those of the system.
    pub ca: Option<Authorities>,
}

/// How the connection is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tls {
    /// From the first byte (RFC 8314).
    Wrapped,
    /// Turned on with STARTTLS; without it nothing is sent.
    StartTls,
    /// Not at all: for a relay on the same host.
    None,
}

/// User and password.
#[derive(Clone, Debug)]
pub struct Login {
    /// Often an address.
    pub user: String,
    /// Sent only over TLS, unless [`Tls::None`] says otherwise.
    pub password: Secret<String>,
}

/// Certificates of a company's own authority.
#[derive(Clone, Debug)]
pub struct Authorities(Certificate);

/// Why a file holds no certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("holds no certificate; it must begin with -----BEGIN CERTIFICATE-----")]
pub struct AuthoritiesError;

impl Authorities {
    /// Reads one or more certificates in PEM.
    pub fn parse(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";
        // Lettre takes a file without any certificate for an empty list.
        let has_some = pem.windows(MARK.len()).any(|part| part == MARK);
        let certificate = Certificate::from_pem(pem).ok().filter(|_| has_some);
        certificate.map(Self).ok_or(AuthoritiesError)
    }
}

/// Why a text is no address.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MailboxError {
    /// As a whole.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// What stands after the `@`.
    #[error("the domain {0} cannot be one of DNS")]
    Domain(String),
}

/// Reads `ops@example.com` or `Ops <ops@example.com>`; a domain beyond ASCII becomes what DNS knows it as.
pub fn mailbox(text: &str) -> Result<Mailbox, MailboxError> {
    let mailbox: Mailbox = text.parse()?;
    let domain = mailbox.email.domain();
    if domain.is_ascii() {
        return Ok(mailbox);
    }
    let known = idna::domain_to_ascii(domain).map_err(|_| MailboxError::Domain(domain.to_owned()))?;
    let email = Address::new(mailbox.email.user(), known)?;
    Ok(Mailbox { email, ..mailbox })
}

/// The mail itself; `now_ms` is its date.
///
/// # Panics
/// When `to` is empty.
pub fn payload(config: &Config, notice: &Notice, now_ms: i64) -> Message {
    let story = words::tell(notice);
    let domain = config.from.email.domain();
    let date = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let builder = Message::builder()
        .from(config.from.clone())
        .date(date.into())
        .message_id(Some(format!("<{}.komainu@{domain}>", notice.id)))
        .subject(subject(notice, &story))
        // Nobody's holiday note is to answer (RFC 3834), Exchange's neither.
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"));
    let builder = config.to.iter().fold(builder, |builder, to| builder.to(to.clone()));
    let builder = match notice.items.as_slice() {
        [item] => {
            let root = format!("<incident-{}.{}.komainu@{domain}>", plain(&item.incident_id), plain(&notice.cluster));
            let builder = builder.references(root.clone());
            // The first one answers nothing: that would show it as a reply.
            if item.event == EventKind::Opened { builder } else { builder.in_reply_to(root) }
        }
        _ => builder,
    };
    let body = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(format!("komainu-{}", notice.id))
        .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text(&story)))
        .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(html(&story)));
    builder.multipart(body).expect("a mail with a sender and at least one recipient can be written")
}

/// Hands notices to one server.
#[derive(Debug)]
pub struct Courier {
    config: Config,
    tls: Option<TlsSetup>,
}

/// Lettre's parameters, with a debug form.
#[derive(Clone)]
struct TlsSetup(TlsParameters);

impl fmt::Debug for TlsSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS")
    }
}

impl Courier {
    /// Reads the system's certificates once.
    pub(crate) fn new(config: Config) -> Result<Self, SmtpError> {
        let tls = match config.server.tls {
            Tls::None => None,
            Tls::Wrapped | Tls::StartTls => {
                let builder = TlsParameters::builder(config.server.host.clone());
                let builder = config.server.ca.iter().fold(builder, |builder, Authorities(certificate)| {
                    builder.add_root_certificate(certificate.clone())
                });
                Some(TlsSetup(builder.build_rustls()?))
            }
        };
        Ok(Self { config, tls })
    }

    /// Longest that one mail may take.
    pub(crate) fn longest(&self) -> Duration {
        DIALOGUE_LIMIT + self.config.confirm_within + QUIT_LIMIT
    }

    pub(crate) async fn send(&self, notice: &Notice, now_ms: i64) -> Result<Receipt, DeliveryError> {
        let mail = payload(&self.config, notice, now_ms).formatted();
        let host = &self.config.server.host;
        let Ok(offered) = timeout(DIALOGUE_LIMIT, self.offer(&notice.told_to)).await else {
            let reason = format!("{host} did not take the addresses within {} s", DIALOGUE_LIMIT.as_secs());
            return Err(DeliveryError::Unreached { reason });
        };
        let Offered { mut connection, reached, missed } = offered?;
        let patience = self.config.confirm_within;
        let answer = if reached.is_empty() {
            "nobody else was taken".to_owned()
        } else {
            match timeout(patience, connection.message(&mail)).await {
                Ok(Ok(response)) => shown(&response),
                Ok(Err(error)) => return Err(self.judge(&error, Stage::Handed)),
                Err(_) => {
                    let reason = format!("{host} did not confirm the mail within {} s", patience.as_secs());
                    return Err(DeliveryError::Unanswered { reason });
                }
            }
        };
        // Whatever happens to the parting, the mail was taken.
        let _parted = timeout(QUIT_LIMIT, connection.abort()).await;
        if missed.is_empty() {
            return Ok(Receipt { answer, ..Receipt::default() });
        }
        let told: Vec<String> = missed.iter().map(|missed| format!("{} ({})", missed.reader, missed.error)).collect();
        let answer = format!("{answer}; not taken: {}", told.join("; "));
        let reached = [notice.told_to.clone(), reached].concat();
        Ok(Receipt { vendor_ref: None, answer, missed, reached })
    }

    /// Everything before the mail itself, to all who do not have it. Each address is judged alone.
    async fn offer(&self, told_to: &[String]) -> Result<Offered, DeliveryError> {
        let mut connection = self.connect().await.map_err(|error| self.judge(&error, Stage::Offered))?;
        let takes_all = connection.server_info().supports_feature(Extension::SmtpUtfEight);
        let is_beyond = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
        let all = self.config.to.iter().map(|to| &to.email).chain([&self.config.from.email]);
        let options = takes_all && all.into_iter().any(is_beyond);
        let options = options.then_some(MailParameter::SmtpUtfEight).into_iter().collect();
        let from = Mail::new(Some(self.config.from.email.clone()), options);
        connection.command(from).await.map_err(|error| self.judge(&error, Stage::Offered))?;
        let (mut reached, mut missed) = (vec![], vec![]);
        for to in self.config.to.iter().filter(|to| !told_to.contains(&to.email.to_string())) {
            let reader = to.email.to_string();
            if is_beyond(&to.email) && !takes_all {
                let reason = format!("{} takes no user beyond ASCII (SMTPUTF8)", self.config.server.host);
                missed.push(Missed { reader, error: DeliveryError::Permanent { reason } });
                continue;
            }
            let Err(error) = connection.command(Rcpt::new(to.email.clone(), vec![])).await else {
                reached.push(reader);
                continue;
            };
            match self.judge(&error, Stage::Offered) {
                unreached @ (DeliveryError::Unreached { .. } | DeliveryError::Unanswered { .. }) => {
                    return Err(unreached);
                }
                error @ (DeliveryError::Permanent { .. } | DeliveryError::Retryable { .. }) => {
                    missed.push(Missed { reader, error });
                }
            }
        }
        if reached.is_empty() && told_to.is_empty() {
            return Err(worst_hope(missed));
        }
        if !reached.is_empty() {
            connection.command(Data).await.map_err(|error| self.judge(&error, Stage::Offered))?;
        }
        Ok(Offered { connection, reached, missed })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let Server { host, port, tls, .. } = &self.config.server;
        let hello = ClientId::default();
        let wrapped = self.tls.clone().filter(|_| *tls == Tls::Wrapped).map(|TlsSetup(parameters)| parameters);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(CONNECT_LIMIT), &hello, wrapped, None)
                .await?;
        if let (Tls::StartTls, Some(TlsSetup(parameters))) = (tls, self.tls.clone()) {
            connection.starttls(parameters, &hello).await?;
        }
        if let Some(login) = &self.config.login {
            let credentials = Credentials::new(login.user.clone(), login.password.reveal().clone());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }

    fn judge(&self, error: &SmtpError, stage: Stage) -> DeliveryError {
        let reason = self.reason(error);
        if error.is_transient() {
            return DeliveryError::Retryable { reason, after: None };
        }
        // What the client itself objects to is the server's doing all the same: no STARTTLS, no way to log in.
        if error.is_permanent() || error.is_client() {
            return DeliveryError::Permanent { reason };
        }
        match stage {
            Stage::Offered => DeliveryError::Unreached { reason },
            Stage::Handed => DeliveryError::Unanswered { reason },
        }
    }

    /// In the server's words, without the password, which a server may repeat when it does not understand.
    fn reason(&self, error: &SmtpError) -> String {
        let words = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        let reason = match error.status() {
            Some(code) => format!("{} answered {code} {words}", self.config.server.host),
            None => format!("{}: {words}", self.config.server.host),
        };
        let Some(login) = &self.config.login else { return words::clip(&reason, 300) };
        let password = login.password.reveal();
        let plain = STANDARD.encode(format!("\0{}\0{password}", login.user));
        let secrets = [plain, STANDARD.encode(password), password.clone()];
        let reason = secrets.iter().fold(reason, |reason, secret| reason.replace(secret, "…"));
        words::clip(&reason, 300)
    }
}

/// A server that waits for the mail itself, unless there is nobody left to read it.
struct Offered {
    connection: AsyncSmtpConnection,
    reached: Vec<String>,
    missed: Vec<Missed>,
}

/// How far a mail came.
#[derive(Clone, Copy)]
enum Stage {
    /// Nothing of it has left.
    Offered,
    /// It may be the server's.
    Handed,
}

/// When nobody can be reached: while one address may be taken later, it is worth another try.
fn worst_hope(missed: Vec<Missed>) -> DeliveryError {
    let may_pass = missed.iter().any(|missed| matches!(missed.error, DeliveryError::Retryable { .. }));
    let reasons: Vec<String> =
        missed.into_iter().map(|Missed { reader, error }| format!("{reader}: {error}")).collect();
    let reason = reasons.join("; ");
    if may_pass { DeliveryError::Retryable { reason, after: None } } else { DeliveryError::Permanent { reason } }
}

fn shown(response: &Response) -> String {
    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert_eq!(Authorities::parse(b"").unwrap_err(), AuthoritiesError);
        assert_eq!(Authorities::parse(b"-----BEGIN PRIVATE KEY-----").unwrap_err(), AuthoritiesError);
    }
}
