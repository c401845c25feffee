//! What the document says of fields, bodies and queries.

use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Required, Schema};

/// What the document says of a value, before it is known whether it must be there.
pub(in crate::api) enum Shape {
    One(Type, Box<ObjectBuilder>),
    List(Box<ArrayBuilder>),
    /// Any JSON.
    Any,
    /// A schema that stands in the document under a name.
    Named(Ref),
}

impl Shape {
    pub(in crate::api) fn one(of: Type, bounds: impl FnOnce(ObjectBuilder) -> ObjectBuilder) -> Self {
        Self::One(of, Box::new(bounds(ObjectBuilder::new())))
    }

    pub(in crate::api) fn list(items: ObjectBuilder, bounds: impl FnOnce(ArrayBuilder) -> ArrayBuilder) -> Self {
        Self::List(Box::new(bounds(ArrayBuilder::new().items(items))))
    }

    /// One of a few words.
    pub(in crate::api) fn words(words: &[&str]) -> Self {
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
pub(in crate::api) struct Property {
    pub(in crate::api) name: &'static str,
    /// Its doc comment, line by line.
    pub(in crate::api) lines: &'static [&'static str],
    pub(in crate::api) shape: Shape,
    pub(in crate::api) is_required: bool,
    /// What is assumed where it is left out.
    pub(in crate::api) default: Option<Value>,
}

fn description(lines: &[&str]) -> Option<String> {
    let text = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
    Some(text).filter(|text| !text.is_empty())
}

/// The schema of a body with these fields.
pub(in crate::api) fn object(lines: &[&str], properties: Vec<Property>) -> ObjectBuilder {
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
pub(in crate::api) fn parameters(properties: Vec<Property>) -> Vec<Parameter> {
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
