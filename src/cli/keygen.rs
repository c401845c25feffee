//! `komainu keygen`: a new cluster key, on standard output.

use super::print;
use crate::keys::ClusterKey;

pub(super) fn run() {
    print::line(ClusterKey::generate().reveal());
}
