//! The addresses of hosts, for all kinds of monitor: from a cache that keeps each answer as long as its TTL allows.
//!
//! Ten thousand monitors a minute would otherwise ask for the same names again and again, each in a thread of its own.
//! A name that DNS does not know is asked of the system as well, which may know it from elsewhere (NIS, mDNS); so is
//! everything where the system's DNS settings cannot be read.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::phases::{self, Phase};

/// Answers kept: a node runs tens of thousands of monitors, each with an address of either family.
const KEPT_MOST: u64 = 65_536;

/// That a name is unknown is forgotten soon: somebody may be adding it at this moment.
const UNKNOWN_KEPT: Duration = Duration::from_secs(5);

/// However long an answer may be kept, a change is noticed within the hour.
const KEPT_LONGEST: Duration = Duration::from_secs(3_600);

/// Says why an address must not be looked at, if so.
pub type Refuses = Arc<dyn Fn(IpAddr) -> Option<String> + Send + Sync>;

/// No name server answered: that says nothing of the name.
#[derive(Debug, thiserror::Error)]
#[error("no name server answered")]
struct Unanswered;

/// An address that must not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("{address} is not looked at: {why}")]
pub(super) struct Refused {
    address: IpAddr,
    why: String,
}

/// Whether a lookup failed because no name server answered.
pub(super) fn is_unanswered(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Unanswered>()).is_some()
}

/// Whether a lookup failed because the address must not be looked at.
pub(super) fn refused(error: &io::Error) -> Option<&Refused> {
    error.get_ref()?.downcast_ref()
}

/// Shared by all runs; cheap to clone.
#[derive(Clone)]
pub struct Names {
    cached: Option<Arc<TokioResolver>>,
    refuses: Option<Refuses>,
    /// This name stands for that host.
    called: Option<(String, String)>,
}

impl Names {
    /// With the system's DNS settings.
    pub fn of_system() -> Self {
        let cached = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.cache_size = KEPT_MOST;
            options.negative_max_ttl = Some(UNKNOWN_KEPT);
            options.positive_max_ttl = Some(KEPT_LONGEST);
            builder.build()
        });
        if let Err(error) = &cached {
            tracing::warn!(%error, "the system's DNS settings cannot be read: names are asked of the system one by one");
        }
        Self { cached: cached.ok().map(Arc::new), refuses: None, called: None }
    }

    /// The same, where `name` stands for `host`: whoever asks for the one is led to the other.
    #[must_use]
    pub fn calling(&self, name: String, host: String) -> Self {
        Self { called: Some((name, host)), ..self.clone() }
    }

    /// The same, without the addresses that must not be looked at.
    #[must_use]
    pub fn refusing(self, refuses: Refuses) -> Self {
        Self { refuses: Some(refuses), ..self }
    }

    /// The addresses of a host, IPv4 first; never none.
    pub async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let host = match &self.called {
            Some((name, called)) if name == host => called,
            Some(_) | None => host,
        };
        if let Ok(address) = host.parse() {
            return self.allowed(vec![address]);
        }
        phases::enter(Phase::Name);
        let found = match &self.cached {
            Some(resolver) => resolver.lookup_ip(host.to_owned()).await.map(|found| found.iter().collect::<Vec<_>>()),
            None => Ok(Vec::new()),
        };
        let is_silent = found.as_ref().is_err_and(is_silence);
        let mut addresses = match found.unwrap_or_default() {
            unknown if unknown.is_empty() => {
                let asked = ask_system(host).await;
                asked.map_err(|error| if is_silent { io::Error::other(Unanswered) } else { error })?
            }
            known => known,
        };
        addresses.sort_by_key(IpAddr::is_ipv6);
        self.allowed(addresses)
    }

    /// Those that may be looked at; never none.
    pub(super) fn allowed(&self, mut addresses: Vec<IpAddr>) -> io::Result<Vec<IpAddr>> {
        let Some(refuses) = &self.refuses else { return Ok(addresses) };
        let mut last = None;
        addresses.retain(|address| match refuses(address.to_canonical()) {
            Some(why) => {
                last = Some(Refused { address: *address, why });
                false
            }
            None => true,
        });
        match last {
            Some(only) if addresses.is_empty() => Err(io::Error::other(only)),
            Some(_) | None => Ok(addresses),
        }
    }
}

/// Whether nobody answered, as against an answer that says no.
fn is_silence(error: &NetError) -> bool {
    matches!(error, NetError::Timeout | NetError::NoConnections | NetError::Io(_))
}

async fn ask_system(host: &str) -> io::Result<Vec<IpAddr>> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    Ok(addresses)
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = names.lookup(name.as_str()).await?;
            phases::enter(Phase::Connect);
            if let Some(first) = addresses.first() {
                phases::ask(*first);
            }
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
