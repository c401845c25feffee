//! Mails to subscribers: one connection at a time, at a pace that all watchdogs share.

use std::time::Duration;

use komainu_notifiers::mail::letter::{LetterError, Postman, Round};
use komainu_watchdogs::subscription::Outcome;
use komainu_watchdogs::time::Mono;
use tokio_util::sync::CancellationToken;

use super::{LOOK, Sender};
use crate::clock;
use crate::failing::Failing;
use crate::pages::Way;
use crate::pages::subscribe::letter;
use crate::store::StoreError;
use crate::store::subscriptions::claim::{self, Due, End};

/// Claimed at once: at the slowest pace they are on their way before the claim ends.
const BATCH: usize = 20;
/// Longest that a batch is worked at; what is left of it is given back.
const BATCH_LASTS: Duration = Duration::from_secs(15);

/// A server that takes nothing is left alone for so long, by this watchdog.
const AWAY: Duration = Duration::from_secs(30);

/// So many readers refused in a row are the server's doing, not theirs.
const REFUSED_IN_A_ROW: u32 = 10;

/// How the server was lately.
#[derive(Default)]
struct Mood {
    refused: u32,
    away_until: Mono,
    /// When the next mail may leave.
    next_at: Mono,
}

/// Until it is to stop.
pub(super) async fn run(sender: &Sender, shutdown: &CancellationToken) {
    let Some((channel, postman)) = &sender.mail else { return };
    let (mut mood, mut looking, mut sending) = (Mood::default(), Failing::default(), Failing::default());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sender.subscriptions.0.mails.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        while !shutdown.is_cancelled() && clock::now() >= mood.away_until {
            let worked = Box::pin(batch(sender, (channel, postman), &mut mood, shutdown)).await;
            let Some(worked) = looking.note(worked, "subscribers of pages cannot be read") else { break };
            match worked {
                Worked::Nothing => break,
                Worked::Some => {
                    sending.note(Ok::<_, String>(()), "");
                }
                Worked::Away(reason) => {
                    mood.away_until = clock::now() + AWAY;
                    sending.note(Err::<(), _>(reason), "subscribers of pages cannot be told by mail");
                }
            }
        }
    }
}

enum Worked {
    Nothing,
    Some,
    /// The server takes nothing, and why.
    Away(String),
}

/// Some mails over one connection.
async fn batch(
    sender: &Sender,
    (channel, postman): (&str, &Postman),
    mood: &mut Mood,
    shutdown: &CancellationToken,
) -> Result<Worked, StoreError> {
    if claim::is_channel_needed(&sender.store, channel).await? {
        return Ok(Worked::Nothing);
    }
    let all = claim::claim(&sender.store, Way::Mail, sender.me, BATCH).await?;
    if all.is_empty() {
        return Ok(Worked::Nothing);
    }
    let ends_at = clock::now() + BATCH_LASTS;
    let mut round = match postman.open().await {
        Ok(round) => round,
        Err(error) => {
            give_back(sender, &all).await?;
            return Ok(Worked::Away(reason(&error)));
        }
    };
    let mut left = all.iter();
    for due in left.by_ref() {
        clock::sleep_until(mood.next_at).await;
        if shutdown.is_cancelled() || clock::now() >= ends_at {
            give_back(sender, std::slice::from_ref(due)).await?;
            break;
        }
        if let Some(broken) = tell(sender, due, &mut round, mood).await? {
            give_back(sender, left.as_slice()).await?;
            return Ok(Worked::Away(broken));
        }
    }
    round.close().await;
    give_back(sender, left.as_slice()).await?;
    Ok(Worked::Some)
}

/// One mail; returns why the connection is of no use any more.
async fn tell(
    sender: &Sender,
    due: &Due,
    round: &mut Round<'_>,
    mood: &mut Mood,
) -> Result<Option<String>, StoreError> {
    let Some(letter) = letter(&sender.links(), due) else {
        sender.note(due, &Sender::end(due, Outcome::Gone, "it is no mail address")).await?;
        return Ok(None);
    };
    if !claim::begin(&sender.store, due, sender.me).await? {
        return Ok(None);
    }
    let now = clock::now();
    mood.next_at = now + Duration::from_secs(1) * (sender.living)().max(1) / sender.mails_per_second.max(1);
    let handed = sender.holding(due, round.hand(&letter, clock::wall().0)).await;
    let (end, broken) = match handed {
        Ok(()) => {
            mood.refused = 0;
            (End::Told, None)
        }
        Err(LetterError::Refused { reason }) => {
            mood.refused = mood.refused.saturating_add(1);
            let is_theirs = mood.refused < REFUSED_IN_A_ROW;
            let outcome = if is_theirs { Outcome::Refused } else { Outcome::Later };
            (Sender::end(due, outcome, &reason), (!is_theirs).then_some(reason))
        }
        Err(LetterError::Later { reason }) => (Sender::end(due, Outcome::Later, &reason), None),
        Err(LetterError::Unanswered { reason }) => (Sender::end(due, Outcome::Unanswered, &reason), Some(reason)),
        Err(LetterError::Server { reason }) => (End::Untried, Some(reason)),
    };
    sender.note(due, &end).await?;
    Ok(broken)
}

fn reason(error: &LetterError) -> String {
    match error {
        LetterError::Refused { reason }
        | LetterError::Later { reason }
        | LetterError::Unanswered { reason }
        | LetterError::Server { reason } => reason.clone(),
    }
}

/// Others may take them at once.
async fn give_back(sender: &Sender, all: &[Due]) -> Result<(), StoreError> {
    for due in all {
        sender.note(due, &End::Untried).await?;
    }
    Ok(())
}
