//! The names of things, as types, so that a node id is never mistaken for a watchdog id.
//!
//! Owns no rule beyond "what an id looks like"; who may use which id is decided elsewhere.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text, as it stands in the database, in JSON and in the log.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// A process that runs monitors, by its configured name (`node1`).
    NodeId
}
name_type! {
    /// One configured watchdog (`w1`).
    WatchdogId
}
name_type! {
    /// Where a watchdog stands; two zones do not fail together. Default: the host's name.
    Zone
}

name_type! {
    /// A check, by the name that its owner gave it (`api`).
    CheckName
}

macro_rules! number_type {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_type! {
    /// The key of a row of Kuma's `monitor` table.
    MonitorId(i64)
}
number_type! {
    /// The number of a leadership, one higher at each claim.
    Epoch(u64)
}
number_type! {
    /// The number of the cluster's assignment, one higher at each change.
    Generation(u64)
}

impl Generation {
    /// The generation that the next change makes.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

macro_rules! random_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u64::from_str_radix(text, 16).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

random_type! {
    /// Drawn by a watchdog or node process when it starts: two processes never share one. Text form: 16 hex digits.
    Incarnation
}
random_type! {
    /// Drawn anew with each generation, so that a database that lost its tail is recognised when it reaches the same
    /// number again. Text form: 16 hex digits.
    Nonce
}

/// A generation together with the nonce that makes it this one and no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// The generation's number.
    pub generation: Generation,
    /// What was drawn with it.
    pub nonce: Nonce,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_reads_back_from_its_text() {
        let drawn = Incarnation(0x0012_3456_789a_bcde);
        assert_eq!(drawn.to_string(), "00123456789abcde");
        assert_eq!(drawn.to_string().parse(), Ok(drawn));
    }
}
