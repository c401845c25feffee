//! What stands on a public page, as people write it: a line for each component, a heading for each group.
//!
//! `Shop = monitor/7 | graph | What it is`: a public name, what it is about, and if wished a graph and a description. A line that begins
//! with `#` begins a group.

use serde_json::{Map, Value, json};

/// By what a component names what it is about.
const KINDS: [&str; 4] = ["monitor", "monitor_ref", "check", "heartbeat"];

/// What was written, for the API.
#[derive(Default)]
pub(super) struct Written {
    pub(super) groups: Vec<Value>,
    /// Where each stands: its path in the API, and its line.
    pub(super) places: Vec<(String, String)>,
    pub(super) faults: Vec<(String, String)>,
}

struct Group {
    name: String,
    components: Vec<Value>,
}

impl Written {
    pub(super) fn read(text: &str) -> Self {
        let mut written = Self::default();
        let mut groups: Vec<Group> = vec![];
        for (at, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
            let place = format!("line {}", at + 1);
            if let Some(name) = line.strip_prefix('#') {
                written.places.push((format!("groups[{}].", groups.len()), place));
                groups.push(Group { name: name.trim().to_owned(), components: vec![] });
                continue;
            }
            if groups.is_empty() {
                groups.push(Group { name: String::new(), components: vec![] });
            }
            let group = groups.len() - 1;
            let Some(group_there) = groups.last_mut() else { continue };
            match component(line) {
                Some(component) => {
                    let path = format!("groups[{group}].components[{}]", group_there.components.len());
                    written.places.push((path, place));
                    group_there.components.push(component);
                }
                None => written.faults.push(("groups".to_owned(), format!("{place}: {HOW}"))),
            }
        }
        let value = |group: Group| json!({"name": group.name, "components": group.components});
        written.groups = groups.into_iter().map(value).collect();
        written
    }
}

const HOW: &str = "must be like Shop = monitor/7, of monitor, monitor_ref, check, heartbeat";

fn component(line: &str) -> Option<Value> {
    let mut parts = line.split(" | ").map(str::trim);
    let (name, about) = parts.next()?.rsplit_once('=')?;
    let (kind, subject) = about.trim().split_once('/')?;
    let kind = KINDS.into_iter().find(|known| *known == kind.trim())?;
    let subject = subject.trim();
    // The API says what is wrong with a number that is none.
    let subject = match subject.parse::<i64>() {
        Ok(id) if kind == "monitor" => Value::from(id),
        Ok(_) | Err(_) => Value::from(subject),
    };
    let mut component = Map::from_iter([("name".to_owned(), name.trim().into()), (kind.to_owned(), subject)]);
    for part in parts {
        if part == "graph" {
            component.insert("graph".to_owned(), true.into());
        } else {
            component.insert("description".to_owned(), part.into());
        }
    }
    Some(component.into())
}

/// The groups of a page as they are written; `None`: so they cannot be.
pub(super) fn written(groups: &Value) -> Option<String> {
    let groups = groups.as_array()?;
    let mut lines = vec![];
    let mut plain = vec![];
    for group in groups {
        let (name, components) = (group.get("name")?.as_str()?, group.get("components")?.as_array()?);
        if !name.is_empty() || !lines.is_empty() {
            lines.push(format!("# {name}").trim_end().to_owned());
        }
        let shown: Vec<(String, Value)> = components.iter().map(line).collect::<Option<_>>()?;
        plain.push(json!({"name": name, "components": shown.iter().map(|(_, plain)| plain).collect::<Vec<_>>()}));
        lines.extend(shown.into_iter().map(|(line, _)| line));
    }
    let text = lines.join("\n");
    // Names with odd signs in them would become others.
    (Written::read(&text).groups == plain).then_some(text)
}

/// One component, as it is written and as it is read again.
fn line(component: &Value) -> Option<(String, Value)> {
    let name = component.get("name")?.as_str()?;
    let (kind, about) = KINDS.into_iter().find_map(|kind| Some((kind, component.get(kind)?)))?;
    let subject = about.as_str().map_or_else(|| about.to_string(), str::to_owned);
    let mut plain = Map::from_iter([("name".to_owned(), name.into()), (kind.to_owned(), about.clone())]);
    let mut line = format!("{name} = {kind}/{subject}");
    if component.get("graph").and_then(Value::as_bool).unwrap_or_default() {
        plain.insert("graph".to_owned(), true.into());
        line.push_str(" | graph");
    }
    if let Some(words) = component.get("description").and_then(Value::as_str).filter(|words| !words.is_empty()) {
        plain.insert("description".to_owned(), words.into());
        line = format!("{line} | {words}");
    }
    Some((line, plain.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_written_as_it_is_read() {
        let text = "Shop = monitor/7 | graph | What sells\n# Behind\nA = B = check/pay\nBackup = heartbeat/backup";
        let read = Written::read(text);
        assert_eq!(read.faults, []);
        let groups = json!([
            {"name": "", "components": [{"name": "Shop", "monitor": 7, "graph": true, "description": "What sells"}]},
            {"name": "Behind", "components": [{"name": "A = B", "check": "pay"}, {"name": "Backup", "heartbeat": "backup"}]},
        ]);
        assert_eq!(Value::from(read.groups), groups);
        assert_eq!(written(&groups).as_deref(), Some(text));
        let places =
            [("groups[0].components[0]", "line 1"), ("groups[1].", "line 2"), ("groups[1].components[0]", "line 3")];
        let found: Vec<(&str, &str)> = read.places.iter().map(|(path, line)| (path.as_str(), line.as_str())).collect();
        assert_eq!(found[..3], places);
    }

    #[test]
    fn what_would_become_something_else_is_not_written() {
        for name in ["a | graph", "#a", " a", "a\nb", ""] {
            let groups = json!([{"name": "", "components": [{"name": name, "monitor": 7}]}]);
            let again = written(&groups).map(|text| Value::from(Written::read(&text).groups));
            assert!(again.is_none_or(|again| again == groups), "{name}");
        }
        let odd = json!([{"name": "", "components": [{"name": "a", "monitor_ref": "x=y"}]}]);
        assert_eq!(written(&odd), None);
    }

    #[test]
    fn a_line_that_says_nothing_is_named() {
        let faults: Vec<String> =
            Written::read("Shop = monitor/7\n\nmonster").faults.into_iter().map(|(_, words)| words).collect();
        assert_eq!(faults, [format!("line 3: {HOW}")]);
    }
}
