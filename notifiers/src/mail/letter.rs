//! Letters: mails to one reader each, in words that the caller has, many over one connection.
//!
//! For people who asked to be told and may ask to be told no more: each letter bears how (RFC 2369, and RFC 8058 for one click). What is said of
//! a failure never repeats the reader's address, which is nobody else's business.

use std::time::Duration;

use jiff::Timestamp;
use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MultiPart, MultiPartKind, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use tokio::time::timeout;

use super::content::header;
use super::{Config, Courier, DIALOGUE_LIMIT, QUIT_LIMIT};
use crate::channel::ChannelError;

/// One mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// Whose it is.
    pub to: Mailbox,
    /// In one line.
    pub subject: String,
    /// Before the `@` of its `Message-ID`: letters, digits, dots and dashes. The same whenever it is sent again.
    pub id: String,
    /// What it belongs to, before the `@`; letters with the same one are shown as one conversation.
    pub thread: Option<String>,
    /// Whether something of that thread was told before.
    pub is_reply: bool,
    /// For programs that show no HTML.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// Where its reader ends all this, with one POST.
    pub unsubscribe: Option<String>,
}

/// Why a letter is not in its reader's hands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LetterError {
    /// The server does not take this reader, now or ever.
    Refused {
        /// Its code, without the address.
        reason: String,
    },
    /// The server does not take this reader now.
    Later {
        /// Its code, without the address.
        reason: String,
    },
    /// The server may have it.
    Unanswered {
        /// What happened instead of an answer.
        reason: String,
    },
    /// The server takes no mail of anybody: no letter was offered to it.
    Server {
        /// In its words.
        reason: String,
    },
}

/// Hands letters to one server.
#[derive(Debug)]
pub struct Postman {
    courier: Courier,
}

/// One connection.
#[derive(Debug)]
pub struct Round<'a> {
    postman: &'a Postman,
    connection: Connected,
}

/// Lettre's connection, with a debug form.
struct Connected(AsyncSmtpConnection);

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SMTP")
    }
}

/// The mail itself; `now_ms` is its date.
///
/// # Panics
/// Never: it has a sender and a reader.
pub fn payload(from: &Mailbox, letter: &Letter, now_ms: i64) -> Message {
    let domain = from.email.domain();
    let date = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let mut builder = Message::builder()
        .from(from.clone())
        .to(letter.to.clone())
        .date(date.into())
        .message_id(Some(format!("<{}.komainu@{domain}>", letter.id)))
        .subject(one_line(&letter.subject))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"));
    if let Some(thread) = &letter.thread {
        let root = format!("<{thread}.komainu@{domain}>");
        builder = builder.references(root.clone());
        if letter.is_reply {
            builder = builder.in_reply_to(root);
        }
    }
    if let Some(place) = &letter.unsubscribe {
        builder = builder
            .raw_header(header("List-Unsubscribe", &format!("<{}>", one_line(place))))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
    }
    let body = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(format!("komainu-{}", letter.id))
        .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(letter.text.clone()))
        .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(letter.html.clone()));
    builder.multipart(body).expect("a mail with a sender and a reader can be written")
}

/// What would end a header's line is a blank.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

impl Postman {
    /// Reads the system's certificates once.
    pub fn new(config: Config) -> Result<Self, ChannelError> {
        Courier::new(config).map(|courier| Self { courier }).map_err(ChannelError::PrepareTls)
    }

    /// Connects, and signs in where the server wants that.
    pub async fn open(&self) -> Result<Round<'_>, LetterError> {
        let host = &self.courier.config.server.host;
        match timeout(DIALOGUE_LIMIT, self.courier.connect()).await {
            Ok(Ok(connection)) => Ok(Round { postman: self, connection: Connected(connection) }),
            Ok(Err(error)) => Err(LetterError::Server { reason: self.courier.reason(&error) }),
            Err(_) => {
                let reason = format!("{host} did not let in within {} s", DIALOGUE_LIMIT.as_secs());
                Err(LetterError::Server { reason })
            }
        }
    }

    /// Longest that one letter may take.
    pub fn longest(&self) -> Duration {
        DIALOGUE_LIMIT + self.courier.config.confirm_within
    }
}

