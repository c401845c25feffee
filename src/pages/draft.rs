//! What a client says of a page, field by field: read, judged, and put in the place of what was there. Pure.
//!
//! Every fault is told with the path of its field (`groups[0].components[2].name`), all of them at once. A password comes here as its
//! hash; one that is not named stays, so that whoever writes a page back as it was shown does not open it to everybody.

use std::collections::BTreeSet;

use komainu_watchdogs::ids::MonitorId;
use serde_json::{Map, Value};
use url::Url;

use super::definition::{Component, Definition, Group, Language, MOST_COMPONENTS, MOST_GROUPS, Source, Way};
use crate::monitor::FieldFault;

/// Names of what a client may say, in the order in which they are documented.
pub const FIELDS: [&str; 13] = [
    "slug",
    "title",
    "description",
    "language",
    "footer",
    "accent",
    "logo",
    "password",
    "noindex",
    "embed_from",
    "subscribe",
    "groups",
    "managed_by",
];

const NAME_CHARS: usize = 150;
const WORDS_CHARS: usize = 2_000;
/// Of a picture, as text.
const LOGO_CHARS: usize = 70_000;
const MOST_ORIGINS: usize = 20;
const REF_CHARS: usize = 400;

/// Pictures that a browser shows without being told how.
const PICTURES: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"];

/// Words in a path that are no page.
const TAKEN: [&str; 2] = ["assets", "api"];

/// Whether a page may stand there.
pub fn slug_fault(slug: &str) -> Option<&'static str> {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let is_fit = (1..=60).contains(&slug.len()) && slug.chars().all(is_plain);
    if !is_fit || slug.starts_with('-') || slug.ends_with('-') {
        return Some("must be 1 to 60 of a-z 0-9 -, neither beginning nor ending with -");
    }
    TAKEN.contains(&slug).then_some("is taken: choose another one")
}

/// What a page becomes: the named fields of `said` in the place of those of `base`. `fresh` makes an id that nobody guesses.
pub fn made(
    said: &Map<String, Value>,
    base: &Definition,
    fresh: &mut dyn FnMut() -> String,
) -> Result<Definition, Vec<FieldFault>> {
    let mut reading = Reading { faults: vec![] };
    let mut page = base.clone();
    for (field, value) in said {
        reading.field(&mut page, base, (field, value));
    }
    if page.title.is_empty() && !reading.has_fault("title") {
        reading.fault("title", "is missing");
    }
    if page.id.is_empty() {
        page.id = fresh();
    }
    for component in page.groups.iter_mut().flat_map(|group| &mut group.components) {
        if component.id.is_empty() {
            component.id = fresh();
        }
    }
    if reading.faults.is_empty() { Ok(page) } else { Err(reading.faults) }
}

struct Reading {
    faults: Vec<FieldFault>,
}

impl Reading {
    fn fault(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.faults.push(FieldFault::new(field, message));
    }

    fn has_fault(&self, field: &str) -> bool {
        self.faults.iter().any(|fault| fault.field == field)
    }

    fn field(&mut self, page: &mut Definition, base: &Definition, (field, value): (&str, &Value)) {
        match field {
            // Where it stands was judged before.
            "slug" => {}
            "title" => page.title = self.text("title", value, NAME_CHARS, true),
            "description" => page.description = self.text("description", value, WORDS_CHARS, false),
            "footer" => page.footer = self.text("footer", value, WORDS_CHARS, false),
            "language" => page.language = self.language(value),
            "accent" => page.accent = self.accent(value),
            "logo" => page.logo = self.logo(value),
            "password" => page.password = self.maybe_text("password", value, 200),
            "noindex" => page.noindex = self.flag("noindex", value),
            "embed_from" => page.embed_from = self.origins(value),
            "subscribe" => page.subscribe = self.ways(value),
            "groups" => page.groups = self.groups(value, base),
            "managed_by" => page.managed_by = self.maybe_text("managed_by", value, 190),
            _ => self.fault(field, format!("unknown field; known are {}", FIELDS.join(", "))),
        }
    }

