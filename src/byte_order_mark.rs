//! The byte order mark that editors and programs on Windows put before a text: it is no part of what the text says.

/// Of a text in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The text without it.
#[must_use]
pub(crate) fn stripped(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The same of bytes.
#[must_use]
pub(crate) fn stripped_bytes(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}
