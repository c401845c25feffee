//! Webhooks of subscribers: a POST each, signed, some at once.
//!
//! A stranger named the address: names are looked at where they are resolved, at each call, and answers that lead elsewhere are not followed. No
//! proxy is asked, for it would resolve names by itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use komainu_notifiers::webhook::{self, Config};
use komainu_notifiers::{DeliveryError, Secret};
use komainu_watchdogs::subscription::Outcome;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{LOOK, Sender, Subscriptions};
use crate::failing::Failing;
use crate::pages::Way;
use crate::pages::subscribe::{Bounds, is_allowed, message_id, payload, secret};
use crate::run::names::Names;
use crate::store::StoreError;
use crate::store::subscriptions::claim::{self, Due, End, Message};
use crate::{clock, probe};

/// On their way at once: those that hang for their 10 s keep few others waiting.
const AT_ONCE: usize = 32;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Makes the calls.
pub(super) struct Calls<'a> {
    sender: &'a Sender,
}

/// What calls are made with.
#[derive(Clone, Debug)]
pub struct Clients {
    /// For addresses that strangers named.
    strangers: reqwest::Client,
    /// For those that a key named.
    own: reqwest::Client,
}

impl Clients {
    /// That call nothing which must not be called.
    pub fn new(subscriptions: &Subscriptions) -> Result<Self, reqwest::Error> {
        let bounds = subscriptions.bounds();
        let names = Names::of_system();
        let strangers = client(names.clone().refusing(bounds.guard.clone().for_strangers(bounds.may_be_private)))?;
        let own = client(names.refusing(bounds.guard.clone().for_looks()))?;
        Ok(Self { strangers, own })
    }
}

impl<'a> Calls<'a> {
    pub(super) fn new(sender: &'a Sender) -> Self {
        Self { sender }
    }

    /// Until it is to stop.
    pub(super) async fn run(&self, shutdown: &CancellationToken) {
        let (mut looking, mut noting) = (Failing::default(), Failing::default());
        let mut under_way = FuturesUnordered::new();
        // Whether more wait than were taken.
        let mut has_more = false;
        loop {
            // Half of them are taken together: to look what waits costs more than a call.
            let has_room = under_way.len() <= AT_ONCE / 2;
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(noted) = under_way.next() => {
                    noting.note(noted, "what became of a webhook cannot be noted");
                    if !has_more || under_way.len() > AT_ONCE / 2 { continue; }
                }
                () = self.sender.subscriptions.0.calls.notified(), if has_room => {}
                () = tokio::time::sleep(LOOK), if has_room => {}
            }
            let (sender, free) = (self.sender, AT_ONCE.saturating_sub(under_way.len()));
            let claimed = claim::claim(&sender.store, Way::Webhook, sender.me, free).await;
            let claimed = looking.note(claimed, "subscribers of pages cannot be read").unwrap_or_default();
            has_more = claimed.len() >= free;
            under_way.extend(claimed.into_iter().map(|due| Box::pin(self.tell(due))));
        }
        // What is on its way is brought to its end, which its own limit bounds.
        while let Some(noted) = under_way.next().await {
            noting.note(noted, "what became of a webhook cannot be noted");
        }
    }

    async fn tell(&self, due: Due) -> Result<(), StoreError> {
        let sender = self.sender;
        if !claim::begin(&sender.store, &due, sender.me).await? {
            return Ok(());
        }
        let end = match self.call(&due).await {
            Ok(()) => End::Told,
            Err((outcome, trouble)) => Sender::end(&due, outcome, &trouble),
        };
        sender.note(&due, &end).await
    }

    async fn call(&self, due: &Due) -> Result<(), (Outcome, String)> {
        let no_webhook = || (Outcome::Gone, "it is no address that may be called".to_owned());
        let url = Url::parse(&due.address).map_err(|_| no_webhook())?;
        let bounds = self.sender.subscriptions.bounds();
        let may_be_private = bounds.may_be_private || !due.is_strangers;
        if !is_allowed(&url, Bounds { may_be_private, ..bounds }) {
            return Err(no_webhook());
        }
        let nonce = match &due.message {
            Message::Greeting { wish, .. } => &wish.nonce,
            Message::News { .. } => &due.nonce,
        };
        let config = Config { url: Secret::new(url), key: Some(secret(&self.sender.key, (&due.public_id, nonce))) };
        let now = clock::wall();
        let body = payload(&self.sender.links(), due, now).to_string();
        let http = if due.is_strangers { &self.sender.clients.strangers } else { &self.sender.clients.own };
        match webhook::post(&config, (&message_id(due), body), http, now.0).await {
            Ok(200..300) => Ok(()),
            Ok(410) => Err((Outcome::Gone, "answered 410: it wants nothing any more".to_owned())),
            Ok(status @ 300..400) => Err((Outcome::Later, format!("answered {status}; redirects are not followed"))),
            Ok(status) => Err((Outcome::Later, format!("answered {status}"))),
            Err(DeliveryError::Unanswered { .. }) => {
                Err((Outcome::Unanswered, "took the message and did not answer".to_owned()))
            }
            // Where a name leads is nobody's business.
            Err(
                DeliveryError::Unreached { .. } | DeliveryError::Permanent { .. } | DeliveryError::Retryable { .. },
            ) => Err((Outcome::Later, "could not be reached".to_owned())),
        }
    }
}

fn client(names: Names) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(probe::tls())
        .connect_timeout(CONNECT_LIMIT)
        .timeout(CALL_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .dns_resolver(Arc::new(names))
        .pool_max_idle_per_host(0)
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .user_agent(concat!("komainu/", env!("CARGO_PKG_VERSION")))
        .build()
}
