//! What a request may say: each field and its bounds stand in one place, which both reads the request and writes the document.
//!
//! [`request!`] declares a struct in which each field names a kind: `name: Text<1, 100>` must be there, `tag: Option<Text<0, 255>>`
//! may be left out or `null`, `capacity: Change<Count<1, 1_000>>` also hears whether it was `null`. The struct holds plain values
//! (`String`, `u32`). All faults of a request are collected: a caller learns of them at once.
//!
//! A new rule for one field is a new [`Field`] beside its handler. Rules between fields are the handler's: it takes the struct
//! from [`Fields`], adds its faults, and finishes.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request as HttpRequest};
use axum::http::request::Parts;
use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Required, Schema};

use super::Context;
use super::body::{Object, Optional};
use super::fields::{Fields, kind};
use super::problem::ApiError;

/// The body of a request, read and judged.
pub(super) struct Sent<R>(pub(super) R);

/// The query of a request, read and judged.
pub(super) struct Asked<R>(pub(super) R);

/// A body that may be left out: then nothing is said.
pub(super) struct SentOrNot<R>(pub(super) R);

/// What [`request!`] makes.
pub(super) trait Request: Sized {
    /// Reads all fields; `None`: one that must be there is not, which was noted as its fault.
    fn take(fields: &mut Fields) -> Option<Self>;

    /// What the document says of its fields.
    fn properties() -> Vec<Property>;
}

/// A kind of field: how it is read, and what the document says of it.
pub(super) trait Field {
    type Value;

    /// The value, or what is wrong with what was sent (never `null`).
    fn read(sent: &Value) -> Result<Self::Value, String>;

    fn shape() -> Shape;
}

/// How a field stands in a request: needed, or not.
pub(super) trait Member {
    type Value;
    const IS_REQUIRED: bool;

    fn take(fields: &mut Fields, name: &'static str) -> Option<Self::Value>;

    fn shape() -> Shape;
}

impl<F: Field> Member for F {
    type Value = F::Value;
    const IS_REQUIRED: bool = true;

    fn take(fields: &mut Fields, name: &'static str) -> Option<F::Value> {
        let Some(sent) = fields.take(name) else {
            fields.fault(name, "is missing");
            return None;
        };
        fields.noting(name, F::read(&sent))
    }

    fn shape() -> Shape {
        F::shape()
    }
}

impl<F: Field> Member for Option<F> {
    type Value = Option<F::Value>;
    const IS_REQUIRED: bool = false;

    fn take(fields: &mut Fields, name: &'static str) -> Option<Self::Value> {
        let sent = fields.take(name);
        Some(sent.and_then(|sent| fields.noting(name, F::read(&sent))))
    }

    fn shape() -> Shape {
        F::shape()
    }
}

/// Left out, it stays as it is: `None`. Sent as `null`, it is taken away: `Some(None)`.
pub(super) struct Change<F>(std::marker::PhantomData<F>);

impl<F: Field> Member for Change<F> {
    type Value = Option<Option<F::Value>>;
    const IS_REQUIRED: bool = false;

    fn take(fields: &mut Fields, name: &'static str) -> Option<Self::Value> {
        let is_taken_away = fields.is_null(name);
        let read = <Option<F> as Member>::take(fields, name)?;
        Some(if is_taken_away { Some(None) } else { read.map(Some) })
    }

    fn shape() -> Shape {
        F::shape()
    }
}

/// Text of so many characters; of one at least, it must not be blank.
pub(super) struct Text<const LEAST: usize, const MOST: usize>;

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
pub(super) struct Whole<const LEAST: i64, const MOST: i64>;

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
pub(super) struct Count<const LEAST: u32, const MOST: u32>;

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

pub(super) fn whole(format: KnownFormat, least: i64, most: i64) -> Shape {
    Shape::one(Type::Integer, |number| {
        number.format(Some(SchemaFormat::KnownFormat(format))).minimum(Some(least)).maximum(Some(most))
    })
}

/// `true` or `false`; Kuma's own 1 and 0 too.
pub(super) struct Flag;

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
pub(super) struct Texts<const MOST: usize>;

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

/// What the document says of a value, before it is known whether it must be there.
pub(super) enum Shape {
    One(Type, Box<ObjectBuilder>),
    List(Box<ArrayBuilder>),
    /// Any JSON.
    Any,
    /// A schema that stands in the document under a name.
    Named(Ref),
}

impl Shape {
    pub(super) fn one(of: Type, bounds: impl FnOnce(ObjectBuilder) -> ObjectBuilder) -> Self {
        Self::One(of, Box::new(bounds(ObjectBuilder::new())))
    }

    pub(super) fn list(items: ObjectBuilder, bounds: impl FnOnce(ArrayBuilder) -> ArrayBuilder) -> Self {
        Self::List(Box::new(bounds(ArrayBuilder::new().items(items))))
    }

    /// One of a few words.
    pub(super) fn words(words: &[&str]) -> Self {
        let pattern = format!("^({})$", words.join("|"));
        Self::one(Type::String, |text| text.pattern(Some(pattern)))
    }

