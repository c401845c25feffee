//! HTTP clients by their options, and what belongs to one run.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use komainu_watchdogs::ids::{NodeId, WatchdogId};
use reqwest::cookie::{CookieStore, Jar};
use reqwest::{Client, Response, Url};

use super::super::failure::{Failure, is_refusal};
use super::super::hello;
use super::super::names::Names;
use super::super::phases::{self, Connecting};
use super::super::room::{Keeps, Room};
use super::super::tls::{self, Certificates};
use super::super::turns::Turns;
use super::ask::Ask;
use crate::run::spec;
use crate::store::monitors::MonitorSpec;

/// Distinct sets of options that are kept at once; more of them at once are unheard of, so all are built anew then.
const CLIENTS_MOST: usize = 256;

/// As many header lines as Node takes.
const HEADERS_MOST: usize = 2_000;

/// Which node asks, in a header of its own: the User-Agent is the same for all nodes, so that what a target lets through
/// does not hang on who runs the monitor.
const NODE: HeaderName = HeaderName::from_static("komainu-node");

/// The same of a watchdog that looks at a check.
const WATCHDOG: HeaderName = HeaderName::from_static("komainu-watchdog");

/// Who asks, as targets see it.
#[derive(Clone, Debug)]
pub struct Caller {
    user_agent: HeaderValue,
    header: HeaderName,
    name: HeaderValue,
}

impl Caller {
    /// A node; `user_agent` is one that somebody chose.
    pub fn new(node: &NodeId, user_agent: Option<&HeaderValue>) -> Self {
        let usual = || HeaderValue::from_static(concat!("komainu/", env!("CARGO_PKG_VERSION")));
        Self {
            user_agent: user_agent.cloned().unwrap_or_else(usual),
            // Ids of nodes are plain.
            header: NODE,
            name: HeaderValue::from_str(&node.to_string()).unwrap_or_else(|_| HeaderValue::from_static("")),
        }
    }

    /// A watchdog, whose looks are no node's.
    pub fn of_watchdog(watchdog: &WatchdogId) -> Self {
        let name = HeaderValue::from_str(watchdog.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""));
        Self { header: WATCHDOG, name, ..Self::new(&NodeId::from(""), None) }
    }

    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(header::USER_AGENT, self.user_agent.clone()), (self.header.clone(), self.name.clone())])
    }
}

tokio::task_local! {
    /// The cookies of the run that this task is in.
    pub(super) static COOKIES: Jar;
}

/// Gives clients that many runs share the cookies of the run at hand: over https alone, as in Kuma.
struct CookiesOfThisRun;

impl CookieStore for CookiesOfThisRun {
    fn set_cookies(&self, cookies: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        if url.scheme() == "https" {
            // Outside of a run (a canary's probe) there are none.
            let _ = COOKIES.try_with(|jar| jar.set_cookies(cookies, url));
        }
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        COOKIES.try_with(|jar| jar.cookies(url)).ok().flatten().filter(|_| url.scheme() == "https")
    }
}

/// The options that belong to a client and not to a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Options {
    ignore_tls: bool,
    family: Option<IpAddr>,
    certificates: Certificates,
    /// The name that a server is asked for by, and the host that is asked.
    alias: Option<(String, String)>,
}

impl Options {
    fn of(monitor: &MonitorSpec, ask: &Ask) -> Self {
        let is_mtls = spec::text(monitor.auth_method.as_ref()) == Some("mtls");
        let pem = |column: &Option<String>| spec::text(column.as_ref()).filter(|_| is_mtls).map(str::to_owned);
        Self {
            ignore_tls: monitor.ignore_tls,
            family: match monitor.ip_family.as_deref() {
                Some("ipv4") => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                Some("ipv6") => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
                Some(_) | None => None,
            },
            certificates: Certificates {
                ca: pem(&monitor.tls_ca),
                cert: pem(&monitor.tls_cert),
                key: pem(&monitor.tls_key),
            },
            alias: alias(ask),
        }
    }
}

/// In Node the server name, and the name that a certificate must bear, are those of the Host that is sent. An address is
/// no name.
fn alias(ask: &Ask) -> Option<(String, String)> {
    let said = ask.host().filter(|_| ask.url.scheme() == "https")?;
    let said = Url::parse(&format!("https://{said}")).ok()?;
    let name = said.domain()?.to_owned();
    let host = ask.url.host_str()?.trim_matches(['[', ']']).to_owned();
    (name != host).then_some((name, host))
}

