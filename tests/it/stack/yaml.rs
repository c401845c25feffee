//! compose.yaml as JSON, with its anchors and merge keys resolved, as compose reads it.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use super::repository;

/// compose.yaml.
pub(crate) fn stack() -> Value {
    read("compose/compose.yaml")
}

/// A file of one document.
pub(super) fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(repository(name)).unwrap();
    let documents = Yaml::load_from_str(&text).unwrap();
    assert_eq!(documents.len(), 1, "{name}");
    json(&documents[0])
}

fn json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(scalar) => plain(scalar),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), json(value)));
            merged(entries.collect()).into()
        }
        // Compose's word for taking out what the file beneath says.
        Yaml::Tagged(tag, _) => format!("!{}", tag.suffix).into(),
        other => panic!("compose has no such value: {other:?}"),
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

/// What stands beside `<<` outweighs what it brings.
fn merged(mut own: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Object(mut base)) = own.remove("<<") else { return own };
    base.extend(own);
    base
}
