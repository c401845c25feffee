//! Durations as people write them: `"5s"`, `"500ms"`, `"1m30s"`.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserializer;
use serde::de::{Error, Visitor};

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserializer.deserialize_str(Written).map(Some)
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, \"5s\" or \"500ms\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        let span = text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
        span.ok_or_else(|| E::custom(format!("\"{text}\" is not a duration; write \"5s\", \"500ms\" or \"1m30s\"")))
    }
}
