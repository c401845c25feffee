//! How komainu words what it tells people.
//!
//! Owns the words of a message and where help for it is found. Does not decide what is wrong (that is the decision
//! core's) nor who is told. The channels that carry messages to people come with a later version; today messages go to
//! the log and to the API's list of incidents.
#![warn(missing_docs)]

pub mod message;

pub use message::{Kind, Message};