impl Round<'_> {
    /// Hands one letter over. After an error that is the server's or an answer that stayed away the connection is of no use any more.
    pub async fn hand(&mut self, letter: &Letter, now_ms: i64) -> Result<(), LetterError> {
        let config = &self.postman.courier.config;
        let mail = payload(&config.from, letter, now_ms).formatted();
        let offered = timeout(DIALOGUE_LIMIT, self.offer(letter)).await;
        offered.unwrap_or_else(|_| {
            let reason =
                format!("{} did not take the address within {} s", config.server.host, DIALOGUE_LIMIT.as_secs());
            Err(LetterError::Server { reason })
        })?;
        let patience = config.confirm_within;
        match timeout(patience, self.connection.0.message(&mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judge(&error)
                .unwrap_or_else(|| LetterError::Unanswered { reason: "the connection broke off".to_owned() })),
            Err(_) => {
                let reason = format!("the mail was not confirmed within {} s", patience.as_secs());
                Err(LetterError::Unanswered { reason })
            }
        }
    }

    /// Parts in peace.
    pub async fn close(mut self) {
        let _parted = timeout(QUIT_LIMIT, self.connection.0.abort()).await;
    }

    async fn offer(&mut self, letter: &Letter) -> Result<(), LetterError> {
        let config = &self.postman.courier.config;
        let is_beyond = |mailbox: &Mailbox| !AsRef::<str>::as_ref(&mailbox.email).is_ascii();
        let takes_all = self.connection.0.server_info().supports_feature(Extension::SmtpUtfEight);
        if is_beyond(&letter.to) && !takes_all {
            let reason = "the mail server takes no user beyond ASCII (SMTPUTF8)".to_owned();
            return Err(LetterError::Refused { reason });
        }
        let needs_it = takes_all && (is_beyond(&letter.to) || is_beyond(&config.from));
        let options = needs_it.then_some(MailParameter::SmtpUtfEight).into_iter().collect();
        let from = Mail::new(Some(config.from.email.clone()), options);
        let server = |error: &SmtpError| LetterError::Server { reason: self.postman.courier.reason(error) };
        self.connection.0.command(from).await.map_err(|error| server(&error))?;
        if let Err(error) = self.connection.0.command(Rcpt::new(letter.to.email.clone(), vec![])).await {
            let judged = judge(&error);
            // What was begun for this reader is not to be mixed with the next one's.
            let is_reset = match &judged {
                Some(_) => self.connection.0.command(lettre::transport::smtp::commands::Rset).await.is_ok(),
                None => false,
            };
            let broken = || LetterError::Server { reason: "the connection broke off".to_owned() };
            return Err(judged.filter(|_| is_reset).unwrap_or_else(broken));
        }
        let data = lettre::transport::smtp::commands::Data;
        self.connection.0.command(data).await.map(drop).map_err(|error| judge(&error).unwrap_or_else(|| server(&error)))
    }
}

/// What an answer means; `None`: there was none.
fn judge(error: &SmtpError) -> Option<LetterError> {
    let reason = format!("the mail server answered {}", error.status()?);
    Some(if error.is_permanent() { LetterError::Refused { reason } } else { LetterError::Later { reason } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        Letter {
            to: "jane@example.com".parse().unwrap(),
            subject: "[Shop] Slow\r\nBcc: everybody@example.com".to_owned(),
            id: "7-abc".to_owned(),
            thread: Some("notice-n1".to_owned()),
            is_reply: true,
            text: "Words.".to_owned(),
            html: "<p>Words.</p>".to_owned(),
            unsubscribe: Some("https://status.example/pages/shop/unsubscribe/x".to_owned()),
        }
    }

    #[test]
    fn a_letter_says_how_to_get_no_more_of_them_and_belongs_to_its_thread() {
        let mail = payload(&"Shop <status@example.com>".parse().unwrap(), &letter(), 0).formatted();
        let mail = String::from_utf8(mail).unwrap();
        for line in [
            "Message-ID: <7-abc.komainu@example.com>\r\n",
            "References: <notice-n1.komainu@example.com>\r\n",
            "In-Reply-To: <notice-n1.komainu@example.com>\r\n",
            "List-Unsubscribe: <https://status.example/pages/shop/unsubscribe/x>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "To: jane@example.com\r\n",
        ] {
            assert!(mail.contains(line), "{line} is not in {mail}");
        }
    }

    #[test]
    fn nothing_that_is_said_ends_a_header() {
        let mail = payload(&"status@example.com".parse().unwrap(), &letter(), 0).formatted();
        let mail = String::from_utf8(mail).unwrap();
        assert!(
            !mail.contains("\r\nBcc:") && mail.contains("Subject: [Shop] Slow  Bcc: everybody@example.com\r\n"),
            "{mail}"
        );
    }
}
