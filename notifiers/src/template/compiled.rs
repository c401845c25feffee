//! Templates and expressions that were compiled, and what comes of them for one message or one answer.

use std::collections::BTreeSet;
use std::time::Duration;

use minijinja::value::Value as Known;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use thiserror::Error;
use url::Url;

use super::{Draft, facts, filters, rehearsal};
use crate::Notice;
use crate::http::{MAX_RETRY_AFTER, VendorAnswer, blot};

/// So many steps of a template and no more: a digest of a thousand incidents takes less than half of it.
const FUEL: u64 = 2_000_000;

/// No vendor takes more.
const LARGEST_BODY: usize = 2 * 1024 * 1024;

/// The name of the template of a JSON body: what is printed there is written as JSON.
const JSON: &str = "json";

/// Whether an answer means that the message was taken, unless something else is said.
const SUCCESS: &str = "200 <= status and status < 300";

/// Whether the message may be taken later, likewise. A page where there should be an answer is a login or a proxy in between.
const RETRY: &str = "status in [408, 425, 429] or status >= 500 or (status < 300 and answer is string)";

/// What is wrong with one of the templates.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{key}: {problem}")]
pub struct TemplateFault {
    /// The key under which it stands: `headers.Title`.
    pub key: String,
    /// What is wrong; never holds a secret.
    pub problem: String,
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// What an answer means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Taken,
    Later(Option<Duration>),
    Refused,
}

#[derive(Clone, Debug)]
enum Body {
    Json,
    Text,
    /// The names of its fields.
    Form(Vec<String>),
}

impl Body {
    fn content_type(&self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Form(_) => "application/x-www-form-urlencoded",
        }
    }
}

/// All templates of a channel.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    templates: Environment<'static>,
    /// What is unknown is false there: nobody knows what a vendor answers.
    rules: Environment<'static>,
    headers: Vec<(HeaderName, String)>,
    body: Body,
    success: String,
    retry: String,
    retry_after: Option<String>,
    values: Value,
    secrets: Map<String, Value>,
}

impl Compiled {
    pub(super) fn of(draft: &Draft) -> Result<Self, Vec<TemplateFault>> {
        let mut making = Making::new();
        making.add("url", draft.url.as_deref().unwrap_or_default(), false);
        if draft.url.is_none() {
            making.fault("url", "is missing: where the request goes, or preset, for vendors that many have");
        }
        let headers: Vec<_> = draft.headers.iter().filter_map(|(name, text)| making.header(name, text)).collect();
        let body = making.body(draft);
        let rule = |text: &Option<String>, otherwise: &str| text.clone().unwrap_or_else(|| otherwise.to_owned());
        let (success, retry) = (rule(&draft.success, SUCCESS), rule(&draft.retry, RETRY));
        let rules = rules();
        let each = [("success", Some(&success)), ("retry", Some(&retry)), ("retry_after", draft.retry_after.as_ref())];
        for (key, text) in each.into_iter().filter_map(|(key, text)| Some((key, text?))) {
            if let Err(problem) = rule_fault(&rules, text) {
                making.fault(key, &problem);
            }
        }
        let secrets = draft.secrets.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
        let Making { templates, mut faults } = making;
        let compiled = Self {
            templates,
            rules,
            headers,
            body,
            success,
            retry,
            retry_after: draft.retry_after.clone(),
            values: json!(draft.values),
            secrets,
        };
        for fault in &mut faults {
            fault.problem = compiled.blotted(&fault.problem);
        }
        if faults.is_empty() { Ok(compiled) } else { Err(faults) }
    }

    /// What fails on some message, each key once.
    pub(super) fn rehearse(&self, one_incident: bool) -> Vec<TemplateFault> {
        let mut seen = BTreeSet::new();
        let requests = rehearsal::notices(one_incident);
        let tried = requests.iter().filter_map(|notice| self.request(notice, rehearsal::AT_MS).err());
        tried.filter(|fault| seen.insert(fault.key.clone())).collect()
    }

