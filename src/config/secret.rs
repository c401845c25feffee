//! Values that may be given as themselves or as the name of a file that holds them.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::fault::{Faults, FieldPlace};
use crate::byte_order_mark;

/// `x` and `x_file` of one section.
pub(super) struct Secret<'a> {
    pub(super) place: FieldPlace<'a>,
    pub(super) name: &'a str,
    pub(super) inline: Option<String>,
    pub(super) file: Option<PathBuf>,
}

impl Secret<'_> {
    /// One of the two is given.
    pub(super) fn is_given(&self) -> bool {
        self.inline.is_some() || self.file.is_some()
    }

    /// The value, if one is given and good; faults name the file it stands in.
    pub(super) fn read<T, E: Display>(
        self,
        folder: &Path,
        faults: &mut Faults,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let file_key = format!("{}_file", self.name);
        match (&self.inline, &self.file) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                faults.add(self.place, &file_key, format!("{0} and {0}_file are both given; keep one", self.name));
                None
            }
            (Some(text), None) => faults.note(self.place, self.name, parse(text)),
            (None, Some(file)) => {
                let file = folder.join(file);
                let parsed = read_file(&file)
                    .and_then(|text| parse(&text).map_err(|error| format!("{}: {error}", file.display())));
                faults.note(self.place, &file_key, parsed)
            }
        }
    }
}

/// What a file holds, without the blanks and line ends around it.
pub(super) fn line_of(file: &Path) -> Result<String, String> {
    read_file(file).map(|text| text.trim().to_owned())
}

fn read_file(file: &Path) -> Result<String, String> {
    let name = file.display();
    match std::fs::read_to_string(file) {
        Ok(text) if text.trim().is_empty() => Err(format!("{name} is empty")),
        Ok(text) => Ok(byte_order_mark::stripped(&text).to_owned()),
        Err(error) => Err(format!("cannot read {name}: {error}")),
    }
}
