//! The items of a bulk request, as text: found one by one, and parsed one by one.
//!
//! Parsed as a whole, a body of 16 MiB takes half a gigabyte. The first item that is none, or is one too many, ends it.

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::body::{invalid, placed};
use crate::api::problem::ApiError;
use crate::byte_order_mark;

const MOST_ITEMS: usize = 10_000;

/// A monitor has some sixty columns of 64 KiB at most, and hardly one is that long.
const LONGEST_ITEM: usize = 1024 * 1024;

/// The text of one item, and in which line it stands.
pub(in crate::api) struct RawItem<'a> {
    line: usize,
    text: &'a str,
}

impl RawItem<'_> {
    pub(in crate::api) fn parse(&self, at: usize) -> Result<Map<String, Value>, ApiError> {
        match serde_json::from_str(self.text) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(not_an_object(at)),
            Err(error) => Err(placed(&error, self.line + error.line() - 1)),
        }
    }
}

/// The items of a body, none of them parsed.
pub(in crate::api) fn read(bytes: &[u8]) -> Result<Vec<RawItem<'_>>, ApiError> {
    let bytes = byte_order_mark::stripped_bytes(bytes).trim_ascii();
    let found = if bytes.first() == Some(&b'[') {
        let (mut reader, mut refused) = (serde_json::Deserializer::from_slice(bytes), None);
        let all = reader.deserialize_seq(Items { bytes, refused: &mut refused });
        match (refused, all.and_then(|all| reader.end().map(|()| all))) {
            (Some(refused), _) => return Err(refused),
            (None, Err(error)) => return Err(placed(&error, error.line())),
            (None, Ok(all)) => all,
        }
    } else {
        lines(bytes)?
    };
    if found.is_empty() {
        Err(invalid("there is no item; send a JSON array or one object a line".to_owned()))
    } else {
        Ok(found)
    }
}

/// For [`crate::hostile`]: what a bulk request holds.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(bytes: &[u8]) {
    let Ok(items) = read(bytes) else { return };
    assert!(items.len() <= MOST_ITEMS, "there is a bound");
    for (at, item) in items.iter().enumerate() {
        assert!(item.line > 0 && item.text.len() <= LONGEST_ITEM, "line {}", item.line);
        let _ = item.parse(at);
    }
}

fn lines(bytes: &[u8]) -> Result<Vec<RawItem<'_>>, ApiError> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| (at + 1, line.trim_ascii()));
    let mut found = vec![];
    for (line, bytes) in lines.filter(|(_, line)| !line.is_empty()) {
        let text = std::str::from_utf8(bytes).map_err(|_| invalid(format!("line {line}: is not UTF-8")))?;
        take(&mut found, RawItem { line, text })?;
    }
    Ok(found)
}

/// One more, unless it is one too many, or none at all: nothing after it is looked at.
fn take<'a>(found: &mut Vec<RawItem<'a>>, item: RawItem<'a>) -> Result<(), ApiError> {
    if found.len() == MOST_ITEMS {
        return Err(invalid(format!("more than {MOST_ITEMS} items; send several requests")));
    }
    if matches!(item.text.as_bytes().first(), Some(b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9')) {
        return Err(not_an_object(found.len()));
    }
    if item.text.len() > LONGEST_ITEM {
        let longest = format!("is longer than {LONGEST_ITEM} bytes");
        return Err(ApiError::field(&format!("items[{}]", found.len()), longest));
    }
    found.push(item);
    Ok(())
}

fn not_an_object(at: usize) -> ApiError {
    ApiError::field(&format!("items[{at}]"), "must be an object")
}

/// Reads an array item by item.
struct Items<'a, 'r> {
    bytes: &'a [u8],
    /// Why the rest was not read.
    refused: &'r mut Option<ApiError>,
}

impl<'a> Visitor<'a> for Items<'a, '_> {
    type Value = Vec<RawItem<'a>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![];
        let (mut line, mut counted_to) = (1, 0);
        while let Some(item) = array.next_element::<&RawValue>()? {
            let text = item.get();
            let begins = (text.as_ptr().addr() - self.bytes.as_ptr().addr()).min(self.bytes.len());
            let passed = self.bytes.get(counted_to..begins).unwrap_or_default();
            line += passed.split(|byte| *byte == b'\n').count().saturating_sub(1);
            counted_to = begins;
            if let Err(refused) = take(&mut found, RawItem { line, text }) {
                *self.refused = Some(refused);
                return Err(A::Error::custom("the rest is not read"));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> String {
        read(body.as_bytes()).map_or_else(|error| error.to_string(), |items| items.len().to_string())
    }

    #[test]
    fn an_array_and_lines_are_read_item_by_item() {
        assert_eq!(told("[{}, {\"a\": [1]}]"), "2");
        assert_eq!(told("{}\n\n {\"a\": 1}\n"), "2");
        let body = "[\n{},\n\n{\"a\":\n1}]";
        let lines: Vec<_> = read(body.as_bytes()).unwrap().iter().map(|item| item.line).collect();
        assert_eq!(lines, [2, 4]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_body() {
        assert_eq!(told("\u{feff}[{}, {}]"), "2");
        assert_eq!(told("\u{feff}{}\n{}"), "2");
    }

    #[test]
    fn what_is_no_object_or_one_too_many_ends_it() {
        assert_eq!(told("[{}, 0, oops"), "items[1]: must be an object");
        assert_eq!(told("{}\n7\noops"), "items[1]: must be an object");
        let many = format!("[{}oops", "{},".repeat(MOST_ITEMS + 1));
        assert_eq!(told(&many), "more than 10000 items; send several requests");
        assert_eq!(told("[]"), "there is no item; send a JSON array or one object a line");
    }

    #[test]
    fn garbage_is_placed_by_line_and_column() {
        assert_eq!(told("[{},\n{oops}]"), "line 2, column 2: key must be a string");
        let items = read(b"{}\n\n{oops}").unwrap();
        assert_eq!(items[1].parse(1).unwrap_err().to_string(), "line 3, column 2: key must be a string");
    }
}
