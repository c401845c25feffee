//! Sends one signed push of a heartbeat to the first watchdog that takes it.
//!
//! The watchdogs are asked in turn, in the order given. Each attempt carries the very same bytes: a push whose answer
//! got lost is refused as a replay by the next watchdog, and its `last_time` tells that it had counted. Once all were
//! asked in vain there is a pause, longer each time and with jitter, until the sender's patience ends. A watchdog that
//! said `Retry-After` is left alone that long. This is the only layer that tries again.
//!
//! [`push`] is the body, [`answer`] what an answer means, [`secret`] the key.

pub mod answer;
pub mod push;
pub mod secret;

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use komainu_watchdogs::time::Mono;
use reqwest::Response;
use thiserror::Error;
use url::Url;

use self::answer::{Verdict, WatchdogAnswer};
use self::push::Push;
use self::secret::Secret;
use crate::clock;
use crate::heartbeat::secret::{HEADER, sign};

/// One attempt, from opening the connection to the whole answer. A watchdog answers in milliseconds; this is for one
/// whose database is slow.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// A host that vanished without a word is left for the next one after this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The first pause. A watchdog that is being restarted is back within seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause before jitter: a watchdog that is back is noticed soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Of an answer, this much is looked at: a watchdog's are shorter.
const ANSWER_BYTES: usize = 8 * 1024;

/// Who sends pushes, and to whom.
pub struct Sender {
    http: reqwest::Client,
    watchdogs: Vec<Url>,
    secret: Secret,
    patience: Duration,
}

/// A push that counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Who took it.
    pub by: Url,
    /// An earlier attempt, whose answer got lost, had been taken.
    pub was_counted_before: bool,
}

/// Why a push does not count.
#[derive(Debug, Error)]
pub enum SendError {
    /// A watchdog said no, and would say so again.
    #[error("{by} refused the push: {words}")]
    Refused {
        /// Which one.
        by: Url,
        /// In its own words.
        words: String,
    },
    /// Nobody took it in time.
    #[error("no watchdog took the push within {patience_s} s: {}", .reasons.join("; "))]
    NotTaken {
        /// How long it was tried.
        patience_s: u64,
        /// One for each watchdog.
        reasons: Vec<String>,
    },
    /// An address that pushes cannot be sent to.
    #[error("{0} is no address of a watchdog; it reads http://host:port or https://host")]
    Address(Url),
    /// This host's TLS or sockets are not fit to send anything.
    #[error("cannot set up an HTTP client")]
    Client(#[source] reqwest::Error),
}

/// One watchdog while a push is being sent.
struct Target<'a> {
    watchdog: &'a Url,
    address: Url,
    rests_until: Mono,
    reason: String,
}

impl Sender {
    /// With no patience each watchdog is asked once.
    pub fn new(
        watchdogs: Vec<Url>,
        secret: Secret,
        patience: Duration,
        tls: rustls::ClientConfig,
    ) -> Result<Self, SendError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(ATTEMPT_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirected POST becomes a GET, whose 200 says nothing of the push.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .no_deflate()
            .no_brotli()
            .user_agent(concat!("komainu/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(SendError::Client)?;
        Ok(Self { http, watchdogs, secret, patience })
    }

    /// Sends until a watchdog took or refused the push, or the patience ends.
    pub async fn send(&self, name: &str, push: &Push) -> Result<Sent, SendError> {
        let (begin, body) = (clock::now(), push.body());
        let signature = sign(self.secret.reveal(), &body);
        let mut targets = self.targets(name)?;
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(rand::random())
            .build();
        loop {
            for target in &mut targets {
                if target.rests_until > clock::now() {
                    continue;
                }
                let sent = |was_counted_before| Sent { by: target.watchdog.clone(), was_counted_before };
                match self.attempt(target, &body, &signature, push.time_us).await {
                    Verdict::Accepted => return Ok(sent(false)),
                    Verdict::CountedBefore => return Ok(sent(true)),
                    Verdict::Refused { words } => {
                        return Err(SendError::Refused { by: target.watchdog.clone(), words });
                    }
                    Verdict::Retry { after, reason } => {
                        target.reason = reason;
                        target.rests_until = clock::now() + after;
                    }
                }
            }
            let pause = clock::now() + pauses.next().unwrap_or(LONGEST_PAUSE);
            let resume = targets.iter().map(|target| target.rests_until).min().map_or(pause, |rest| rest.max(pause));
            if resume >= begin + self.patience {
                return Err(self.not_taken(&targets));
            }
            clock::sleep_until(resume).await;
        }
    }

    fn targets(&self, name: &str) -> Result<Vec<Target<'_>>, SendError> {
        let targets = self.watchdogs.iter().map(|watchdog| {
            let address = address(watchdog, name)?;
            Ok(Target { watchdog, address, rests_until: Mono::default(), reason: String::new() })
        });
        targets.collect()
    }

    async fn attempt(&self, target: &Target<'_>, body: &[u8], signature: &str, time_us: i64) -> Verdict {
        let request = self
            .http
            .post(target.address.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER, signature)
            .body(body.to_vec());
        match request.send().await {
            Ok(response) => answer::judge(&read(response).await, time_us, clock::wall()),
            Err(error) => Verdict::Retry { after: Duration::ZERO, reason: unreached(&error) },
        }
    }

    fn not_taken(&self, targets: &[Target<'_>]) -> SendError {
        let reason = |target: &Target<'_>| format!("{}: {}", target.watchdog, target.reason);
        SendError::NotTaken { patience_s: self.patience.as_secs(), reasons: targets.iter().map(reason).collect() }
    }
}

/// Where this watchdog takes pushes of that name.
pub fn address(watchdog: &Url, name: &str) -> Result<Url, SendError> {
    let mut address = watchdog.clone();
    address
        .path_segments_mut()
        .map_err(|()| SendError::Address(watchdog.clone()))?
        .pop_if_empty()
        .extend(["heartbeats", name]);
    Ok(address)
}

/// The parts of an answer that are looked at. A body that breaks off is judged as far as it came: the status was said.
async fn read(mut response: Response) -> WatchdogAnswer {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, retry_after, location) = (response.status(), header(RETRY_AFTER), header(LOCATION));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= ANSWER_BYTES {
            break;
        }
    }
    WatchdogAnswer { status, retry_after, location, body }
}

fn unreached(error: &reqwest::Error) -> String {
    let reason = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the connection broke off"
    };
    reason.to_owned()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
