//! JSON as JavaScript reads and writes it: what Kuma makes of every answer that can be read as JSON.
//!
//! Pure. `JSON.parse` keeps the last of several values of one key in the first one's place, takes whatever number is
//! written for the nearest double, and a lone half of a surrogate pair for a character. `JSON.stringify` writes keys that
//! are whole numbers first, in their order (ECMA-262, `OrdinaryOwnPropertyKeys`), numbers as short as they may be, and a
//! lone half as an escape. All that keywords and queries look at went through both.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value as Json;

/// Deeper than any answer that is monitored; reading, writing and letting go go as deep on a thread's stack.
const DEPTH_MOST: usize = 512;

/// A value as JavaScript has it.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Script {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A double, also infinite: `1e400`.
    Number(f64),
    /// A text.
    Text(Text),
    /// An array.
    List(Vec<Self>),
    /// An object, in the order in which it is written.
    Object(Vec<(Text, Self)>),
}

/// Units of UTF-16 as they came, in any order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Text(Vec<u16>);

/// This is no JSON, or nested beyond reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoJson {
    /// Where it ceases to be: in bytes.
    pub(super) at: usize,
}

/// What `JSON.parse` makes of a text.
pub(super) fn parse(text: &str) -> Result<Script, NoJson> {
    let mut reading = Reading { text, at: 0 };
    let value = reading.value(0)?;
    reading.blanks();
    if reading.at == text.len() { Ok(value) } else { Err(NoJson { at: reading.at }) }
}

/// A number as JavaScript's `String(number)` writes it (ECMA-262, `Number::toString`).
pub(super) fn number_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    // The shortest digits that mean this number, which both languages write.
    let shortest = format!("{:e}", number.abs());
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = digits.replace('.', "");
    let exponent: i32 = exponent.parse().unwrap_or_default();
    format!("{sign}{}", placed(&digits, exponent))
}

/// Digits around their point; `exponent`: that of the first.
fn placed(digits: &str, exponent: i32) -> String {
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let after_point = exponent + 1;
    if (count..=21).contains(&after_point) {
        return format!("{digits}{}", zeros(after_point - count));
    }
    if (1..=21).contains(&after_point) {
        let (whole, rest) = digits.split_at(usize::try_from(after_point).unwrap_or(0));
        return format!("{whole}.{rest}");
    }
    if (-5..=0).contains(&after_point) {
        return format!("0.{}{digits}", zeros(-after_point));
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{}", exponent.abs())
}

impl Text {
    /// As Unicode knows it.
    pub(super) fn to_text(&self) -> String {
        String::from_utf16_lossy(&self.0)
    }

    /// The number of a key that is one: `0`, `17`, not `017`.
    fn index(&self) -> Option<u32> {
        let text = self.to_text();
        let number: u32 = text.parse().ok().filter(|&number| number < u32::MAX)?;
        (number.to_string() == text).then_some(number)
    }

    fn write(&self, json: &mut String) {
        json.push('"');
        for unit in char::decode_utf16(self.0.iter().copied()) {
            match unit {
                Ok('"') => json.push_str("\\\""),
                Ok('\\') => json.push_str("\\\\"),
                Ok('\u{8}') => json.push_str("\\b"),
                Ok('\u{c}') => json.push_str("\\f"),
                Ok('\n') => json.push_str("\\n"),
                Ok('\r') => json.push_str("\\r"),
                Ok('\t') => json.push_str("\\t"),
                Ok(control) if control < ' ' => drop(write!(json, "\\u{:04x}", u32::from(control))),
                Ok(plain) => json.push(plain),
                Err(lone) => drop(write!(json, "\\u{:04x}", lone.unpaired_surrogate())),
            }
        }
        json.push('"');
    }
}

impl Script {
    /// What `JSON.stringify` writes.
    pub(super) fn to_json(&self) -> String {
        let mut json = String::new();
        self.write(&mut json);
        json
    }

    fn write(&self, json: &mut String) {
        match self {
            Self::Bool(flag) => json.push_str(if *flag { "true" } else { "false" }),
            Self::Number(number) if number.is_finite() => json.push_str(&number_text(*number)),
            Self::Null | Self::Number(_) => json.push_str("null"),
            Self::Text(text) => text.write(json),
            Self::List(items) => {
                json.push('[');
                for (at, item) in items.iter().enumerate() {
                    json.push_str(if at == 0 { "" } else { "," });
                    item.write(json);
                }
                json.push(']');
            }
            Self::Object(entries) => {
                json.push('{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    json.push_str(if at == 0 { "" } else { "," });
                    key.write(json);
                    json.push(':');
                    value.write(json);
                }
                json.push('}');
            }
        }
    }

    /// What `String(value)` writes.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(flag) => flag.to_string(),
            Self::Number(number) => number_text(*number),
            Self::Text(text) => text.to_text(),
            Self::List(items) => {
                let text = |item: &Self| if *item == Self::Null { String::new() } else { item.to_text() };
                items.iter().map(text).collect::<Vec<_>>().join(",")
            }
            Self::Object(_) => "[object Object]".to_owned(),
        }
    }

    /// What JavaScript takes for false.
    pub(super) fn is_falsy(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(flag) => !flag,
            Self::Number(number) => *number == 0.0,
            Self::Text(Text(units)) => units.is_empty(),
            Self::List(_) | Self::Object(_) => false,
        }
    }
}

