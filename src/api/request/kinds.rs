//! The kinds of field that many requests have. Others stand beside the handlers that read them.

use serde_json::Value;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};

use super::{Field, Shape};
use crate::api::fields::kind;

/// Text of so many characters; of one at least, it must not be blank.
pub(in crate::api) struct Text<const LEAST: usize, const MOST: usize>;

impl<const LEAST: usize, const MOST: usize> Field for Text<LEAST, MOST> {
    type Value = String;

    fn read(sent: &Value) -> Result<String, String> {
        let text = sent.as_str().ok_or_else(|| format!("must be text, not {}", kind(sent)))?;
        if text.chars().count() > MOST {
            return Err(format!("must have at most {MOST} characters"));
        }
        if LEAST > 0 && text.trim().is_empty() {
            return Err("is missing".to_owned());
        }
        Ok(text.to_owned())
    }

    fn shape() -> Shape {
        let least = Some(LEAST).filter(|least| *least > 0);
        Shape::one(Type::String, |text| text.min_length(least).max_length(Some(MOST)))
    }
}

/// A whole number within bounds; of a query, its digits.
pub(in crate::api) struct Whole<const LEAST: i64, const MOST: i64>;

impl<const LEAST: i64, const MOST: i64> Field for Whole<LEAST, MOST> {
    type Value = i64;

    fn read(sent: &Value) -> Result<i64, String> {
        let number = sent.as_i64().or_else(|| sent.as_str().and_then(|text| text.parse().ok()));
        let fitting = number.filter(|number| (LEAST..=MOST).contains(number));
        fitting.ok_or_else(|| format!("must be a whole number from {LEAST} to {MOST}"))
    }

    fn shape() -> Shape {
        whole(KnownFormat::Int64, LEAST, MOST)
    }
}

/// A whole number that is not negative and not large.
pub(in crate::api) struct Count<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Field for Count<LEAST, MOST> {
    type Value = u32;

    fn read(sent: &Value) -> Result<u32, String> {
        let number = sent.as_u64().or_else(|| sent.as_str().and_then(|text| text.parse().ok()));
        let fitting = number.and_then(|number| u32::try_from(number).ok());
        let fitting = fitting.filter(|number| (LEAST..=MOST).contains(number));
        fitting.ok_or_else(|| format!("must be a whole number from {LEAST} to {MOST}"))
    }

    fn shape() -> Shape {
        whole(KnownFormat::Int32, i64::from(LEAST), i64::from(MOST))
    }
}

pub(in crate::api) fn whole(format: KnownFormat, least: i64, most: i64) -> Shape {
    Shape::one(Type::Integer, |number| {
        number.format(Some(SchemaFormat::KnownFormat(format))).minimum(Some(least)).maximum(Some(most))
    })
}

/// `true` or `false`; Kuma's own 1 and 0 too.
pub(in crate::api) struct Flag;

impl Field for Flag {
    type Value = bool;

    fn read(sent: &Value) -> Result<bool, String> {
        let text = sent.as_str().map_or_else(|| sent.to_string(), str::to_owned);
        match text.as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }

    fn shape() -> Shape {
        Shape::one(Type::Boolean, |flag| flag)
    }
}

/// A list of at most so many texts.
pub(in crate::api) struct Texts<const MOST: usize>;

impl<const MOST: usize> Field for Texts<MOST> {
    type Value = Vec<String>;

    fn read(sent: &Value) -> Result<Vec<String>, String> {
        let items = sent.as_array().map(|items| items.iter().map(|item| item.as_str().map(str::to_owned)));
        let texts: Option<Vec<String>> = items.and_then(Iterator::collect);
        let texts = texts.ok_or_else(|| "must be a list of texts".to_owned())?;
        if texts.len() > MOST { Err(format!("must have at most {MOST} entries")) } else { Ok(texts) }
    }

    fn shape() -> Shape {
        Shape::list(ObjectBuilder::new().schema_type(Type::String), |list| list.max_items(Some(MOST)))
    }
}