    fn text(&mut self, field: &str, value: &Value, most: usize, is_needed: bool) -> String {
        let text = match value {
            Value::Null => "",
            Value::String(text) => text.trim(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.fault(field, "must be text");
                return String::new();
            }
        };
        if is_needed && text.is_empty() {
            self.fault(field, "is missing");
        }
        if text.chars().count() > most {
            self.fault(field, format!("must have at most {most} characters"));
        }
        let is_unfit = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
        if text.chars().any(is_unfit) {
            self.fault(field, "holds characters that cannot be shown");
        }
        text.to_owned()
    }

    fn maybe_text(&mut self, field: &str, value: &Value, most: usize) -> Option<String> {
        Some(self.text(field, value, most, false)).filter(|text| !text.is_empty())
    }

    fn flag(&mut self, field: &str, value: &Value) -> bool {
        if !matches!(value, Value::Bool(_) | Value::Null) {
            self.fault(field, "must be true or false");
        }
        value.as_bool().unwrap_or_default()
    }

    fn language(&mut self, value: &Value) -> Language {
        let found = if value.is_null() { Some(Language::default()) } else { value.as_str().and_then(Language::parse) };
        if found.is_none() {
            let known: Vec<&str> = Language::ALL.iter().map(|language| language.code()).collect();
            self.fault("language", format!("must be one of {}", known.join(", ")));
        }
        found.unwrap_or_default()
    }

