//! What was filled in, as it is sent to the API: what is left empty is the API's to choose.
//!
//! What is written for people (`24h`, `a, b`, a day in a time zone) is read here, and a fault of it stands beside its field as one
//! of the API's does. All else is sent as it was typed: the API judges it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::Scene;
use crate::duration;
use crate::monitor::parse_setting;

/// The fields of a body, as far as they were filled in.
pub(super) struct Filled<'a> {
    scene: &'a Scene<'a>,
    body: Map<String, Value>,
    /// Fields, and what is wrong with each.
    pub(super) faults: Vec<(String, String)>,
}

impl<'a> Filled<'a> {
    pub(super) fn of(scene: &'a Scene<'a>) -> Self {
        Self { scene, body: Map::new(), faults: vec![] }
    }

    /// The body, and what is wrong with it; before anything was sent, nothing is.
    pub(super) fn finish(self) -> (Value, Vec<(String, String)>) {
        let faults = if self.scene.is_sent { self.faults } else { vec![] };
        (self.body.into(), faults)
    }

    /// Something that follows from something else.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// As it was typed.
    pub(super) fn texts<const N: usize>(self, names: [&str; N]) -> Self {
        names.into_iter().fold(self, |filled, name| filled.read(name, |text| Ok(text.into())))
    }

    /// Numbers; what is none is sent all the same, and refused with the API's words.
    pub(super) fn numbers<const N: usize>(self, names: [&str; N]) -> Self {
        let number = |text: &str| Ok(text.parse::<i64>().map_or_else(|_| text.into(), Value::from));
        names.into_iter().fold(self, |filled, name| filled.read(name, number))
    }

    /// `24h`, `90s`, or a number of seconds.
    pub(super) fn seconds<const N: usize>(self, names: [&str; N]) -> Self {
        let seconds = |text: &str| duration::parse_seconds(text).map(Value::from);
        names.into_iter().fold(self, |filled, name| filled.read(name, seconds))
    }

    /// `a, b`
    pub(super) fn words<const N: usize>(self, names: [&str; N]) -> Self {
        let words = |text: &str| {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Ok(words.map(Value::from).collect())
        };
        names.into_iter().fold(self, |filled, name| filled.read(name, words))
    }

    /// Each line is one.
    pub(super) fn lines(self, name: &str) -> Self {
        let lines = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(lines.map(Value::from).collect())
        };
        self.read(name, lines)
    }

    /// Those of several that are ticked.
    pub(super) fn ticked(self, name: &str) -> Self {
        let ticked: Vec<Value> = self.scene.form.all(name).into_iter().map(Value::from).collect();
        if ticked.is_empty() { self } else { self.with(name, ticked) }
    }

    /// Days and times in the time zone that this field names, in milliseconds.
    pub(super) fn moments<const N: usize>(self, zone: &'static str, names: [&str; N]) -> Self {
        let Ok(found) = TimeZone::get(self.scene.form.field(zone).unwrap_or("UTC")) else {
            return self.fault(zone, "must be a time zone like UTC or Europe/Berlin");
        };
        let moment = |text: &str| {
            let at = text.parse::<DateTime>().and_then(|at| at.to_zoned(found.clone()));
            let at = at.map_err(|_| "must be a day and a time like 2026-12-24T06:00".to_owned())?;
            Ok(at.timestamp().as_millisecond().into())
        };
        names.into_iter().fold(self, |filled, name| filled.read(name, moment))
    }

    /// Any field, `name=value`, one a line.
    pub(super) fn settings(mut self, name: &str) -> Self {
        let text = self.scene.form.field(name).unwrap_or_default();
        for (at, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
            match parse_setting(line) {
                Ok((field, _)) if self.body.contains_key(&field) => {
                    self = self.fault(name, &format!("line {}: {field} is filled in above", at + 1));
                }
                Ok((field, value)) => self = self.with(&field, value),
                Err(_) => self = self.fault(name, &format!("line {}: must be like ignore_tls=true", at + 1)),
            }
        }
        self
    }

    fn read(self, name: &str, read: impl Fn(&str) -> Result<Value, String>) -> Self {
        let Some(text) = self.scene.form.field(name) else { return self };
        match read(text) {
            Ok(value) => self.with(name, value),
            Err(words) => self.fault(name, &words),
        }
    }

    fn fault(mut self, name: &str, words: &str) -> Self {
        self.faults.push((name.to_owned(), words.to_owned()));
        self
    }
}
