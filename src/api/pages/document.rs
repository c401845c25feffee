//! Pages in the words of the document.

use serde_json::{Value, json};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::openapi::Millis;
use crate::api::request::{self, Field, Flag, Property, Shape, Text, Texts};
use crate::pages::Language;

/// A page, for those with a key.
#[derive(ToSchema)]
#[schema(as = Page)]
#[expect(dead_code, reason = "shown field by field; this is what the document says of it")]
pub(in crate::api) struct PageShown {
    /// Its place: `/pages/{slug}`.
    slug: String,
    title: String,
    description: String,
    /// `en` or `zh-TW`.
    language: String,
    footer: String,
    #[schema(required)]
    accent: Option<String>,
    #[schema(required)]
    logo: Option<String>,
    /// Whether it asks for a password, which is not shown.
    has_password: bool,
    noindex: bool,
    embed_from: Vec<String>,
    /// How people may subscribe to it: `mail`, `webhook`.
    subscribe: Vec<String>,
    /// Groups of components, each with its unguessable public `id` and what it is about.
    groups: Vec<Value>,
    #[schema(required)]
    managed_by: Option<String>,
    /// Of the write that made it so.
    revision: u64,
    #[schema(value_type = Millis)]
    created_at: i64,
    created_by: String,
    #[schema(value_type = Millis)]
    changed_at: i64,
    changed_by: String,
}

/// A new page.
pub(in crate::api) struct NewPage;

/// What a client says of a page that it names in the path.
pub(in crate::api) struct PageFields;

const WORDS: &str = "What a client says of a page.";

impl PartialSchema for NewPage {
    fn schema() -> RefOr<Schema> {
        let is_needed = |property: &Property| ["slug", "title"].contains(&property.name);
        let fields = fields().into_iter().map(|property| Property { is_required: is_needed(&property), ..property });
        request::object(&[WORDS], fields.collect()).into()
    }
}

impl ToSchema for NewPage {}

impl PartialSchema for PageFields {
    fn schema() -> RefOr<Schema> {
        request::object(&[WORDS], fields().into()).into()
    }
}

impl ToSchema for PageFields {}

fn fields() -> [Property; 13] {
    let of = |name, lines, shape, default| Property { name, lines, shape, is_required: false, default };
    [
        of("slug", &["Its place: a-z 0-9 -."], <Text<1, 60>>::shape(), None),
        of("title", &["Above everything."], <Text<1, 150>>::shape(), None),
        of("description", &["Below the title."], <Text<0, 2_000>>::shape(), None),
        of(
            "language",
            &["Of whoever asks for no other."],
            Shape::words(&Language::ALL.map(Language::code)),
            Some(json!("en")),
        ),
        of("footer", &["Below everything."], <Text<0, 2_000>>::shape(), None),
        of("accent", &["A colour: `#1a6e36`."], <Text<7, 7>>::shape(), None),
        of("logo", &["A picture of at most 50 KiB: `data:image/png;base64,…`."], <Text<0, 70_000>>::shape(), None),
        of(
            "password",
            &["Whoever does not know it sees nothing. Left out, it stays as it is; `null` takes it away."],
            <Text<8, 200>>::shape(),
            None,
        ),
        of("noindex", &["Search engines are asked to leave it out."], Flag::shape(), Some(json!(false))),
        of("embed_from", &["Origins whose pages may frame it: `https://intra.example`."], <Texts<20>>::shape(), None),
        of(
            "subscribe",
            &["How people may subscribe to it: `mail` (through `[pages] mail` of the configuration), `webhook`."],
            <Texts<2>>::shape(),
            None,
        ),
        of(
            "groups",
            &[GROUPS],
            Shape::list(ObjectBuilder::new().schema_type(Type::Object), |list| list.max_items(Some(100))),
            None,
        ),
        of("managed_by", &["Who keeps it as code: `apply/shop`."], <Text<0, 190>>::shape(), None),
    ]
}

const GROUPS: &str = "In order: `{\"name\": \"Web\", \"components\": [{\"name\": \"Shop\", \"monitor\": 7, \"graph\": true}]}`. A component names \
     one of `monitor` (an id), `monitor_ref`, `check`, `heartbeat`, and keeps its public id as long as the page names the same thing.";
