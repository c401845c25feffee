//! A field of a question that a person fills in.

use super::Scene;

/// A field that a person fills in. It bears the name that the API has for it, so that what the API says of it stands beside it.
pub(in crate::dashboard) struct Want {
    pub(in crate::dashboard) name: &'static str,
    /// What the API calls further things that are filled in here.
    also: &'static [&'static str],
    /// What belongs there.
    pub(in crate::dashboard) label: &'static str,
    /// How it is written; empty: nothing to say.
    pub(in crate::dashboard) hint: &'static str,
    pub(in crate::dashboard) kind: Kind,
    /// What stands there: what was typed before, or what is usual. Of several one a line.
    pub(in crate::dashboard) value: String,
    /// It cannot be left empty.
    pub(in crate::dashboard) is_needed: bool,
    /// What is wrong with it.
    pub(in crate::dashboard) fault: Option<String>,
    /// Where in it something stands that the API knows by a path: `groups[0].components[2]`, `line 4`.
    pub(super) places: Vec<(String, String)>,
}

/// How it is filled in.
pub(in crate::dashboard) enum Kind {
    /// One line of at most so many characters.
    Line(usize),
    /// The same, and nobody reads along.
    Secret(usize),
    /// Several lines of at most so many characters together.
    Lines(usize),
    /// One of these.
    Choice(Vec<Choice>),
    /// Any of these.
    Several(Vec<Choice>),
    /// Yes or no.
    Flag,
    /// A day and a time.
    Moment,
}

/// One of several that can be chosen.
#[derive(Clone)]
pub(in crate::dashboard) struct Choice {
    /// As it is sent.
    pub(in crate::dashboard) value: String,
    /// As people read it.
    pub(in crate::dashboard) words: String,
}

impl Choice {
    pub(super) fn new(value: impl Into<String>, words: impl Into<String>) -> Self {
        Self { value: value.into(), words: words.into() }
    }

    /// Each as it is sent, and in words.
    pub(super) fn named(choices: &[(&str, &str)]) -> Vec<Self> {
        choices.iter().map(|(value, words)| Self::new(*value, *words)).collect()
    }

    /// Those of which the value says what they are.
    pub(super) fn plain<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<Self> {
        values.into_iter().map(|value| Self::new(value.to_string(), value.to_string())).collect()
    }
}

impl Want {
    fn of(name: &'static str, label: &'static str, kind: Kind) -> Self {
        Self {
            name,
            also: &[],
            label,
            hint: "",
            kind,
            value: String::new(),
            is_needed: false,
            fault: None,
            places: vec![],
        }
    }

    pub(super) fn line(name: &'static str, label: &'static str, most: usize) -> Self {
        Self::of(name, label, Kind::Line(most))
    }

    pub(super) fn secret(name: &'static str, label: &'static str, most: usize) -> Self {
        Self::of(name, label, Kind::Secret(most))
    }

    pub(super) fn lines(name: &'static str, label: &'static str, most: usize) -> Self {
        Self::of(name, label, Kind::Lines(most))
    }

    pub(super) fn choice(name: &'static str, label: &'static str, choices: Vec<Choice>) -> Self {
        Self::of(name, label, Kind::Choice(choices))
    }

    pub(super) fn several(name: &'static str, label: &'static str, choices: Vec<Choice>) -> Self {
        Self::of(name, label, Kind::Several(choices))
    }

    pub(super) fn flag(name: &'static str, label: &'static str) -> Self {
        Self::of(name, label, Kind::Flag)
    }

    pub(super) fn moment(name: &'static str, label: &'static str) -> Self {
        Self::of(name, label, Kind::Moment)
    }

    pub(super) fn needed(self) -> Self {
        Self { is_needed: true, ..self }
    }

    pub(super) fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    pub(super) fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    /// With what was typed, or what is usual where nothing was sent yet.
    pub(super) fn typed(self, scene: &Scene<'_>, usual: &str) -> Self {
        let value = match &self.kind {
            // A box that is not ticked is not sent.
            Kind::Flag | Kind::Several(_) if scene.is_sent => scene.form.all(self.name).join("\n"),
            Kind::Flag
            | Kind::Several(_)
            | Kind::Line(_)
            | Kind::Secret(_)
            | Kind::Lines(_)
            | Kind::Choice(_)
            | Kind::Moment => scene.form.sent(self.name).unwrap_or(usual).to_owned(),
        };
        Self { value, ..self }
    }

    /// What the API says of a field, as it stands beside this one.
    pub(super) fn beside(&self, field: &str, words: &str) -> String {
        let place = self.places.iter().rev().find(|(path, _)| field.starts_with(path.as_str()));
        match place {
            Some((_, place)) => format!("{place}: {words}"),
            None if self.name == field => words.to_owned(),
            None => format!("{field}: {words}"),
        }
    }

    /// Whether what the API says of this field is said of this one: `groups[0].name` is of `groups`.
    pub(super) fn is_meant(&self, field: &str) -> bool {
        let first = field.split(['[', '.']).next().unwrap_or_default();
        self.name == first || self.also.contains(&first)
    }

    /// How many lines are seen of it at once.
    pub(in crate::dashboard) fn rows(&self) -> usize {
        (self.value.lines().count() + 2).clamp(4, 20)
    }

    /// Whether something stands below it.
    pub(in crate::dashboard) fn has_words(&self) -> bool {
        !self.hint.is_empty() || self.fault.is_some()
    }

    /// What stands below it, by its ids.
    pub(in crate::dashboard) fn described_by(&self) -> String {
        let parts = [("hint", !self.hint.is_empty()), ("fault", self.fault.is_some())];
        let ids = parts.into_iter().filter(|(_, is_there)| *is_there).map(|(part, _)| format!("{part}-{}", self.name));
        ids.collect::<Vec<_>>().join(" ")
    }

    /// Whether one of several is chosen.
    pub(in crate::dashboard) fn has(&self, choice: &Choice) -> bool {
        self.value.lines().any(|line| line == choice.value)
    }
}
