//! `komainu openapi`: the contract of the HTTP surface, without asking anybody.

use super::print;
use crate::api;

pub(super) fn run() -> anyhow::Result<()> {
    print::line(api::document().to_pretty_json()?);
    Ok(())
}