struct Reading<'a> {
    text: &'a str,
    at: usize,
}

impl Reading<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault<T>(&self) -> Result<T, NoJson> {
        Err(NoJson { at: self.at })
    }

    fn blanks(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<Script, NoJson> {
        self.blanks();
        if depth > DEPTH_MOST {
            return self.fault();
        }
        match self.next() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Script::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) if self.take("true") => Ok(Script::Bool(true)),
            Some(_) if self.take("false") => Ok(Script::Bool(false)),
            Some(_) if self.take("null") => Ok(Script::Null),
            Some(_) | None => self.fault(),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Script, NoJson> {
        self.at += 1;
        let mut items = vec![];
        self.blanks();
        if self.take("]") {
            return Ok(Script::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.take("]") {
                return Ok(Script::List(items));
            }
            if !self.take(",") {
                return self.fault();
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Script, NoJson> {
        self.at += 1;
        let mut entries = vec![];
        self.blanks();
        if self.take("}") {
            return Ok(Script::Object(entries));
        }
        loop {
            self.blanks();
            let key = if self.next() == Some(b'"') { self.string()? } else { return self.fault() };
            self.blanks();
            if !self.take(":") {
                return self.fault();
            }
            entries.push((key, self.value(depth + 1)?));
            self.blanks();
            if self.take("}") {
                return Ok(Script::Object(ordered(entries)));
            }
            if !self.take(",") {
                return self.fault();
            }
        }
    }

    fn number(&mut self) -> Result<Script, NoJson> {
        let begins = self.at;
        self.take("-");
        match self.next() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            Some(_) | None => return self.fault(),
        }
        if self.take(".") && !self.some_digits() {
            return self.fault();
        }
        if matches!(self.next(), Some(b'e' | b'E')) {
            self.at += 1;
            let _sign = self.take("+") || self.take("-");
            if !self.some_digits() {
                return self.fault();
            }
        }
        let written = self.text.get(begins..self.at).unwrap_or_default();
        written.parse().map(Script::Number).map_err(|_| NoJson { at: begins })
    }

    fn digits(&mut self) {
        while matches!(self.next(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> bool {
        let begins = self.at;
        self.digits();
        self.at > begins
    }

    fn string(&mut self) -> Result<Text, NoJson> {
        self.at += 1;
        let mut units = vec![];
        loop {
            let Some(letter) = self.rest().chars().next() else { return self.fault() };
            match letter {
                '"' => {
                    self.at += 1;
                    return Ok(Text(units));
                }
                '\\' => units.push(self.escape()?),
                control if control < ' ' => return self.fault(),
                plain => {
                    self.at += plain.len_utf8();
                    units.extend(plain.encode_utf16(&mut [0; 2]).iter());
                }
            }
        }
    }

    fn escape(&mut self) -> Result<u16, NoJson> {
        self.at += 1;
        let Some(letter) = self.next() else { return self.fault() };
        let unit = match letter {
            b'"' | b'\\' | b'/' => u16::from(letter),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at + 1..self.at + 5).filter(|digits| digits.is_ascii());
                let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
                let Some(unit) = unit else { return self.fault() };
                self.at += 4;
                unit
            }
            _ => return self.fault(),
        };
        self.at += 1;
        Ok(unit)
    }
}

/// As an object of JavaScript has them: keys that are numbers first, each once, the last value in the first one's place.
fn ordered(entries: Vec<(Text, Script)>) -> Vec<(Text, Script)> {
    let mut places = HashMap::with_capacity(entries.len());
    let mut kept: Vec<(Text, Script)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if let Some((_, before)) = places.get(&key).and_then(|&at: &usize| kept.get_mut(at)) {
            *before = value;
        } else {
            places.insert(key.clone(), kept.len());
            kept.push((key, value));
        }
    }
    // A stable sort: what is no number stays in its order.
    kept.sort_by_key(|(key, _)| key.index().map_or((1, 0), |index| (0, index)));
    kept
}

/// A text as `JSON.stringify` writes it.
pub(super) fn text_json(text: &str) -> String {
    Script::Text(Text(text.encode_utf16().collect())).to_json()
}

/// The text of a header's value: `String(value)`, but that lists and objects have none that anybody means.
pub(super) fn plain_text(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some("null".to_owned()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Number(number) => Some(number.as_f64().map_or_else(|| number.to_string(), number_text)),
        Json::String(text) => Some(text.clone()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        parse(text).map_or_else(|fault| format!("no JSON at {}", fault.at), |value| value.to_json())
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        for (written, told) in [
            ("1.0", "1"),
            ("2.50", "2.5"),
            ("-0", "0"),
            ("1e3", "1000"),
            ("1E+21", "1e+21"),
            ("123456789012345680000", "123456789012345680000"),
            ("1e21", "1e+21"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.5e-9", "1.5e-9"),
            ("12345678901234567890", "12345678901234567000"),
            ("0.1", "0.1"),
            ("1e400", "null"),
            ("-1e400", "null"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ] {
            assert_eq!(rewritten(written), told, "{written}");
        }
        assert_eq!(number_text(f64::INFINITY), "Infinity");
    }

    #[test]
    fn objects_keep_the_last_of_a_key_and_put_numbers_first() {
        assert_eq!(
            rewritten(r#"{"b": 1, "10": 2, "a": 3, "2": 4, "b": 5, "01": 6}"#),
            r#"{"2":4,"10":2,"b":5,"a":3,"01":6}"#
        );
    }

    #[test]
    fn texts_need_no_more_escapes_than_they_must_and_lone_halves_of_pairs_are_some() {
        assert_eq!(rewritten(r#""\u00e9 \/ \u0007 \n \ud83d\ude00""#), "\"é / \\u0007 \\n \u{1f600}\"");
        assert_eq!(rewritten(r#"["\ud800", "\uDC00x"]"#), r#"["\ud800","\udc00x"]"#);
        assert_eq!(parse(r#""a\ud800""#).unwrap().to_text(), "a\u{fffd}");
    }

    #[test]
    fn what_is_no_json_is_said() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "'a'",
            "\"a\nb\"",
            "tru",
            "NaN",
            "[1] 2",
            "\"\\x\"",
            "\u{a0}1",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nesting_within_reason_is_read_and_beyond_it_is_no_json() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(500)).is_ok());
        assert!(parse(&nested(100_000)).is_err());
    }

    #[test]
    fn texts_of_values_are_those_of_javascript() {
        let text = |json: &str| parse(json).unwrap().to_text();
        assert_eq!(text("[1, null, [2, \"a\"], {}]"), "1,,2,a,[object Object]");
        assert_eq!(
            (text("1e400"), text("null"), text("0.50")),
            ("Infinity".to_owned(), "null".to_owned(), "0.5".to_owned())
        );
    }
}
