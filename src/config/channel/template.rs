//! `type = "template"`: any vendor that takes an HTTP request, by a preset or by templates of one's own.

use std::path::Path;

use komainu_notifiers::template::{Config, Draft, TemplateFault};

use crate::config::fault::{Faults, FieldPlace};
use crate::config::secret;

pub(super) fn resolve(mut draft: Draft, place: FieldPlace<'_>, folder: &Path, faults: &mut Faults) -> Option<Config> {
    let mut is_read = true;
    for (name, file) in std::mem::take(&mut draft.secret_files) {
        let key = format!("secret_files.{name}");
        let text = if draft.secrets.contains_key(&name) {
            Err(format!("secrets.{name} is given too; keep one"))
        } else {
            secret::line_of(&folder.join(file))
        };
        match faults.note(place, &key, text) {
            Some(text) => drop(draft.secrets.insert(name, text)),
            None => is_read = false,
        }
    }
    if !is_read {
        return None;
    }
    let made = draft.completed().and_then(|draft| Config::of(&draft));
    made.map_err(|found| {
        for TemplateFault { key, problem } in found {
            faults.add(place, &key, problem);
        }
    })
    .ok()
}
