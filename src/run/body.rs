//! Text of bodies: JSON as Kuma sees it, an excerpt for a message, and what is kept with a beat.
//!
//! Pure. Kuma parses whatever answer reads as JSON and writes it out anew before it looks for a keyword.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use brotli::enc::BrotliEncoderParams;
use serde::de::IgnoredAny;

use super::json::{self, Script};

/// JSON that is longer is not taken apart: as values it would take many times its room, which no budget counts. Its numbers
/// and escapes stay as they came.
const TAKEN_APART: usize = 1_024 * 1_024;

/// What a keyword is looked for in, besides the body as it came.
pub fn as_kuma_reads(body: &str) -> Cow<'_, str> {
    if body.len() > TAKEN_APART {
        let is_json = serde_json::from_str::<IgnoredAny>(body).is_ok();
        return if is_json { Cow::Owned(without_blanks(body)) } else { Cow::Borrowed(body) };
    }
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
/// base64. `None`: it could not be compressed. Where the body is only the beginning of an answer, what begins as JSON
/// counts as JSON.
pub fn kept(body: &str, most: u32, is_beginning: bool) -> Option<String> {
    let text = match body.trim_start().chars().next() {
        Some('{' | '[') if is_beginning => Cow::Owned(without_blanks(body)),
        Some(_) | None => as_kuma_reads(body),
    };
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

/// The beginning of a text in which each tag, line end, and run of white space is one blank: longer than any excerpt. Of
/// blanks before it, it has none.
fn without_tags(body: &str) -> String {
    const LONG_ENOUGH: usize = 1_024;
    let mut text = String::new();
    let mut rest = body.chars().peekable();
    while let Some(first) = rest.next() {
        if text.trim_end().is_empty() {
            text.clear();
        } else if text.len() > LONG_ENOUGH {
            break;
        }
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

/// Without white space between its tokens: of what may be only the beginning of JSON.
fn without_blanks(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let (literal, after) = split_literal(rest);
            // What breaks off is no literal.
            compact.push_str(&json::parse(literal).map_or_else(|_| literal.to_owned(), |text| text.to_json()));
            rest = after;
        } else {
            if !first.is_ascii_whitespace() {
                compact.push(first);
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    compact
}

/// Splits a text that begins with a JSON string after that string.
fn split_literal(text: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, next)| {
        let ends = next == '"' && !is_escaped;
        is_escaped = next == '\\' && !is_escaped;
        ends
    });
    text.split_at(end.map_or(text.len(), |(at, _)| at + 1))
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
        assert_eq!(unpack(&kept("<p>not here</p>", 1_024, false).unwrap()), "<p>not here</p>");
        assert_eq!(unpack(&kept("{ \"a\": 1 }", 1_024, false).unwrap()), "{\"a\":1}");
        assert_eq!(unpack(&kept("", 1_024, false).unwrap()), "");
    }

    #[test]
    fn a_long_body_is_cut_and_says_so() {
        assert_eq!(unpack(&kept("abcdef", 6, false).unwrap()), "abcdef");
        assert_eq!(unpack(&kept("abcdefg", 6, false).unwrap()), "abcdef... (truncated)");
        assert_eq!(unpack(&kept("ab\u{1f4a9}", 3, false).unwrap()), "ab... (truncated)", "two units in JavaScript");
    }

    #[test]
    fn a_long_answer_is_read_without_blanks_too() {
        let long = format!("{{ \"a\": [{}0] }}", "0, ".repeat(500_000));
        let read = as_kuma_reads(&long);
        assert!(read.starts_with("{\"a\":[0,0,0,") && read.ends_with(",0]}"));
    }

    #[test]
    fn the_beginning_of_a_long_answer_is_kept_as_the_whole_would_be() {
        let whole = format!("{{\n  \"a\": [1, 2],\n  \"b\": \"{}\"\n}}", "x".repeat(100));
        let beginning = whole.get(..40).unwrap();
        assert_eq!(kept(beginning, 12, true), kept(&whole, 12, false));
        assert_eq!(unpack(&kept("<p>a b", 3, true).unwrap()), "<p>... (truncated)");
    }

    #[test]
    fn an_excerpt_of_a_page_that_begins_with_much_that_is_not_shown_is_its_text() {
        let page = format!("{}<b>it</b> {} works", "<br>\n".repeat(5_000), "<i></i>".repeat(10));
        assert_eq!(excerpt(&page).split_whitespace().collect::<Vec<_>>(), ["it", "works"]);
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
