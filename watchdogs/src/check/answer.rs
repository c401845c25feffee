//! What came of one look: an outcome with a reason that decides, and an answer in detail that is only shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// What came of one look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict", content = "reason")]
pub enum Outcome {
    /// The target answers as it should.
    Up,
    /// It does not.
    Failed(Failure),
    /// This watchdog could not look: its own trouble, which is no vote.
    Unable(Trouble),
}

impl Outcome {
    /// What it means where an answer is the fault. Own trouble stays that, and so does a target that nobody may look at.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Self::Up => Self::Failed(Failure::Content),
            Self::Failed(Failure::Forbidden) | Self::Unable(_) => self,
            Self::Failed(_) => Self::Up,
        }
    }
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $words:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $code)] $variant,)*
        }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it stands in rows and JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }

        impl fmt::Display for $name {
            /// In words for people.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $words,)* })
            }
        }
    };
}

codes! {
    /// Why a look failed, in a word that messages, rows and JSON share.
    Failure {
        /// Its host said that nobody listens there.
        Refused = "refused", "connection refused";
        /// Its host cut the connection.
        Reset = "reset", "connection reset";
        /// No connection within the timeout.
        ConnectTimeout = "connect_timeout", "no connection in time";
        /// A connection, and no whole answer within the timeout.
        AnswerTimeout = "answer_timeout", "no answer in time";
        /// A router on the way said that there is no way.
        Unreachable = "unreachable", "host or network unreachable";
        /// A name server said that there is no such name, or no address of it.
        NoName = "no_name", "no such name";
        /// The encrypted connection did not come about.
        Tls = "tls", "TLS handshake failed";
        /// Its certificate is not trusted, not of this name, or over.
        Certificate = "certificate", "certificate not valid";
        /// Another status than is accepted.
        Status = "status", "unexpected status";
        /// The right status, and not what is to stand in the answer.
        Content = "content", "unexpected content";
        /// Bytes that are no answer of this protocol.
        Protocol = "protocol", "malformed answer";
        /// More than is kept, or redirects without end.
        TooMuch = "too_much", "too large or redirected too often";
        /// A target that the configuration forbids, found after a redirect or a name's resolution.
        Forbidden = "forbidden", "target not allowed";
    }
}

impl Failure {
    /// It looks the same when this watchdog's own network is gone: it counts only once the outside world was seen to answer.
    pub fn is_doubtful(self) -> bool {
        match self {
            Self::ConnectTimeout | Self::AnswerTimeout | Self::Unreachable | Self::NoName => true,
            Self::Refused
            | Self::Reset
            | Self::Tls
            | Self::Certificate
            | Self::Status
            | Self::Content
            | Self::Protocol
            | Self::TooMuch
            | Self::Forbidden => false,
        }
    }
}

codes! {
    /// Why a watchdog could not look.
    Trouble {
        /// No descriptor was free.
        Descriptors = "descriptors", "too many open files";
        /// No buffer or memory was free.
        Memory = "memory", "out of memory";
        /// No local address or port was free, or none of this family.
        Address = "address", "no local address";
        /// It has no route there.
        Route = "route", "no route";
        /// Its own name server does not answer.
        NameServer = "name_server", "own name server does not answer";
        /// None of its canaries answered either.
        CutOff = "cut_off", "cut off from the outside world";
        /// It may not: no raw socket for a ping.
        Permission = "permission", "not permitted";
        /// It cannot look at such a target.
        Unsupported = "unsupported", "cannot look at this type";
        /// The look itself went wrong.
        Internal = "internal", "internal error";
        /// Its process stood still meanwhile.
        Stalled = "stalled", "this watchdog stood still";
        /// It began and never ended.
        Lost = "lost", "look never ended";
    }
}

/// How long each phase of a look took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Until the name was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_ms: Option<u32>,
    /// From there until connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u32>,
    /// From there until encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<u32>,
    /// From there until the first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u32>,
}

/// What a look saw. Nothing is decided by it but how long a look usually takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// From its beginning to its end.
    #[serde(default)]
    pub ms: u32,
    /// Where that went.
    #[serde(default)]
    pub phases: Phases,
    /// The address that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The status of an HTTP answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// In words for people, at most 200 bytes; empty while all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// When its certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_ends_at: Option<Wall>,
}

/// Bytes of an answer's words: they travel to every peer with each look that fails, stand in messages and are stored.
pub const DETAIL_MOST: usize = 200;

/// Bytes of an address as it is written; the longest has 45, and a zone.
const ADDRESS_MOST: usize = 64;

impl Answer {
    /// Whatever a peer says, it says it within these bounds.
    pub fn shorten(&mut self) {
        shorten(&mut self.detail, DETAIL_MOST);
        if let Some(address) = &mut self.address {
            shorten(address, ADDRESS_MOST);
        }
    }
}

fn shorten(text: &mut String, most: usize) {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}
