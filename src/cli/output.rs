//! What every verb that asks a watchdog takes: whom to ask, and how to say the answer.

use serde_json::Value;

use super::client::{Client, ClientArgs};
use super::print;

#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// As JSON, as the watchdog says it. A verb that acts on several says one object a line.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

impl OutputArgs {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        self.client.client()
    }

    /// The answer as it is, or in words.
    pub(super) fn say(&self, answer: &Value, words: impl FnOnce() -> String) {
        print::line(if self.json { answer.to_string() } else { words() });
    }
}
