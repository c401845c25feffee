//! Mails to subscribers: one connection at a time, at a pace that all watchdogs share.

use std::time::Duration;

use komainu_notifiers::mail::letter::{LetterError, Postman, Round};
use komainu_watchdogs::subscription::{Answer, Leave, MailServer, Outcome};
use tokio_util::sync::CancellationToken;

use super::{LOOK, Sender, Trouble};
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

/// Until it is to stop.
pub(super) async fn run(sender: &Sender, shutdown: &CancellationToken) {
    let Some((channel, postman)) = &sender.mail else { return };
    let (mut server, mut looking, mut sending) = (MailServer::default(), Failing::default(), Failing::default());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sender.subscriptions.0.mails.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        while !shutdown.is_cancelled() {
            let worked = Box::pin(batch(sender, (channel, postman), &mut server, shutdown)).await;
            let Some(worked) = looking.note(worked, "subscribers of pages cannot be read") else { break };
            match worked {
                Worked::Nothing => break,
                Worked::Some => {
                    sending.note(Ok::<_, String>(()), "");
                }
                Worked::Away(reason) => {
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

/// Whether the server is to be had for a letter now.
async fn may_leave(sender: &Sender, channel: &str, server: &mut MailServer) -> Result<Leave, StoreError> {
    let alerts_wait = claim::is_channel_needed(&sender.store, channel).await?;
    Ok(server.may_leave(clock::now(), alerts_wait))
}

/// Some mails over one connection.
async fn batch(
    sender: &Sender,
    (channel, postman): (&str, &Postman),
    server: &mut MailServer,
    shutdown: &CancellationToken,
) -> Result<Worked, StoreError> {
    match may_leave(sender, channel, server).await? {
        Leave::Now | Leave::At(_) => {}
        Leave::Away(_) | Leave::AlertsFirst => return Ok(Worked::Nothing),
    }
    let all = claim::claim(&sender.store, Way::Mail, sender.me, BATCH).await?;
    if all.is_empty() {
        return Ok(Worked::Nothing);
    }
    let ends_at = clock::now() + BATCH_LASTS;
    let mut round = match postman.open().await {
        Ok(round) => round,
        Err(error) => {
            server.did_not_open(clock::now());
            give_back(sender, &all).await?;
            return Ok(Worked::Away(reason(error)));
        }
    };
    let mut left = all.iter();
    for due in left.by_ref() {
        // Asked anew before each letter: an alert does not wait for a batch.
        let leave = may_leave(sender, channel, server).await?;
        if let Leave::At(at) = leave {
            clock::sleep_until(at).await;
        }
        let may_leave = matches!(leave, Leave::Now | Leave::At(_));
        if !may_leave || shutdown.is_cancelled() || clock::now() >= ends_at {
            give_back(sender, std::slice::from_ref(due)).await?;
            break;
        }
        if let Some(broken) = tell(sender, due, &mut round, server).await? {
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
    server: &mut MailServer,
) -> Result<Option<String>, StoreError> {
    let Some(letter) = letter(&sender.links(), due) else {
        sender.note(due, &Sender::end(due, Outcome::Gone, "it is no mail address")).await?;
        return Ok(None);
    };
    if !claim::begin(&sender.store, due, sender.me).await? {
        return Ok(None);
    }
    let gap = Duration::from_secs(1) * (sender.living)().max(1) / sender.mails_per_second.max(1);
    server.left(clock::now(), gap);
    let handed = sender.holding(due, round.hand(&letter, clock::wall().0)).await;
    let answer = match &handed {
        Ok(()) => Answer::Taken,
        Err(LetterError::Refused { .. }) => Answer::Refused,
        Err(LetterError::Later { .. }) => Answer::Later,
        Err(LetterError::Unanswered { .. }) => Answer::Unanswered,
        Err(LetterError::Server { .. }) => Answer::Away,
    };
    let verdict = server.heard(clock::now(), answer, due.record());
    let words = handed.err().map(reason).unwrap_or_default();
    let may_have_arrived = answer == Answer::Unanswered;
    let trouble = || Trouble { words: &words, may_have_arrived, refusals: verdict.refusals };
    let end = verdict.next.map_or(End::Untried, |next| Sender::end_of(due, next, trouble()));
    sender.note(due, &end).await?;
    Ok(verdict.is_away.then_some(words))
}

fn reason(error: LetterError) -> String {
    match error {
        LetterError::Refused { reason }
        | LetterError::Later { reason }
        | LetterError::Unanswered { reason }
        | LetterError::Server { reason } => reason,
    }
}

/// Others may take them at once.
async fn give_back(sender: &Sender, all: &[Due]) -> Result<(), StoreError> {
    for due in all {
        sender.note(due, &End::Untried).await?;
    }
    Ok(())
}
