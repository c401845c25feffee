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

use super::Context;
use super::body::{Object, Optional};
use super::fields::Fields;
use super::problem::ApiError;

mod kinds;
mod shape;

pub(super) use self::kinds::{Count, Flag, Text, Texts, Whole, whole};
pub(super) use self::shape::{Property, Shape, object, parameters};

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
            $( ..$kept:vis $more:ident: $other:ty, )?
        }
    ) => {
        $(#[doc = $line])*
        $vis struct $name {
            $( $(#[doc = $words])* $seen $field: <$kind as $crate::api::request::Member>::Value, )*
            $( $kept $more: $other, )?
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
