//! Lists: `?limit=`, `?cursor=`, and `{"items": […], "next": …}`.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::fields::Fields;
use crate::store::Page;

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 1_000;

/// Where a list starts and how much of it is shown.
pub(super) struct Cut {
    pub(super) limit: u32,
    pub(super) cursor: Option<String>,
}

impl Cut {
    pub(super) fn take(fields: &mut Fields) -> Self {
        let limit = fields.integer("limit", 1..=i64::from(MOST));
        let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT);
        Self { limit, cursor: fields.text("cursor", 200) }
    }
}

/// The parameters of every list that may be long, in the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read field by field; this is what the document says of it")]
pub(super) struct PageParams {
    /// At most so many items.
    #[param(minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<u32>,
    /// Where to go on: `next` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
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
