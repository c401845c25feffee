//! What is wrong with a configuration, in words that say where and what to do.

use std::fmt;
use std::path::Path;

use figment::error::Kind;
use figment::{Error, Metadata};

/// Keys whose value must not be repeated in a message.
const SECRETS: [&str; 9] = ["key", "url", "webhook_url", "bot_token", "token", "password", "secret", "secrets", "smtp"];

/// Where something is configured: a section, or one entry of a section that there may be several of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FieldPlace<'a> {
    /// Without brackets.
    pub(super) section: &'a str,
    /// Its name, or its number in the file: `#2`.
    pub(super) entry: Option<&'a str>,
}

impl<'a> From<&'a str> for FieldPlace<'a> {
    fn from(section: &'a str) -> Self {
        Self { section, entry: None }
    }
}

/// One thing to mend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigFault {
    /// The section's name, without brackets.
    pub section: String,
    /// Which of several, where a section is written in double brackets.
    pub entry: Option<String>,
    /// The key, if one can be named.
    pub key: Option<String>,
    /// Where it was said when not in the file: the environment.
    pub origin: Option<&'static str>,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "[[{}]] {entry}", self.section)?,
            None => write!(f, "[{}]", self.section)?,
        }
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        if let Some(origin) = self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<ConfigFault>);

impl Faults {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, fault: ConfigFault) {
        self.0.push(fault);
    }

    pub(super) fn extend(&mut self, faults: impl Iterator<Item = ConfigFault>) {
        self.0.extend(faults);
    }

    pub(super) fn add<'a>(&mut self, place: impl Into<FieldPlace<'a>>, key: &str, problem: impl Into<String>) {
        let place = place.into();
        self.push(ConfigFault {
            section: place.section.to_owned(),
            entry: place.entry.map(str::to_owned),
            key: Some(key.to_owned()),
            origin: None,
            problem: problem.into(),
        });
    }

    /// Keeps a value that was read, or the reason why it was not.
    pub(super) fn note<'a, T, E: fmt::Display>(
        &mut self,
        place: impl Into<FieldPlace<'a>>,
        key: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|problem| self.add(place, key, problem.to_string())).ok()
    }

    /// Something of this section is wrong already.
    pub(super) fn concern(&self, section: &str) -> bool {
        self.0.iter().any(|fault| fault.section == section)
    }

    pub(super) fn into_found(self) -> Vec<ConfigFault> {
        self.0
    }
}

/// All faults of a file, one a line.
pub(super) fn list(file: &Path, faults: &[ConfigFault]) -> String {
    let file = file.display();
    match faults {
        [only] => format!("{file}: {only}"),
        many => many.iter().fold(format!("{file}: {} faults", many.len()), |text, fault| format!("{text}\n  {fault}")),
    }
}

/// The environment, when a value comes from there.
pub(super) fn origin(metadata: Option<&Metadata>) -> Option<&'static str> {
    metadata.filter(|metadata| metadata.name.contains("environment")).map(|_| "from the environment, KOMAINU__…")
}

/// One of figment's errors about a section, in our words. `shared` are keys that were read before the others.
pub(super) fn describe(place: FieldPlace<'_>, shared: &[&str], error: &Error) -> ConfigFault {
    let path: Vec<&str> = error.path.iter().map(String::as_str).filter(|part| *part != place.section).collect();
    let (key, problem) = match &error.kind {
        Kind::UnknownField(field, known) => {
            // What is read before the others is known in the entry itself, not in tables within it.
            let shared = if path.len() > 1 { &[] } else { shared };
            (
                key_of(&path).or_else(|| Some(field.clone())),
                format!("unknown key; known keys are {}", [shared, known].concat().join(", ")),
            )
        }
        Kind::MissingField(field) => (Some(field.to_string()), "is missing".to_owned()),
        Kind::UnknownVariant(value, known) => {
            (key_of(&path), format!("\"{value}\" is not one of {}", known.join(", ")))
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if is_secret(&path) => {
            (key_of(&path), format!("must be {expected}"))
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            (key_of(&path), format!("must be {expected}, not {found}"))
        }
        other @ (Kind::Message(_)
        | Kind::InvalidLength(..)
        | Kind::DuplicateField(_)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..)) => (key_of(&path), other.to_string()),
    };
    ConfigFault {
        section: place.section.to_owned(),
        entry: place.entry.map(str::to_owned),
        key,
        origin: origin(error.metadata.as_ref()),
        problem,
    }
}

fn key_of(path: &[&str]) -> Option<String> {
    (!path.is_empty()).then(|| path.join("."))
}

fn is_secret(path: &[&str]) -> bool {
    path.iter().any(|key| SECRETS.contains(key))
}
