//! YAML in which every field knows its line. Decides nothing of what a document means.
//!
//! YAML 1.2: `yes` and `no` are texts. A key that comes twice is an error, anchors and aliases are resolved.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::Value;

use super::FileFault;
use crate::byte_order_mark;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Node {
    pub(in crate::cli::apply) line: usize,
    pub(in crate::cli::apply) held: NodeContent,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum NodeContent {
    /// In the order of the file.
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
    Plain(Value),
}

/// Reads one document.
pub(in crate::cli) fn read(text: &str) -> Result<Node, FileFault> {
    let text = byte_order_mark::stripped(text);
    let documents =
        MarkedYaml::load_from_str(text).map_err(|error| refused(text, error.marker().line(), error.info()))?;
    match documents.as_slice() {
        [] => Err(FileFault::new(1, "", "the file is empty")),
        [one] => Reading { lines: text.lines().collect() }.node(one, one.span.start.line()),
        [_, second, ..] => Err(FileFault::new(second.span.start.line(), "", "there is a second document; write one")),
    }
}

/// As people look for it: by the line, and by the key where one comes twice.
fn refused(text: &str, line: usize, info: &str) -> FileFault {
    if !info.contains("duplicated key") {
        return FileFault::new(line, "", format!("this is no YAML: {info}"));
    }
    let written = line.checked_sub(1).and_then(|at| text.lines().nth(at)).unwrap_or_default();
    let key = written.split(':').next().unwrap_or_default().trim();
    // Of several keys in braces on one line nobody knows which.
    let which = if key.contains(['{', ',']) || key.is_empty() { "a key".to_owned() } else { format!("the key {key}") };
    FileFault::new(line, "", format!("{which} stands a second time in the same place; keep one of them"))
}

impl Node {
    /// As JSON, without the lines.
    pub(in crate::cli) fn json(&self) -> Value {
        match &self.held {
            NodeContent::Map(entries) => entries.iter().map(|(key, node)| (key.clone(), node.json())).collect(),
            NodeContent::List(items) => items.iter().map(Self::json).collect(),
            NodeContent::Plain(value) => value.clone(),
        }
    }
}

/// The file, for what only its letters tell.
struct Reading<'a> {
    lines: Vec<&'a str>,
}

impl Reading<'_> {
    /// `line` is the key's: a block that follows it begins a line later, and people look for the key.
    fn node(&self, yaml: &MarkedYaml<'_>, line: usize) -> Result<Node, FileFault> {
        let held = match &yaml.data {
            YamlData::Value(scalar) => NodeContent::Plain(plain(scalar)),
            YamlData::Sequence(items) => NodeContent::List(
                items.iter().map(|item| self.node(item, item.span.start.line())).collect::<Result<_, _>>()?,
            ),
            YamlData::Mapping(entries) => {
                let entry = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                    let line = key.span.start.line();
                    Ok((self.key_of(key, line)?, self.node(value, line)?))
                };
                NodeContent::Map(entries.iter().map(entry).collect::<Result<_, FileFault>>()?)
            }
            YamlData::Tagged(tag, _) => {
                return Err(FileFault::new(line, "", format!("the tag {tag} says nothing here; leave it out")));
            }
            YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
                return Err(FileFault::new(line, "", "this value cannot be read"));
            }
        };
        Ok(Node { line, held })
    }

    /// Names made of digits are names all the same, letter by letter: `007` is not `7`.
    fn key_of(&self, key: &MarkedYaml<'_>, line: usize) -> Result<String, FileFault> {
        match &key.data {
            YamlData::Value(Scalar::String(text)) => Ok(text.to_string()),
            YamlData::Value(Scalar::Integer(_) | Scalar::Boolean(_)) => {
                self.written(key).ok_or_else(|| FileFault::new(line, "", "this key cannot be read; put it in quotes"))
            }
            YamlData::Value(Scalar::Null | Scalar::FloatingPoint(_))
            | YamlData::Sequence(_)
            | YamlData::Mapping(_)
            | YamlData::Tagged(..)
            | YamlData::Representation(..)
            | YamlData::Alias(_)
            | YamlData::BadValue => Err(FileFault::new(line, "", "a key must be text; put it in quotes")),
        }
    }

    /// The letters of a plain scalar within one line.
    fn written(&self, key: &MarkedYaml<'_>) -> Option<String> {
        let (begins, length) = (key.span.start, key.span.len());
        let line = self.lines.get(begins.line().checked_sub(1)?)?;
        let letters: String = line.chars().skip(begins.col()).take(length).collect();
        let letters = letters.trim().to_owned();
        (!letters.is_empty()).then_some(letters)
    }
}

fn plain(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(flag) => Value::from(*flag),
        Scalar::Integer(number) => Value::from(*number),
        Scalar::FloatingPoint(number) => Value::from(number.into_inner()),
        Scalar::String(text) => Value::from(text.to_string()),
    }
}
