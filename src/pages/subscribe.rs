//! Subscriptions of public pages: what a visitor may ask for, the links that confirm and end it, and what subscribers are told.
//!
//! The forms are answered from memory like the pages themselves; what they ask for is written at once, or refused with words. Rows are
//! [`crate::store::subscriptions`]' business, and sending is [`crate::subscriptions`]'.

mod address;
mod forms;
mod letter;
mod payload;
mod routes;
#[cfg(test)]
mod tests;
mod ticket;

use crate::keys::ClusterKey;
use crate::store::subscriptions::claim::{Due, Message};

pub(crate) use address::{Address, Bounds, is_allowed, masked};
pub(crate) use letter::letter;
pub(crate) use payload::payload;
pub(super) use routes::routes;
pub(crate) use ticket::secret;

/// Where links lead.
#[derive(Clone, Copy)]
pub(crate) struct Links<'a> {
    pub(crate) key: &'a ClusterKey,
    /// Where the public finds pages, without a slash at its end.
    pub(crate) base: &'a str,
}

impl Links<'_> {
    fn page(&self, slug: &str) -> String {
        format!("{}/pages/{slug}", self.base)
    }

    fn notice(&self, slug: &str, id: &str) -> String {
        format!("{}/incidents/{id}", self.page(slug))
    }

    fn confirming(&self, due: &Due, nonce: &str) -> String {
        let ticket = ticket::to_confirm(self.key, &due.slug, (&due.public_id, nonce));
        format!("{}/confirm/{ticket}?lang={}", self.page(&due.slug), due.language.code())
    }

    fn leaving(&self, due: &Due) -> String {
        let ticket = ticket::to_leave(self.key, &due.slug, &due.public_id);
        format!("{}/unsubscribe/{ticket}?lang={}", self.page(&due.slug), due.language.code())
    }
}

/// The same whenever it is sent again.
pub(crate) fn message_id(due: &Due) -> String {
    match &due.message {
        Message::Greeting { wish, .. } => format!("{}-{}", wish.nonce, due.public_id),
        Message::News { id, .. } => format!("{id}-{}", due.public_id),
    }
}
