//! Text of bodies: JSON as Kuma sees it, and an excerpt for a message.
//!
//! Pure. Kuma parses whatever answer reads as JSON and writes it out anew before it looks for a keyword, and it sends
//! a JSON body written anew: without white space between tokens.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// JSON without white space between its tokens, its order and numbers kept; `None` if it is no JSON.
pub fn compact_json(text: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(text)?;
    let mut compact = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let (literal, after) = split_literal(rest);
            compact.push_str(&rewrite_literal(literal));
            rest = after;
        } else {
            if !first.is_ascii_whitespace() {
                compact.push(first);
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    Ok(compact)
}

/// What a keyword is looked for in, besides the body as it came.
pub fn as_kuma_reads(body: &str) -> Cow<'_, str> {
    match compact_json(body) {
        // A lone JSON string is its content.
        Ok(json) if json.starts_with('"') => {
            serde_json::from_str::<String>(&json).map_or(Cow::Borrowed(body), Cow::Owned)
        }
        Ok(json) => Cow::Owned(json),
        Err(_) => Cow::Borrowed(body),
    }
}

/// At most 50 characters of a body without its tags: Kuma's excerpt.
pub fn excerpt(body: &str) -> String {
    let text = without_tags(body);
    let text = text.trim();
    if text.chars().count() > 50 { text.chars().take(47).chain("...".chars()).collect() } else { text.to_owned() }
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

/// A JSON string with no more escapes than it needs.
fn rewrite_literal(literal: &str) -> String {
    serde_json::from_str::<String>(literal)
        .and_then(|content| serde_json::to_string(&content))
        // A lone surrogate is valid JSON to some, but no text.
        .unwrap_or_else(|_| literal.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_without_blanks_and_in_its_order() {
        let text = "{\n  \"z\": [1, 2.50, true],\n  \"a b\": \"x \\\" \\u00e9 \\/\"\n}";
        assert_eq!(compact_json(text).unwrap(), r#"{"z":[1,2.50,true],"a b":"x \" é /"}"#);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert!(compact_json("{\"a\": }").is_err());
        assert_eq!(as_kuma_reads("<p>hello</p>"), "<p>hello</p>");
    }

    #[test]
    fn a_lone_json_string_is_its_content() {
        assert_eq!(as_kuma_reads("\"all good\""), "all good");
    }

    #[test]
    fn an_excerpt_has_no_tags_and_at_most_fifty_characters() {
        assert_eq!(excerpt("<html>\n<b>Not   found</b></html"), "Not found");
        let long = excerpt(&"x".repeat(80));
        assert_eq!((long.len(), long.ends_with("...")), (50, true));
    }
}
