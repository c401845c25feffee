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
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Answers kept: a node runs tens of thousands of monitors, each with an address of either family.
const KEPT_MOST: u64 = 65_536;

/// That a name is unknown is forgotten soon: somebody may be adding it at this moment.
const UNKNOWN_KEPT: Duration = Duration::from_secs(5);

/// However long an answer may be kept, a change is noticed within the hour.
const KEPT_LONGEST: Duration = Duration::from_secs(3_600);

/// Shared by all runs; cheap to clone.
#[derive(Clone)]
pub struct Names {
    cached: Option<Arc<TokioResolver>>,
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
        Self { cached: cached.ok().map(Arc::new), called: None }
    }

    /// The same, where `name` stands for `host`: whoever asks for the one is led to the other.
    #[must_use]
    pub fn calling(&self, name: String, host: String) -> Self {
        Self { cached: self.cached.clone(), called: Some((name, host)) }
    }

    /// The addresses of a host, IPv4 first; never none.
    pub async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let host = match &self.called {
            Some((name, called)) if name == host => called,
            Some(_) | None => host,
        };
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let cached = match &self.cached {
            Some(resolver) => {
                resolver.lookup_ip(host.to_owned()).await.map(|found| found.iter().collect()).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let mut addresses = if cached.is_empty() { ask_system(host).await? } else { cached };
        addresses.sort_by_key(IpAddr::is_ipv6);
        Ok(addresses)
    }
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
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
