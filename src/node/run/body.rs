//! Text of bodies: JSON as Kuma sees it, an excerpt for a message, and what is kept with a beat.
//!
//! Pure. Kuma parses whatever answer reads as JSON and writes it out anew before it looks for a keyword.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use brotli::enc::BrotliEncoderParams;

use super::json::{self, Script};

/// What a keyword is looked for in, besides the body as it came.
pub fn as_kuma_reads(body: &str) -> Cow<'_, str> {
    match json::parse(body) {
        // A lone JSON string is its content.
        Ok(Script::Text(text)) => Cow::Owned(text.to_text()),
        Ok(value) => Cow::Owned(value.to_json()),
        Err(_) => Cow::Borrowed(body),
    }
}

/// At most 50 characters of a body without its tags: Kuma's excerpt.
pub fn excerpt(body: &str) -> String {
    let text = without_tags(body);
    let text = text.trim();
    if text.chars().count() > 50 { text.chars().take(47).chain("...".chars()).collect() } else { text.to_owned() }
}

/// What Kuma stores of a body in `heartbeat.response`: so many characters of it (as JavaScript counts them), Brotli,
/// base64. `None`: it could not be compressed.
pub fn kept(body: &str, most: u32) -> Option<String> {
    let text = as_kuma_reads(body);
    let mut length = 0;
    let is_over = |character: char| {
        length += u64::try_from(character.len_utf16()).unwrap_or(u64::MAX);
        length > u64::from(most)
    };
    let text = match text.find(is_over) {
        Some(end) => Cow::Owned(format!("{}... (truncated)", text.get(..end).unwrap_or_default())),
        None => text,
    };
    // Kuma's 11 costs tens of milliseconds for the few bytes it saves.
    let params = BrotliEncoderParams { quality: 5, ..BrotliEncoderParams::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut text.as_bytes(), &mut compressed, &params).ok()?;
    Some(BASE64_STANDARD.encode(compressed))
}

/// Each tag, line end, and run of white space becomes one blank.
fn without_tags(body: &str) -> String {
    let mut text = String::new();
    let mut rest = body.chars().peekable();
    while let Some(first) = rest.next() {
        if first == '<' {
            rest.by_ref().find(|&next| next == '>');
            text.push(' ');
        } else if first == '\n' || first == '\r' {
            text.push(' ');
        } else if first.is_whitespace() {
            while rest.next_if(|next| next.is_whitespace()).is_some() {}
            text.push(' ');
        } else {
            text.push(first);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_kuma_writes_it() {
        let text = "{\n  \"z\": [1, 2.50, true],\n  \"a b\": \"x \\\" \\u00e9 \\/\"\n}";
        assert_eq!(as_kuma_reads(text), r#"{"z":[1,2.5,true],"a b":"x \" é /"}"#);
        assert_eq!(as_kuma_reads("{\"a\": }"), "{\"a\": }");
        assert_eq!(as_kuma_reads("<p>hello</p>"), "<p>hello</p>");
    }

    #[test]
    fn a_lone_json_string_is_its_content() {
        assert_eq!(as_kuma_reads("\"all good\""), "all good");
    }

    #[test]
    fn what_is_kept_of_a_body_reads_as_kuma_reads_it() {
        assert_eq!(unpack(&kept("<p>not here</p>", 1_024).unwrap()), "<p>not here</p>");
        assert_eq!(unpack(&kept("{ \"a\": 1 }", 1_024).unwrap()), "{\"a\":1}");
        assert_eq!(unpack(&kept("", 1_024).unwrap()), "");
    }

    #[test]
    fn a_long_body_is_cut_and_says_so() {
        assert_eq!(unpack(&kept("abcdef", 6).unwrap()), "abcdef");
        assert_eq!(unpack(&kept("abcdefg", 6).unwrap()), "abcdef... (truncated)");
        assert_eq!(unpack(&kept("ab\u{1f4a9}", 3).unwrap()), "ab... (truncated)", "two units in JavaScript");
    }

    #[test]
    fn an_excerpt_has_no_tags_and_at_most_fifty_characters() {
        assert_eq!(excerpt("<html>\n<b>Not   found</b></html"), "Not found");
        let long = excerpt(&"x".repeat(80));
        assert_eq!((long.len(), long.ends_with("...")), (50, true));
    }

    fn unpack(kept: &str) -> String {
        let mut text = Vec::new();
        let compressed = BASE64_STANDARD.decode(kept).unwrap();
        brotli::BrotliDecompress(&mut compressed.as_slice(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}