    fn accent(&mut self, value: &Value) -> Option<String> {
        let text = self.maybe_text("accent", value, 7)?;
        let digits = text.strip_prefix('#').unwrap_or_default();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.fault("accent", "must be a colour as #1a6e36");
        }
        Some(text.to_ascii_lowercase())
    }

    fn logo(&mut self, value: &Value) -> Option<String> {
        let text = self.maybe_text("logo", value, LOGO_CHARS)?;
        if picture(&text).is_none() {
            let kinds = PICTURES.join(", ");
            self.fault("logo", format!("must be a picture as data:KIND;base64,…; kinds are {kinds}"));
        }
        Some(text)
    }

    fn origins(&mut self, value: &Value) -> Vec<String> {
        let items = self.list("embed_from", value, MOST_ORIGINS);
        let mut origins = vec![];
        for item in items {
            match item.as_str().and_then(origin) {
                Some(origin) => origins.push(origin),
                None => self.fault(
                    "embed_from",
                    "must be a list of origins as https://intra.example or https://a.example:8443",
                ),
            }
        }
        origins
    }

    fn ways(&mut self, value: &Value) -> Vec<Way> {
        let mut ways = vec![];
        for item in self.list("subscribe", value, Way::ALL.len()) {
            match item.as_str().and_then(Way::parse) {
                Some(way) => ways.push(way),
                None => self.fault("subscribe", "must be a list of mail, webhook"),
            }
        }
        ways.sort_unstable();
        ways.dedup();
        ways
    }

    fn list<'a>(&mut self, field: &str, value: &'a Value, most: usize) -> &'a [Value] {
        let items = match value {
            Value::Null => return &[],
            Value::Array(items) => items.as_slice(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.fault(field, "must be a list");
                return &[];
            }
        };
        if items.len() > most {
            self.fault(field, format!("must have at most {most} entries"));
            return &[];
        }
        items
    }

    fn groups(&mut self, value: &Value, base: &Definition) -> Vec<Group> {
        let items = self.list("groups", value, MOST_GROUPS);
        let mut seen = Seen::default();
        let mut groups = vec![];
        for (at, item) in items.iter().enumerate() {
            let path = format!("groups[{at}]");
            let Some(said) = self.object(&path, item, &["name", "components"]) else { continue };
            let name = self.text(&format!("{path}.name"), said.get("name").unwrap_or(&Value::Null), NAME_CHARS, false);
            if !seen.groups.insert(name.clone()) {
                self.fault(format!("{path}.name"), "another group is called so already");
            }
            let path = format!("{path}.components");
            let items = self.list(&path, said.get("components").unwrap_or(&Value::Null), MOST_COMPONENTS);
            let of = |(at, item)| self.component(&format!("{path}[{at}]"), item, base, &mut seen);
            let components = items.iter().enumerate().filter_map(of).collect();
            groups.push(Group { name, components });
        }
        if seen.sources.len() > MOST_COMPONENTS {
            self.fault("groups", format!("a page has at most {MOST_COMPONENTS} components"));
        }
        groups
    }

    fn component(&mut self, path: &str, item: &Value, base: &Definition, seen: &mut Seen) -> Option<Component> {
        // An id is taken back as it was shown, and changes nothing.
        let known = ["id", "name", "description", "monitor", "monitor_ref", "check", "heartbeat", "graph"];
        let said = self.object(path, item, &known)?;
        let field = |name: &str| said.get(name).unwrap_or(&Value::Null);
        let name = self.text(&format!("{path}.name"), field("name"), NAME_CHARS, true);
        let description = self.text(&format!("{path}.description"), field("description"), 500, false);
        let graph = self.flag(&format!("{path}.graph"), field("graph"));
        let source = self.source(path, said)?;
        if !seen.sources.insert(source.clone()) {
            self.fault(path, "stands on this page already");
        }
        if graph && matches!(source, Source::Heartbeat(_)) {
            self.fault(format!("{path}.graph"), "a heartbeat answers nobody: there is no time to be drawn");
        }
        let id = base.ids().get(&source).map(|id| (*id).to_owned()).unwrap_or_default();
        Some(Component { id, name, description, source, graph })
    }

    fn source(&mut self, path: &str, said: &Map<String, Value>) -> Option<Source> {
        let named = |name: &str| said.get(name).filter(|value| !value.is_null());
        let text = |value: &Value| {
            value.as_str().filter(|text| !text.is_empty() && text.len() <= REF_CHARS).map(str::to_owned)
        };
        let mut found = vec![];
        for (name, value) in ["monitor", "monitor_ref", "check", "heartbeat"].map(|name| (name, named(name))) {
            let Some(value) = value else { continue };
            let source = match name {
                "monitor" => value.as_i64().filter(|id| *id > 0).map(|id| Source::Monitor(MonitorId(id))),
                "monitor_ref" => text(value).map(Source::MonitorRef),
                "check" => text(value).map(Source::Check),
                _ => text(value).map(Source::Heartbeat),
            };
            let wanted = if name == "monitor" { "must be the id of a monitor" } else { "must be a name" };
            match source {
                Some(source) => found.push(source),
                None => self.fault(format!("{path}.{name}"), wanted),
            }
        }
        if found.len() != 1 && !self.faults.iter().any(|fault| fault.field.starts_with(path)) {
            self.fault(path, "must name one of monitor, monitor_ref, check, heartbeat");
        }
        found.pop()
    }

    fn object<'a>(&mut self, path: &str, value: &'a Value, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let Some(said) = value.as_object() else {
            self.fault(path, "must be an object");
            return None;
        };
        for field in said.keys().filter(|field| !known.contains(&field.as_str())) {
            self.fault(format!("{path}.{field}"), format!("unknown field; known are {}", known.join(", ")));
        }
        Some(said)
    }
}

/// What stands on the page already.
#[derive(Default)]
struct Seen {
    groups: BTreeSet<String>,
    sources: BTreeSet<Source>,
}

/// The kind and the bytes of a picture that stands in an address of data.
pub(super) fn picture(address: &str) -> Option<(&'static str, Vec<u8>)> {
    use base64::Engine;
    let (kind, data) = address.strip_prefix("data:")?.split_once(";base64,")?;
    let kind = PICTURES.into_iter().find(|known| *known == kind)?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
    Some((kind, bytes)).filter(|(_, bytes)| !bytes.is_empty())
}