    fn schema(self, description: Option<String>, default: Option<Value>, is_nullable: bool) -> RefOr<Schema> {
        let of = |of: Type| if is_nullable { [of, Type::Null].into_iter().collect() } else { SchemaType::new(of) };
        match self {
            Self::One(kind, one) => one.schema_type(of(kind)).description(description).default(default).into(),
            Self::List(list) => list.schema_type(of(Type::Array)).description(description).default(default).into(),
            Self::Any => {
                let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
                any.description(description).default(default).into()
            }
            Self::Named(mut named) => {
                named.description = description.unwrap_or_default();
                if !is_nullable {
                    return named.into();
                }
                OneOfBuilder::new().item(named).item(ObjectBuilder::new().schema_type(Type::Null)).into()
            }
        }
    }
}

/// What the document says of one field.
pub(super) struct Property {
    pub(super) name: &'static str,
    /// Its doc comment, line by line.
    pub(super) lines: &'static [&'static str],
    pub(super) shape: Shape,
    pub(super) is_required: bool,
    /// What is assumed where it is left out.
    pub(super) default: Option<Value>,
}

fn description(lines: &[&str]) -> Option<String> {
    let text = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
    Some(text).filter(|text| !text.is_empty())
}

/// The schema of a body with these fields.
pub(super) fn object(lines: &[&str], properties: Vec<Property>) -> ObjectBuilder {
    let mut object = ObjectBuilder::new().schema_type(Type::Object).description(description(lines));
    for property in properties {
        if property.is_required {
            object = object.required(property.name);
        }
        let schema = property.shape.schema(description(property.lines), property.default, !property.is_required);
        object = object.property(property.name, schema);
    }
    object
}

/// The parameters of a query with these fields.
pub(super) fn parameters(properties: Vec<Property>) -> Vec<Parameter> {
    let parameter = |property: Property| {
        ParameterBuilder::new()
            .name(property.name)
            .parameter_in(ParameterIn::Query)
            .required(if property.is_required { Required::True } else { Required::False })
            .description(description(property.lines))
            .schema(Some(property.shape.schema(None, property.default, false)))
            .build()
    };
    properties.into_iter().map(parameter).collect()
}

impl Fields {
    /// All that a request may say, and nothing else.
    pub(super) fn read<R: Request>(mut self) -> Result<R, ApiError> {
        let read = R::take(&mut self);
        self.finish()?;
        read.ok_or_else(|| ApiError::Internal("a field is missing, and nobody said so".to_owned()))
    }
}

impl<R: Request> FromRequest<Arc<Context>> for Sent<R> {
    type Rejection = ApiError;

    async fn from_request(request: HttpRequest, context: &Arc<Context>) -> Result<Self, ApiError> {
        let Object(fields) = Object::from_request(request, context).await?;
        fields.read().map(Self)
    }
}

impl<R: Request> FromRequest<Arc<Context>> for SentOrNot<R> {
    type Rejection = ApiError;

    async fn from_request(request: HttpRequest, context: &Arc<Context>) -> Result<Self, ApiError> {
        let Optional(fields) = Optional::from_request(request, context).await?;
        fields.read().map(Self)
    }
}

impl<R: Request, S: Sync> FromRequestParts<S> for Asked<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Fields::of_query(parts.uri.query()).read().map(Self)
    }
}

/// Declares what a request may say. Doc comments are its words in the document; `= value` is the default that the document
/// names; `..more: Other` takes the fields of another request in.
macro_rules! request {
    (
        $(#[doc = $line:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $words:literal])* $seen:vis $field:ident $(as $sent:literal)?: $kind:ty $(= $default:expr)?, )*
            $( ..$more:ident: $other:ty, )?
        }
    ) => {
        $(#[doc = $line])*
        $vis struct $name {
            $( $(#[doc = $words])* $seen $field: <$kind as $crate::api::request::Member>::Value, )*
            $( $more: $other, )?
        }

        impl $crate::api::request::Request for $name {
            fn take(fields: &mut $crate::api::fields::Fields) -> Option<Self> {
                $( let $field = <$kind as $crate::api::request::Member>::take(
                    fields,
                    $crate::api::request::request!(@name $field $($sent)?),
                ); )*
                $( let $more = <$other as $crate::api::request::Request>::take(fields); )?
                Some(Self { $( $field: $field?, )* $( $more: $more?, )? })
            }

            fn properties() -> Vec<$crate::api::request::Property> {
                let own = vec![$( $crate::api::request::Property {
                    name: $crate::api::request::request!(@name $field $($sent)?),
                    lines: &[$($words),*],
                    shape: <$kind as $crate::api::request::Member>::shape(),
                    is_required: <$kind as $crate::api::request::Member>::IS_REQUIRED,
                    default: $crate::api::request::request!(@default $($default)?),
                } ),*];
                let more = $crate::api::request::request!(@more $($other)?);
                more.into_iter().chain(own).collect()
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::api::request::object(&[$($line),*], <Self as $crate::api::request::Request>::properties()).into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl utoipa::IntoParams for $name {
            fn into_params(
                _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                $crate::api::request::parameters(<Self as $crate::api::request::Request>::properties())
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $sent:literal) => { $sent };
    (@default) => { None };
    (@default $default:expr) => { Some(serde_json::json!($default)) };
    (@more) => { Vec::new() };
    (@more $other:ty) => { <$other as $crate::api::request::Request>::properties() };
}
pub(super) use request;