/// HTTP clients by their options.
pub struct Clients {
    caller: Caller,
    names: Names,
    keeps: Keeps,
    room: Room,
    turns: Turns,
    built: Mutex<HashMap<Options, Client>>,
}

impl Clients {
    /// No client yet; all say who asks.
    pub fn new(caller: Caller, names: Names) -> Self {
        Self::keeping(Keeps::OF_NODES, caller, names)
    }

    /// The same, for others than nodes.
    pub fn keeping(keeps: Keeps, caller: Caller, names: Names) -> Self {
        let (room, turns) = (Room::of(keeps.together), Turns::default());
        Self { caller, names, keeps, room, turns, built: Mutex::new(HashMap::new()) }
    }

    /// Where names are looked up.
    pub(in crate::run) fn names(&self) -> &Names {
        &self.names
    }

    /// What is kept of answers.
    pub(in crate::run) fn keeps(&self) -> Keeps {
        self.keeps
    }

    /// A client without special options, that asks once and follows nothing.
    pub fn plain(&self) -> Result<Client, Failure> {
        self.with(Options::default())
    }

    /// What the answers that runs keep may take together.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Whose turn it is to work through what is not kept.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// What every request of this node bears.
    pub fn usual_headers(&self) -> HeaderMap {
        self.caller.headers()
    }

    /// Sends one request; redirects are the caller's to follow.
    pub(super) async fn send(&self, monitor: &MonitorSpec, ask: &Ask) -> Result<Response, Failure> {
        let options = Options::of(monitor, ask);
        self.ensure_allowed(&ask.url)?;
        let mut url = ask.url.clone();
        if let Some((name, _)) = &options.alias {
            url.set_host(Some(name)).map_err(|error| Failure::target(format!("the Host {name}: {error}")))?;
        }
        let client = self.with(options)?;
        match client.execute(ask.request(url.clone())).await {
            Ok(response) => {
                if let Some(peer) = response.remote_addr() {
                    phases::ask(peer.ip());
                }
                Ok(response)
            }
            Err(error) if is_refusal(&error) && self.would_agree(ask, &url).await => {
                Err(Failure::only_kumas("the server speaks only what this node's TLS does not"))
            }
            Err(error) => Err(Failure::request(&error, &ask.url, spec::timeout(monitor))),
        }
    }

    /// Names are looked at where they are resolved; the client resolves no literal address.
    fn ensure_allowed(&self, url: &Url) -> Result<(), Failure> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let Ok(address) = host.parse::<IpAddr>() else { return Ok(()) };
        phases::ask(address);
        self.names.allowed(vec![address]).map(|_| ()).map_err(|error| Failure::resolve(host, &error))
    }

    /// Whether who refused this node's TLS would agree with OpenSSL. Who showed a certificate had agreed before.
    async fn would_agree(&self, ask: &Ask, called: &Url) -> bool {
        let (Some(host), Some(port)) = (ask.url.host_str(), ask.url.port_or_known_default()) else { return false };
        !tls::was_shown() && hello::is_answered(&self.names, host, port, called.host_str().unwrap_or_default()).await
    }

    fn with(&self, options: Options) -> Result<Client, Failure> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = built.get(&options) {
            return Ok(client.clone());
        }
        let names = match options.alias.clone() {
            Some((name, host)) => self.names.calling(name, host),
            None => self.names.clone(),
        };
        let client = build(&options, names)?;
        if built.len() >= CLIENTS_MOST {
            built.clear();
        }
        built.insert(options, client.clone());
        Ok(client)
    }
}

fn build(options: &Options, names: Names) -> Result<Client, Failure> {
    Client::builder()
        .tls_backend_preconfigured(tls::client_config(options.ignore_tls, &options.certificates)?)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .dns_resolver(names)
        // As Kuma, which names no encoding; what is packed all the same is unpacked by [`super::unpacking`].
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .http1_only()
        .http1_title_case_headers()
        .http1_max_headers(HEADERS_MOST)
        .pool_max_idle_per_host(0)
        .local_address(options.family)
        .cookie_provider(Arc::new(CookiesOfThisRun))
        .connector_layer(Connecting)
        .build()
        .map_err(|error| Failure::own(format!("this node could not set up HTTP: {error}")))
}