/// `https://host` or `https://host:port`: one host, and nothing that would end a header's word.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':' | '[' | ']');
    let is_one_host = url.host_str().is_some_and(|host| !host.is_empty() && host.chars().all(is_plain));
    Some(url.origin().ascii_serialization()).filter(|_| is_bare && is_one_host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made_of(said: &Value, base: &Definition) -> Result<Definition, Vec<String>> {
        let mut count = 0;
        let mut fresh = || {
            count += 1;
            format!("id{count}")
        };
        let faults = |faults: Vec<FieldFault>| faults.into_iter().map(|fault| fault.field).collect();
        made(said.as_object().unwrap(), base, &mut fresh).map_err(faults)
    }

    #[test]
    fn a_component_keeps_its_id_as_long_as_the_page_names_the_same_thing() {
        let said = json!({"title": "Shop", "groups": [{"name": "Web", "components": [
            {"name": "Front", "monitor": 7}, {"name": "Mail", "check": "mail"}]}]});
        let first = made_of(&said, &Definition::default()).unwrap();
        let ids: Vec<&str> = first.components().map(|component| component.id.as_str()).collect();
        assert_eq!((first.id.as_str(), ids), ("id1", vec!["id2", "id3"]));
        let said = json!({"groups": [{"name": "All", "components": [
            {"name": "Post", "check": "mail"}, {"name": "New", "heartbeat": "backup"}]}]});
        let second = made_of(&said, &first).unwrap();
        let ids: Vec<&str> = second.components().map(|component| component.id.as_str()).collect();
        assert_eq!((second.title.as_str(), ids), ("Shop", vec!["id3", "id1"]));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_place() {
        let said = json!({"titel": 1, "language": "xx", "accent": "red", "logo": "https://a.example/x.png", "noindex": 1,
            "embed_from": ["https://a.example/x"], "subscribe": ["post"], "groups": [{"name": "A", "components": [
                {"name": "", "monitor": 7}, {"name": "b", "monitor": 7}, {"name": "c"}, {"name": "d", "check": "x", "monitor": 1},
                {"name": "e", "heartbeat": "h", "graph": true}, {"name": "f", "url": "x", "check": "f"}, 3]}, {"name": "A"}]});
        let mut faults = made_of(&said, &Definition::default()).unwrap_err();
        faults.sort();
        let wanted = [
            "accent",
            "embed_from",
            "groups[0].components[0].name",
            "groups[0].components[1]",
            "groups[0].components[2]",
            "groups[0].components[3]",
            "groups[0].components[4].graph",
            "groups[0].components[5].url",
            "groups[0].components[6]",
            "groups[1].name",
            "language",
            "logo",
            "noindex",
            "subscribe",
            "titel",
            "title",
        ];
        assert_eq!(faults, wanted);
    }

    #[test]
    fn a_password_that_is_not_named_stays_and_null_takes_it_away() {
        let base = Definition { title: "a".to_owned(), password: Some("h".to_owned()), ..Definition::default() };
        assert_eq!(made_of(&json!({"title": "b"}), &base).unwrap().password.as_deref(), Some("h"));
        assert_eq!(made_of(&json!({"password": null}), &base).unwrap().password, None);
    }

    #[test]
    fn a_page_stands_at_a_plain_word() {
        for good in ["shop", "a-1", &"a".repeat(60)] {
            assert_eq!(slug_fault(good), None, "{good}");
        }
        for bad in ["", "Shop", "a/b", "-a", "a-", "assets", "a b", "ä", &"a".repeat(61)] {
            assert!(slug_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_one_host_and_ends_no_header() {
        assert_eq!(origin("https://Intra.example:443/").as_deref(), Some("https://intra.example"));
        for bad in ["https://a.example;script-src *", "*", "https://*", "javascript:1", "https://u@a.example", "data:x"]
        {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }
}
