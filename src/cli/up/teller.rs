//! Looks every half second, and prints what the narrator finds worth a line.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use komainu_watchdogs::time::Wall;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::folder::Member;
use super::narrator::Narrator;
use super::observer::{ClusterObserver, Status};
use super::prepare::Prepared;
use crate::cli::print;
use crate::clock;

/// Fine enough for "seconds from the loss", and nothing next to what the watchdogs do.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the keeper notices.
#[derive(Debug)]
pub(super) enum Event {
    /// A process ended.
    Died {
        /// Which.
        name: String,
        /// By what.
        how: String,
        /// When that was noticed.
        at: Wall,
    },
    /// A process was started anew.
    Started {
        /// Which.
        name: String,
    },
}

/// Begins to tell, from what is known now.
pub(super) fn start(members: &[Member], prepared: &Prepared, status: Status) -> mpsc::UnboundedSender<Event> {
    let (sender, events) = mpsc::unbounded_channel();
    let observer = ClusterObserver::new(members, prepared);
    tokio::spawn(async move {
        match observer {
            Ok(observer) => tell(observer, events, status).await,
            Err(error) => print::failure(&error),
        }
    });
    sender
}

async fn tell(observer: ClusterObserver, mut events: mpsc::UnboundedReceiver<Event>, status: Status) {
    // Without owners a loss is told without its monitors.
    let mut narrator = Narrator::new(&status, observer.owners().await.unwrap_or_default());
    let mut generation = status.generation;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Died { name, how, at }) => say(narrator.died(&name, &how, at)),
                Some(Event::Started { name }) => say(vec![format!("{name} was started anew")]),
                None => return,
            },
            _ = looks.tick() => look(&observer, &mut narrator, &mut generation).await,
        }
    }
}

/// A look that fails shows nothing; the next one does.
async fn look(observer: &ClusterObserver, narrator: &mut Narrator, generation: &mut u64) {
    if let Some(status) = observer.status().await {
        say(narrator.seen(&status, clock::wall()));
        if status.generation != *generation
            && let Ok(owners) = observer.owners().await
        {
            *generation = status.generation;
            say(narrator.placed(owners, clock::wall()));
        }
    }
    let awaited = narrator.awaited();
    if awaited.is_empty() {
        return;
    }
    if let Ok(beats) = observer.last_beats(&awaited).await {
        say(narrator.beaten(&beats));
    }
}

fn say(lines: Vec<String>) {
    for line in lines {
        print::line(format!("{}  {line}", time_of_day(clock::wall())));
    }
}

fn time_of_day(at: Wall) -> String {
    let at = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}
