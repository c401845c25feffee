//! Lists: `?limit=`, `?cursor=`, and `{"items": […], "next": …}`.

use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use super::request::{Count, Flag, Property, Request, Text, request};
use crate::store::Page;

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 1_000;

request! {
    /// Where a list starts and how much of it is shown.
    pub(super) struct PageAsked {
        /// At most so many items.
        pub(super) limit: Option<Count<1, MOST>> = DEFAULT_LIMIT,
        /// Where to go on: `next` of the page before.
        pub(super) cursor: Option<Text<0, 200>>,
    }
}

impl PageAsked {
    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

request! {
    /// An edit that may be only a rehearsal.
    pub(super) struct DryRun {
        /// Only judge it
        pub(super) dry_run: Option<Flag>,
    }
}

/// A query that asks for nothing.
pub(super) struct Nothing;

impl Request for Nothing {
    fn take(_: &mut Fields) -> Option<Self> {
        Some(Self)
    }

    fn properties() -> Vec<Property> {
        vec![]
    }
}

/// The body of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; `null`: this was the last.
    #[schema(required)]
    pub(super) next: Option<String>,
}

impl<T> Items<T> {
    /// A list that is short enough to be shown whole.
    pub(super) fn whole<S: Into<T>>(items: Vec<S>) -> Self {
        Self { items: items.into_iter().map(Into::into).collect(), next: None }
    }

    pub(super) fn of<S: Into<T>>(page: Page<S>) -> Self {
        Self { items: page.items.into_iter().map(Into::into).collect(), next: page.next }
    }
}
