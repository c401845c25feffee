//! Public pages: what is shown to everybody of some monitors, checks and heartbeats, under names made for them.
//!
//! People choose what stands on a page ([`definition`], [`draft`]) and write on it ([`notice`]). What is shown follows from that and from
//! what the watchdog knows, in types that have no room for anything private ([`public`]); every rendering takes only those. Pages are
//! answered from memory, also while the database is away. Rows are [`crate::store::pages`]' business.

pub mod announcing;
mod assets;
mod badge;
pub mod day;
pub mod definition;
mod door;
pub mod draft;
mod feeds;
mod html;
mod keeper;
mod kuma;
mod library;
pub mod news;
pub mod notice;
pub(crate) mod password;
pub mod public;
mod routes;
pub mod standing;
mod statuspage;
pub(crate) mod subscribe;
#[cfg(test)]
mod tests;
pub mod words;

pub use day::Day;
pub use definition::{
    Component, Definition, Group, Language, MOST_COMPONENTS, MOST_GRAPHS, MOST_OF_ALL, MOST_PAGES, Source, Way,
};
pub use draft::{FIELDS, made, slug_fault};
pub(crate) use keeper::Keeper;
pub(crate) use library::Library;
pub use news::News;
pub use notice::Notice;
pub(crate) use routes::{Counter, kuma_routes, routes};
pub use standing::Standing;