    /// All that must not be shown; of an address that is a secret also what stands last in it, which is the credential.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let whole = self.secrets.values().filter_map(Value::as_str);
        whole.flat_map(|text| [Some(text), text.rsplit_once('/').map(|(_, last)| last)].into_iter().flatten())
    }

    pub(super) fn request(&self, notice: &Notice, now_ms: i64) -> Result<Request, TemplateFault> {
        let mut facts = facts::of(notice, now_ms);
        facts.insert("values".to_owned(), self.values.clone());
        facts.insert("secrets".to_owned(), Value::Object(self.secrets.clone()));
        let known = facts::known(&facts);
        let url = url(&self.rendered("url", &known)?)?;
        let body = self.rendered_body(&known)?;
        if body.len() > LARGEST_BODY {
            let problem = format!("becomes {} bytes, more than {LARGEST_BODY}", body.len());
            return Err(TemplateFault { key: self.body_key().to_owned(), problem });
        }
        facts.insert("body".to_owned(), body.as_str().into());
        let known = facts::known(&facts);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.body.content_type()));
        for (name, key) in &self.headers {
            let text = self.rendered(key, &known)?;
            // A line's end in a header would begin another one.
            let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let value = HeaderValue::from_bytes(text.as_bytes())
                .map_err(|error| TemplateFault { key: key.clone(), problem: error.to_string() })?;
            headers.insert(name.clone(), value);
        }
        Ok(Request { url, headers, body })
    }

    fn rendered(&self, name: &str, known: &Known) -> Result<String, TemplateFault> {
        let text = self.templates.get_template(name).and_then(|template| template.render(known.clone()));
        text.map_err(|error| TemplateFault { key: name.to_owned(), problem: self.blotted(&told(&error)) })
    }

    fn rendered_body(&self, known: &Known) -> Result<String, TemplateFault> {
        match &self.body {
            Body::Text => self.rendered("text", known),
            Body::Json => {
                let text = self.rendered(JSON, known)?;
                // As few bytes as can be, and no doubt whether it is JSON.
                let value: Value = serde_json::from_str(&text).map_err(|error| TemplateFault {
                    key: JSON.to_owned(),
                    problem: format!(
                        "becomes no JSON: {error}; what is printed is JSON by itself, without quotes around {{{{ }}}}"
                    ),
                })?;
                Ok(value.to_string())
            }
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for field in fields {
                    form.append_pair(field, &self.rendered(&form_key(field), known)?);
                }
                Ok(form.finish())
            }
        }
    }

    fn body_key(&self) -> &'static str {
        match &self.body {
            Body::Json => JSON,
            Body::Text => "text",
            Body::Form(_) => "form",
        }
    }

    fn blotted(&self, text: &str) -> String {
        let secrets: Vec<&str> = self.secrets().collect();
        blot(text, &secrets)
    }

    pub(super) fn verdict(&self, answer: &VendorAnswer) -> Verdict {
        let headers: Map<String, Value> = answer
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
            .collect();
        let said = serde_json::from_str(&answer.text).unwrap_or_else(|_| Value::from(answer.text.as_str()));
        let known = json!({ "status": answer.status.as_u16(), "answer": said, "headers": headers });
        let known = Known::from(minijinja::value::Serde(&known));
        let of = |rule: &str| self.rules.compile_expression(rule).and_then(|rule| rule.eval(known.clone())).ok();
        let holds = |rule: &str| of(rule).is_some_and(|value| value.is_true());
        if holds(&self.success) {
            return Verdict::Taken;
        }
        if !holds(&self.retry) {
            return Verdict::Refused;
        }
        let seconds = self.retry_after.as_deref().and_then(of).and_then(|value| f64::try_from(value).ok());
        let after = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Verdict::Later(after.map(|after| after.min(MAX_RETRY_AFTER)))
    }
}

