//! The secret of one heartbeat, and where a sender finds it.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::byte_order_mark;

/// Holds the secret itself.
pub const SECRET_VARIABLE: &str = "KOMAINU_HEARTBEAT_SECRET";

/// Names the file that holds it.
pub const FILE_VARIABLE: &str = "KOMAINU_HEARTBEAT_SECRET_FILE";

/// The key of a heartbeat's pushes: the bytes of its text exactly as it was shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why there is no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Nobody said where it is.
    #[error("no secret: say --secret-file FILE, or set {SECRET_VARIABLE} or {FILE_VARIABLE}")]
    NotGiven,
    /// The file cannot be read.
    #[error("cannot read the secret from {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says of it.
        source: std::io::Error,
    },
    /// Empty, or more than one word: most likely not the secret at all.
    #[error("{place} holds no secret: it must be one word, as it was shown when the heartbeat was added")]
    NotASecret {
        /// Where it was looked for.
        place: String,
    },
}

impl Secret {
    /// The secret of that text; blanks and line ends around it are not part of it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_word.then(|| Self(text.to_owned()))
    }

    /// Looks at the file that was named, then at the variables, in this order. An empty variable is one not set.
    pub fn find(file: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, SecretError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let (text, place) = match (file, set(SECRET_VARIABLE), set(FILE_VARIABLE)) {
            (Some(path), ..) => (read(path)?, path.display().to_string()),
            (None, Some(text), _) => (text, SECRET_VARIABLE.to_owned()),
            (None, None, Some(path)) => (read(Path::new(&path))?, path),
            (None, None, None) => return Err(SecretError::NotGiven),
        };
        Self::parse(&text).ok_or(SecretError::NotASecret { place })
    }

    /// What pushes are signed with.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn read(path: &Path) -> Result<String, SecretError> {
    let text = std::fs::read_to_string(path);
    text.map(|text| byte_order_mark::stripped(&text).to_owned())
        .map_err(|source| SecretError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(file: Option<&Path>, variables: &[(&str, &str)]) -> Result<Secret, SecretError> {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Secret::find(file, variable)
    }

    #[test]
    fn the_nearest_place_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (named, other) = (folder.path().join("named"), folder.path().join("other"));
        std::fs::write(&named, "from-the-option\n").unwrap();
        std::fs::write(&other, "from-the-file").unwrap();
        let other = other.to_str().unwrap();
        let both = [(SECRET_VARIABLE, "itself"), (FILE_VARIABLE, other)];
        assert_eq!(find(Some(&named), &both).unwrap().reveal(), "from-the-option");
        assert_eq!(find(None, &both).unwrap().reveal(), "itself");
        assert_eq!(find(None, &[(SECRET_VARIABLE, ""), (FILE_VARIABLE, other)]).unwrap().reveal(), "from-the-file");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(find(None, &[]).unwrap_err().to_string().contains("--secret-file"));
        assert!(find(None, &[(FILE_VARIABLE, "/not/there")]).unwrap_err().to_string().contains("/not/there"));
        let error = find(None, &[(SECRET_VARIABLE, "two words")]).unwrap_err();
        assert!(error.to_string().contains(SECRET_VARIABLE) && !error.to_string().contains("two words"), "{error}");
    }

    #[test]
    fn the_log_never_shows_a_secret() {
        assert_eq!(format!("{:?}", Secret::parse("hunter2")), "Some(Secret(…))");
    }
}
