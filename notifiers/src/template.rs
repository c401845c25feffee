//! Any vendor that takes an HTTP request: what is sent, and what its answer means, is written as templates (Jinja's language).
//!
//! Owns their compilation and their trial: whatever can go wrong with them goes wrong when the configuration is read, on messages
//! of every sort, and not at night. Presets for vendors that many have are in [`preset`].

mod compiled;
mod draft;
mod facts;
mod filters;
pub mod preset;
mod rehearsal;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Client, Method};

pub use compiled::TemplateFault;
pub use draft::{Draft, Form};

use crate::http;
use crate::{DeliveryError, Notice, Receipt, Secret};
use compiled::{Compiled, Request, Verdict};

/// What may be asked of a vendor.
const METHODS: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];

/// No vendor wants to be left alone for longer.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// A channel whose requests are written by templates.
#[derive(Clone, Debug)]
pub struct Config {
    preset: Option<String>,
    method: Method,
    one_incident: bool,
    remembers: bool,
    min_interval: Duration,
    compiled: Secret<Arc<Compiled>>,
}

impl Config {
    /// Compiles a draft that has its preset's words already, and tries it on messages of every sort.
    ///
    /// # Errors
    /// All that is wrong, by key.
    pub fn of(draft: &Draft) -> Result<Self, Vec<TemplateFault>> {
        let mut faults = Vec::new();
        let method = noted(&mut faults, "method", method(draft.method.as_deref()));
        let min_interval = noted(&mut faults, "min_interval", interval(draft.min_interval.as_deref()));
        let one_incident = draft.one_incident.unwrap_or(false);
        let compiled = match Compiled::of(draft) {
            Ok(compiled) => {
                faults.extend(compiled.rehearse(one_incident));
                Some(compiled)
            }
            Err(found) => {
                faults.extend(found);
                None
            }
        };
        match (method, min_interval, compiled) {
            (Some(method), Some(min_interval), Some(compiled)) if faults.is_empty() => {
                let preset = draft.preset.clone();
                let remembers = draft.remembers.unwrap_or(false);
                Ok(Self {
                    preset,
                    method,
                    one_incident,
                    remembers,
                    min_interval,
                    compiled: Secret::new(Arc::new(compiled)),
                })
            }
            _ => Err(faults),
        }
    }

    /// The preset's name, where it is made of one.
    #[must_use]
    pub fn preset(&self) -> Option<&str> {
        self.preset.as_deref()
    }

    /// The vendor takes one incident at a time, so several are several requests.
    #[must_use]
    pub fn takes_one_incident(&self) -> bool {
        self.one_incident
    }

    /// The vendor keeps what it was told until it hears that it is over.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.remembers
    }

    pub(crate) fn min_interval(&self) -> Duration {
        self.min_interval
    }
}

fn noted<T>(faults: &mut Vec<TemplateFault>, key: &str, result: Result<T, String>) -> Option<T> {
    result.map_err(|problem| faults.push(TemplateFault { key: key.to_owned(), problem })).ok()
}

fn method(text: Option<&str>) -> Result<Method, String> {
    let text = text.unwrap_or("POST");
    METHODS
        .into_iter()
        .find(|method| method.as_str() == text)
        .ok_or_else(|| format!("\"{text}\" is none of POST, PUT, PATCH"))
}

fn interval(text: Option<&str>) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    let span: SignedDuration = text.parse().map_err(|error| format!("\"{text}\": {error}; write 1s"))?;
    let span = Duration::try_from(span).map_err(|_| format!("\"{text}\" is less than nothing"))?;
    if span > LONGEST_INTERVAL { Err("must be at most 60s".to_owned()) } else { Ok(span) }
}

/// Hands a notice over, incident by incident where the vendor takes no more at once. What arrived of several is sent again with the
/// rest when one of them fails: vendors of that kind know an incident by its name.
pub(crate) async fn send(
    config: &Config,
    notice: &Notice,
    http: &Client,
    now_ms: i64,
) -> Result<Receipt, DeliveryError> {
    if !config.one_incident || notice.items.len() == 1 {
        return send_one(config, notice, http, now_ms).await;
    }
    let mut receipt = Receipt::default();
    for (number, item) in notice.items.iter().enumerate() {
        let id = format!("{}-{number}", notice.id);
        let one = Notice { id, items: vec![item.clone()], is_digest: false, ..notice.clone() };
        receipt = send_one(config, &one, http, now_ms).await?;
    }
    Ok(receipt)
}

async fn send_one(config: &Config, notice: &Notice, http: &Client, now_ms: i64) -> Result<Receipt, DeliveryError> {
    let compiled = config.compiled.reveal();
    let request = compiled.request(notice, now_ms).map_err(|fault| DeliveryError::Permanent {
        reason: format!("its template {} fails on this message: {}", fault.key, fault.problem),
    })?;
    let Request { url, headers, body } = request;
    let secrets = compiled.secrets();
    let kept = [url.as_str(), url.path(), url.query().unwrap_or(""), url.password().unwrap_or("")];
    let blotted: Vec<&str> = kept.into_iter().chain(secrets).filter(|text| !matches!(*text, "" | "/")).collect();
    let sent = http.request(config.method.clone(), url.clone()).headers(headers).body(body);
    let answer = http::post(sent, &blotted).await?;
    match compiled.verdict(&answer) {
        Verdict::Taken => Ok(Receipt { answer: answer.shown(), ..Receipt::default() }),
        Verdict::Later(after) => Err(DeliveryError::Retryable {
            reason: format!("answered {}", answer.shown()),
            after: after.or_else(|| http::retry_after(&answer.headers, now_ms)),
        }),
        Verdict::Refused if answer.status.is_success() => {
            Err(DeliveryError::Permanent { reason: format!("answered {}, which is no success", answer.shown()) })
        }
        Verdict::Refused => match answer.refusal(now_ms) {
            refusal @ DeliveryError::Permanent { .. } => Err(refusal),
            // The template's own rule says that it is none to be tried again.
            refusal @ (DeliveryError::Retryable { .. }
            | DeliveryError::Unanswered { .. }
            | DeliveryError::Unreached { .. }) => Err(DeliveryError::Permanent { reason: refusal.to_string() }),
        },
    }
}
