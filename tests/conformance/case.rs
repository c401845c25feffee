//! The table: `cases/*.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::openssl;
use crate::verdict::{Status, Verdict};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// A target, a monitor, and what is said of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    #[serde(skip)]
    file: String,
    pub(crate) name: String,
    /// Columns of Kuma's table; `{target}` stands for the target's host and port, `{host}` and `{port}` for either alone.
    #[serde(default)]
    pub(crate) monitor: toml::Table,
    /// What the target answers to requests for paths that `paths` does not name.
    #[serde(default)]
    pub(crate) answer: Answer,
    #[serde(default)]
    pub(crate) paths: BTreeMap<String, Answer>,
    /// The certificate that the target shows; none: it does not speak TLS.
    pub(crate) tls: Option<String>,
    /// What its name server says.
    pub(crate) zone: Option<Zone>,
    /// What the children of a group were found to be last: up, down, pending, paused, new.
    #[serde(default)]
    pub(crate) children: Vec<String>,
    /// The beat before.
    pub(crate) before: Option<Before>,
    /// What stands in a request, whichever came.
    #[serde(default)]
    asked: Vec<String>,
    /// What stands in none.
    #[serde(default)]
    never_asked: Vec<String>,
    /// Kuma's verdict.
    kuma: Status,
    /// Part of its message.
    says: Option<String>,
    /// The native node's verdict, where it is meant to be another.
    pub(crate) native: Option<Status>,
    native_says: Option<String>,
    /// Why it is.
    pub(crate) why: Option<String>,
    /// What Kuma cannot be asked here: a tool of its own is not installed everywhere.
    #[serde(default)]
    only_native: bool,
}

/// One answer to a request, and the end of the connection.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answer {
    /// Byte by byte, as text.
    pub(crate) raw: Option<String>,
    /// Byte by byte, in hexadecimal digits; blanks between them mean nothing.
    pub(crate) hex: Option<String>,
    /// 200 if nothing is said.
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<String>,
    pub(crate) headers: Vec<String>,
    /// `{request}` stands for the request as it came.
    pub(crate) body: Option<String>,
    pub(crate) body_hex: Option<String>,
    /// The body in so many gzip members.
    pub(crate) gzip: Vec<String>,
    /// So many header lines more.
    pub(crate) more_headers: usize,
    /// Nothing is answered, and nothing closed.
    pub(crate) silent: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Zone {
    /// As RFC 1035 numbers them.
    #[serde(default)]
    pub(crate) code: u8,
    /// Texts as in a zone file.
    #[serde(default)]
    pub(crate) records: Vec<String>,
    #[serde(default)]
    pub(crate) silent: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) retries: u32,
    /// Seconds ago.
    pub(crate) ago: u64,
}

/// All cases of all files that can be run here, sorted by file.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cases = vec![];
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let read: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        cases.extend(read.case.into_iter().map(|case| Case { file: name.clone(), ..case }));
    }
    let mut ids: Vec<_> = cases.iter().map(Case::id).collect();
    ids.sort();
    let twice = ids.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "two cases have one name: {twice:?}");
    if !openssl::is_installed() {
        cases.retain(|case| !case.tls.as_deref().is_some_and(openssl::is_meant));
    }
    cases
}

impl Case {
    pub(crate) fn id(&self) -> String {
        format!("{}: {}", self.file, self.name)
    }

    pub(crate) fn runs_on_kuma(&self) -> bool {
        !self.only_native
    }

    pub(crate) fn expected_of_kuma(&self) -> Verdict {
        Verdict { status: Some(self.kuma), says: self.says.clone() }
    }

    pub(crate) fn expected_of_native(&self) -> Verdict {
        match self.native {
            Some(status) => Verdict { status: Some(status), says: self.native_says.clone() },
            None => self.expected_of_kuma(),
        }
    }

    pub(crate) fn kind(&self) -> &str {
        self.monitor.get("type").and_then(toml::Value::as_str).unwrap_or("http")
    }

    /// What the requests lack, or hold although they should not. Names of headers are those of any case.
    pub(crate) fn miss(&self, asked: &[String]) -> Option<String> {
        let lower: Vec<String> = asked.iter().map(|request| request.to_ascii_lowercase()).collect();
        let is_in = |part: &String| lower.iter().any(|request| request.contains(&part.to_ascii_lowercase()));
        if let Some(part) = self.asked.iter().find(|part| !is_in(part)) {
            return Some(format!("{part:?} was not in {asked:?}"));
        }
        let part = self.never_asked.iter().find(|part| is_in(part))?;
        Some(format!("{part:?} was in {asked:?}"))
    }
}