fn url(text: &str) -> Result<Url, TemplateFault> {
    let fault = |problem: String| TemplateFault { key: "url".to_owned(), problem };
    let url = Url::parse(text.trim()).map_err(|error| fault(format!("{error}; write https://host/path")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(fault("must begin with https:// or http:// and name a host".to_owned()));
    }
    Ok(url)
}

/// Templates while they are compiled, with what is wrong so far.
struct Making {
    templates: Environment<'static>,
    faults: Vec<TemplateFault>,
}

impl Making {
    fn new() -> Self {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|name| if name == JSON { AutoEscape::Json } else { AutoEscape::None });
        templates.set_fuel(Some(FUEL));
        // It would print the secrets.
        templates.remove_global("debug");
        filters::add_to(&mut templates);
        Self { templates, faults: Vec::new() }
    }

    fn fault(&mut self, key: &str, problem: &str) {
        self.faults.push(TemplateFault { key: key.to_owned(), problem: problem.to_owned() });
    }

    /// `knows_body`: the body is there by then.
    fn add(&mut self, key: &str, text: &str, knows_body: bool) {
        if let Err(error) = self.templates.add_template_owned(key.to_owned(), text.to_owned()) {
            return self.fault(key, &told(&error));
        }
        let Ok(template) = self.templates.get_template(key) else { return };
        let is_known = |name: &String| {
            let is_named = facts::NAMES.contains(&name.as_str()) && (knows_body || name != "body");
            is_named || self.templates.globals().any(|(global, _)| global == name)
        };
        let mut unknown: Vec<String> =
            template.undeclared_variables(false).into_iter().filter(|name| !is_known(name)).collect();
        unknown.sort();
        if let Some(name) = unknown.first() {
            let known = facts::NAMES.join(", ");
            self.fault(key, &format!("nothing is called \"{name}\"; there are {known} (body in headers only)"));
        }
    }

    fn header(&mut self, name: &str, text: &str) -> Option<(HeaderName, String)> {
        let key = format!("headers.{name}");
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            self.fault(&key, "is no name of a header");
            return None;
        };
        self.add(&key, text, true);
        Some((header, key))
    }

    fn body(&mut self, draft: &Draft) -> Body {
        match (&draft.json, &draft.text, &draft.form) {
            (Some(text), None, None) => {
                self.add(JSON, text, false);
                Body::Json
            }
            (None, Some(text), None) => {
                self.add("text", text, false);
                Body::Text
            }
            (None, None, Some(form)) => {
                for (field, text) in form {
                    self.add(&form_key(field), text, false);
                }
                Body::Form(form.keys().cloned().collect())
            }
            (None, None, None) => {
                self.fault(JSON, "is missing: what is sent, as json, text or form");
                Body::Text
            }
            _ => {
                self.fault(JSON, "json, text and form are forms of the body; keep one");
                Body::Text
            }
        }
    }
}

fn form_key(field: &str) -> String {
    format!("form.{field}")
}

fn rules() -> Environment<'static> {
    let mut rules = Environment::new();
    rules.set_undefined_behavior(UndefinedBehavior::Chainable);
    rules.set_fuel(Some(FUEL));
    rules
}

fn rule_fault(rules: &Environment<'static>, text: &str) -> Result<(), String> {
    const KNOWN: [&str; 3] = ["status", "answer", "headers"];
    let rule = rules.compile_expression(text).map_err(|error| told(&error))?;
    let unknown = rule.undeclared_variables(false).into_iter().find(|name| !KNOWN.contains(&name.as_str()));
    match unknown {
        Some(name) => Err(format!("nothing is called \"{name}\"; there are {}", KNOWN.join(", "))),
        None => Ok(()),
    }
}

/// An error in one line, with the line of the template.
fn told(error: &minijinja::Error) -> String {
    let detail =
        error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    match error.line() {
        Some(line) => format!("line {line}: {detail}"),
        None => detail,
    }
}
