//! A vendor of these stories, which answers as a function says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use komainu::outbox::{Calendar, Outlet, Sends};
use komainu_notifiers::{DeliveryError, Notice, Receipt};

use crate::cluster::wait::wait_until;
use crate::store_contract::vendor::PATIENCE;

type Answer = Result<Receipt, DeliveryError>;
type Script = dyn Fn(&Notice) -> (Duration, Answer) + Send + Sync;

/// A vendor that answers as a function says, and keeps everything it was handed.
#[derive(Clone)]
pub(super) struct Scripted {
    answer: Arc<Script>,
    handed: Arc<Mutex<Vec<(Notice, bool)>>>,
}

impl Scripted {
    pub(super) fn new(answer: impl Fn(&Notice) -> Answer + Send + Sync + 'static) -> Self {
        Self::slow(move |notice| (Duration::ZERO, answer(notice)))
    }

    pub(super) fn slow(answer: impl Fn(&Notice) -> (Duration, Answer) + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), handed: Arc::default() }
    }

    pub(super) fn willing() -> Self {
        Self::new(|_| Ok(Receipt::default()))
    }

    /// Every message that it was handed.
    pub(super) fn handed(&self) -> Vec<Notice> {
        self.handed.lock().unwrap().iter().map(|(notice, _)| notice.clone()).collect()
    }

    /// Every incident that it took, in the order of taking.
    pub(super) fn took(&self) -> Vec<String> {
        let handed = self.handed.lock().unwrap();
        let taken = handed.iter().filter(|(_, is_taken)| *is_taken);
        taken.flat_map(|(notice, _)| notice.items.iter().map(|item| item.key.clone())).collect()
    }

    pub(super) async fn wait_for(&self, key: &str) {
        let has_taken = async || self.took().iter().any(|taken| taken == key);
        wait_until(&format!("{key} arrives"), PATIENCE, has_taken).await;
    }
}

impl Sends for Scripted {
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Answer> {
        Box::pin(async {
            let (after, answer) = (self.answer)(notice);
            self.handed.lock().unwrap().push((notice.clone(), answer.is_ok()));
            tokio::time::sleep(after).await;
            answer
        })
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(130)
    }

    fn min_interval(&self) -> Duration {
        Duration::ZERO
    }
}

pub(super) fn has(notice: &Notice, key: &str) -> bool {
    notice.items.iter().any(|item| item.key == key)
}

pub(super) fn outlets(channels: &[(&str, &Scripted)]) -> BTreeMap<String, Outlet> {
    let outlet = |channel: &Scripted| Outlet {
        channel: Arc::new(channel.clone()),
        fallback: None,
        calendar: Calendar::default(),
    };
    channels.iter().map(|(name, channel)| ((*name).to_owned(), outlet(channel))).collect()
}
