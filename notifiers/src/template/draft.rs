//! A channel's templates as they stand in a configuration, or in a preset.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::TemplateFault;
use super::preset;

/// Fields of a form, by name.
pub type Form = BTreeMap<String, String>;

/// Texts that are not compiled yet. Where a preset is named, what it says holds unless something is said here.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Draft {
    /// Fills in what is not said.
    pub preset: Option<String>,
    /// `POST` unless said.
    pub method: Option<String>,
    /// Where requests go.
    pub url: Option<String>,
    /// A header that becomes empty is left out.
    pub headers: BTreeMap<String, String>,
    /// The body as JSON: what is printed is written as JSON.
    pub json: Option<String>,
    /// The body as it is.
    pub text: Option<String>,
    /// The body as a form.
    pub form: Option<Form>,
    /// What templates know as `values`.
    pub values: BTreeMap<String, Value>,
    /// What templates know as `secrets`; never shown.
    pub secrets: BTreeMap<String, String>,
    /// Likewise, each from a file of its own.
    pub secret_files: BTreeMap<String, PathBuf>,
    /// Whether an answer means that the message was taken: an expression.
    pub success: Option<String>,
    /// Whether it may be taken later: an expression.
    pub retry: Option<String>,
    /// After how many seconds: an expression.
    pub retry_after: Option<String>,
    /// The least time between two requests.
    pub min_interval: Option<String>,
    /// The vendor takes one incident at a time.
    pub one_incident: Option<bool>,
    /// The vendor keeps what it was told until it hears that it is over.
    pub remembers: Option<bool>,
    /// Of a preset: what must be given (`values.topic`), and what it is.
    #[serde(skip)]
    pub needs: BTreeMap<String, String>,
}

impl Draft {
    /// With what its preset says, where one is named.
    ///
    /// # Errors
    /// There is none of that name, or something that it needs is missing.
    pub fn completed(self) -> Result<Self, Vec<TemplateFault>> {
        let fault = |key: &str, problem: String| TemplateFault { key: key.to_owned(), problem };
        let Some(name) = &self.preset else { return Ok(self) };
        let Some(preset) = preset::named(name) else {
            let known = preset::NAMES.join(", ");
            return Err(vec![fault("preset", format!("there is none called \"{name}\"; there are {known}"))]);
        };
        let draft = self.over(preset);
        let missing = draft.needs.iter().filter(|(key, _)| !draft.has(key));
        let missing: Vec<_> = missing.map(|(key, what)| fault(key, format!("is missing: {what}"))).collect();
        if missing.is_empty() { Ok(draft) } else { Err(missing) }
    }

    fn has(&self, key: &str) -> bool {
        match key.split_once('.') {
            Some(("values", name)) => self.values.contains_key(name),
            Some(("secrets", name)) => self.secrets.contains_key(name),
            _ => self.url.is_some(),
        }
    }

    fn over(mut self, preset: Self) -> Self {
        let has_body = self.json.is_some() || self.text.is_some() || self.form.is_some();
        for (name, value) in preset.headers {
            if !self.headers.keys().any(|said| said.eq_ignore_ascii_case(&name)) {
                self.headers.insert(name, value);
            }
        }
        for (name, value) in preset.values {
            self.values.entry(name).or_insert(value);
        }
        Self {
            preset: self.preset,
            method: self.method.or(preset.method),
            url: self.url.or(preset.url),
            headers: self.headers,
            json: self.json.or(preset.json.filter(|_| !has_body)),
            text: self.text.or(preset.text.filter(|_| !has_body)),
            form: self.form.or(preset.form.filter(|_| !has_body)),
            values: self.values,
            secrets: self.secrets,
            secret_files: self.secret_files,
            success: self.success.or(preset.success),
            retry: self.retry.or(preset.retry),
            retry_after: self.retry_after.or(preset.retry_after),
            min_interval: self.min_interval.or(preset.min_interval),
            one_incident: self.one_incident.or(preset.one_incident),
            remembers: self.remembers.or(preset.remembers),
            needs: preset.needs,
        }
    }
}
