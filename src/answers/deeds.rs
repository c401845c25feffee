//! What pressing the button of a link does.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Answer, Link};
use crate::silence::{LONGEST_SILENCE, Label, Matcher, NewSilence};
use crate::store::incidents::{self, Acknowledged, Taking};
use crate::store::silences::{self, Made};
use crate::store::{Store, StoreError};

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Done {
    /// This one takes care of it now.
    Acknowledged,
    /// That one does already.
    TakenCareOf(String),
    /// Nobody is told of it any more, for now.
    Silenced,
    /// It is over: there is nothing to answer any more.
    Over,
    /// There are as many silences as there may be.
    TooMany,
}

pub(super) async fn act(store: &Store, (link, token): (&Link, &str), who: &str) -> Result<Done, StoreError> {
    match link.answer {
        Answer::Acknowledge => acknowledge(store, link, (who, Taking::IfFree)).await,
        Answer::TakeOver => acknowledge(store, link, (who, Taking::Over)).await,
        Answer::SilenceForAnHour => silence(store, (link, token), (who, Some(Duration::from_secs(3_600)))).await,
        Answer::SilenceForEightHours => silence(store, (link, token), (who, Some(Duration::from_secs(28_800)))).await,
        Answer::SilenceUntilResolved => silence(store, (link, token), (who, None)).await,
    }
}

async fn acknowledge(store: &Store, link: &Link, (who, taking): (&str, Taking)) -> Result<Done, StoreError> {
    Ok(match incidents::take(store, link.incident, (who, taking)).await? {
        Acknowledged::Now => Done::Acknowledged,
        Acknowledged::By(other) if other == who => Done::Acknowledged,
        Acknowledged::By(other) => Done::TakenCareOf(other),
        Acknowledged::Over => Done::Over,
    })
}

/// `lasts`: `None` is until it is over. A link makes one silence, however often it is pressed.
async fn silence(
    store: &Store,
    (link, token): (&Link, &str),
    (who, lasts): (&str, Option<Duration>),
) -> Result<Done, StoreError> {
    let is_open = incidents::get(store, link.incident).await?.is_some_and(|story| story.incident.resolved_at.is_none());
    if !is_open {
        return Ok(Done::Over);
    }
    let now = silences::now(store).await?;
    let new = NewSilence {
        matchers: vec![Matcher::is(Label::Key, &link.key)],
        starts_at: now,
        ends_at: now + lasts.unwrap_or(LONGEST_SILENCE),
        until_resolved: lasts.is_none(),
        recurrence: None,
        author: who.to_owned(),
        comment: "answered from a message".to_owned(),
        window: None,
    };
    let hash: [u8; 32] = Sha256::digest(token).into();
    let (half, _) = hash.split_first_chunk().map_or(([0; 16], &[][..]), |(half, rest)| (*half, rest));
    let uid = uuid::Builder::from_random_bytes(half).into_uuid().to_string();
    Ok(match silences::create_once(store, (&uid, &new), who).await? {
        Made::Silence(_) => Done::Silenced,
        Made::TooMany => Done::TooMany,
    })
}
