//! Who is told of what stands on public pages, and what is to be told them.
//!
//! A page's words are entered once, in the transaction that writes them; each subscriber knows how far they have heard. So 10,000 subscribers cost
//! a writer nothing, the queue is as long as what was said in two weeks, and the order is that of the page. Who is told next, by whom, is
//! [`claim`]'s; who subscribes, [`asking`]'s; what keys may do, [`operators`]'.

pub mod asking;
pub mod claim;
mod news;
pub mod operators;
pub mod sweeping;

use serde::{Deserialize, Serialize};

use crate::pages::Language;

pub(super) use news::enter;
pub use news::turn;

/// Of one page, once they confirmed.
pub const MOST_SUBSCRIBERS: u32 = 10_000;

/// What somebody asked for and has not confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// Made anew each time: the link that confirms it and the secret of a webhook follow from it.
    pub nonce: String,
    /// Public ids of the components that they want to hear of; none: all.
    pub components: Vec<String>,
    /// What they are told in.
    pub language: Language,
}

impl Wish {
    /// Of 128 random bits.
    pub fn new(components: Vec<String>, language: Language) -> Self {
        Self { nonce: hex::encode(rand::random::<[u8; 16]>()), components, language }
    }
}
