//! `[tls]`: the certificate of this process, and whom it trusts. Read again when the files change.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::fault::Faults;
use crate::clock;
use crate::tls::{OwnFiles, TlsFiles};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Section {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

impl Section {
    pub(super) fn resolve(self, folder: &Path, faults: &mut Faults) -> Option<TlsFiles> {
        let in_folder = |file: Option<PathBuf>| file.map(|file| folder.join(file));
        let own = match (in_folder(self.cert), in_folder(self.key)) {
            (Some(cert), Some(key)) => Some(OwnFiles { cert, key }),
            (None, None) => None,
            (Some(_), None) => return miss("key", "is missing: the file with the private key of cert", faults),
            (None, Some(_)) => {
                return miss("cert", "is missing: the file with the certificate that key is for", faults);
            }
        };
        if own.is_none() && self.client_ca.is_some() {
            return miss("client_ca", "needs cert and key: without them nobody is asked for a certificate", faults);
        }
        let files = TlsFiles { own, ca: in_folder(self.ca), client_ca: in_folder(self.client_ca) };
        if let Err(error) = files.check(&[], clock::wall()) {
            return miss(error.setting, &error.problem, faults);
        }
        Some(files)
    }
}

fn miss(key: &str, problem: &str, faults: &mut Faults) -> Option<TlsFiles> {
    faults.add("tls", key, problem);
    None
}
