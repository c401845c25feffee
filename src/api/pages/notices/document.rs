//! What is said and shown of what people write on pages.

use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::openapi::Millis;
use crate::api::request::{Field, Shape, Text, Texts, Whole, request};
use crate::pages::notice::{Impact, Notice, Update};

/// An incident or a maintenance, for those with a key.
#[derive(Serialize, ToSchema)]
#[schema(as = PageNotice)]
pub(in crate::api) struct NoticeShown {
    /// Public and unguessable.
    id: String,
    title: String,
    #[schema(value_type = String)]
    impact: &'static str,
    /// Of an incident `investigating`, `identified`, `monitoring`, `resolved`; of a maintenance `scheduled`, `in_progress`, `verifying`,
    /// `completed`, as it was said last.
    #[schema(value_type = String)]
    status: &'static str,
    /// Ids of components of its page.
    components: Vec<String>,
    #[schema(value_type = Option<Millis>, required)]
    starts_at: Option<Wall>,
    #[schema(value_type = Option<Millis>, required)]
    ends_at: Option<Wall>,
    /// When it was said to be over.
    #[schema(value_type = Option<Millis>, required)]
    resolved_at: Option<Wall>,
    /// The incident of komainu's that it was opened from; the public never sees it.
    #[schema(required)]
    incident: Option<i64>,
    #[schema(value_type = Millis)]
    created_at: Wall,
    created_by: String,
    #[schema(value_type = Millis)]
    changed_at: Wall,
    updates: Vec<UpdateShown>,
}

/// What was said of it once.
#[derive(Serialize, ToSchema)]
#[schema(as = PageUpdate)]
struct UpdateShown {
    #[schema(value_type = String)]
    status: &'static str,
    text: String,
    #[schema(value_type = Millis)]
    at: Wall,
    by: String,
}

impl From<Notice> for NoticeShown {
    fn from(notice: Notice) -> Self {
        let (starts_at, ends_at) = notice.window.unzip();
        let update = |update: Update| UpdateShown {
            status: update.stage.as_str(),
            text: update.words,
            at: update.at,
            by: update.said_by,
        };
        Self {
            id: notice.public_id,
            title: notice.title,
            impact: notice.impact.as_str(),
            status: notice.stage.as_str(),
            components: notice.components,
            starts_at,
            ends_at,
            resolved_at: notice.resolved_at,
            incident: notice.incident_id,
            created_at: notice.created_at,
            created_by: notice.created_by,
            changed_at: notice.changed_at,
            updates: notice.updates.into_iter().map(update).collect(),
        }
    }
}

pub(super) struct ImpactWord;

impl Field for ImpactWord {
    type Value = Impact;

    fn read(sent: &Value) -> Result<Impact, String> {
        let found = sent.as_str().and_then(Impact::parse);
        found.ok_or_else(|| "must be none, minor, major or critical".to_owned())
    }

    fn shape() -> Shape {
        Shape::words(&Impact::ALL.map(Impact::as_str))
    }
}

type Moment = Whole<0, { i64::MAX / 2_000 }>;

request! {
    pub(in crate::api) struct NewIncident {
        /// In one line. Left out where it is opened from an incident of komainu's: then it names the components.
        pub(super) title: Option<Text<1, 200>>,
        /// `none`, `minor`, `major` or `critical`: its components are shown at least that bad.
        pub(super) impact: Option<ImpactWord> = "none",
        /// `investigating`, `identified`, `monitoring`, `resolved`
        pub(super) status: Option<Text<1, 20>> = "investigating",
        /// Ids of components of this page; none: it is about the whole.
        pub(super) components: Option<Texts<500>>,
        /// The first update.
        pub(super) text: Option<Text<1, 5_000>>,
        /// An incident of komainu's: where they are not named, components and impact follow from it. The public never sees which.
        pub(super) from_incident: Option<Whole<1, { i64::MAX / 2 }>>,
    }
}

request! {
    pub(in crate::api) struct NewMaintenance {
        /// In one line.
        pub(super) title: Text<1, 200>,
        /// Ids of components of this page.
        pub(super) components: Option<Texts<500>>,
        /// The first update.
        pub(super) text: Option<Text<1, 5_000>>,
        /// Milliseconds UTC.
        pub(super) starts_at: Moment,
        /// Milliseconds UTC.
        pub(super) ends_at: Moment,
    }
}

request! {
    pub(in crate::api) struct NoticeChanges {
        /// In one line.
        pub(super) title: Option<Text<1, 200>>,
        /// `none`, `minor`, `major` or `critical`
        pub(super) impact: Option<ImpactWord>,
        /// How far it has come.
        pub(super) status: Option<Text<1, 20>>,
        /// Ids of components of this page.
        pub(super) components: Option<Texts<500>>,
        /// Of a maintenance, milliseconds UTC.
        pub(super) starts_at: Option<Moment>,
        /// Of a maintenance, milliseconds UTC.
        pub(super) ends_at: Option<Moment>,
    }
}

request! {
    pub(in crate::api) struct NewUpdate {
        /// What is said.
        pub(super) text: Text<1, 5_000>,
        /// How far it has come; left out: as before.
        pub(super) status: Option<Text<1, 20>>,
        /// `none`, `minor`, `major` or `critical`; left out: as before.
        pub(super) impact: Option<ImpactWord>,
    }
}
