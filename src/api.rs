//! The HTTP surface of a watchdog: every route on one screen.
//!
//! Owns routes, keys, bodies and answers. Decides nothing about the cluster: reads come from the [`View`] that the
//! watchdog publishes and from the store, writes put a wish into the store; the leader acts on it. Any instance takes
//! any write.

use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use komainu_watchdogs::blackout::DatabaseReport;
use komainu_watchdogs::facts::Report;
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::view::View;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::auth::KnownKeys;
use self::freshness::Freshness;
use self::rates::Rates;
use self::traffic::Traffic;
use crate::alerts::opinions::Sampling;
use crate::answers::LateAnswers;
use crate::check::Guard;
use crate::config::Details;
use crate::heartbeat::Heartbeats;
use crate::keys::ClusterKey;
use crate::looks::Looks;
use crate::oncall::OnCall;
use crate::opinion::SecondOpinion;
use crate::pages::{Counter, Keeper, Library};
use crate::probe::Prober;
use crate::store::capacity::Ids;
use crate::store::{Share, Store};
use crate::subscriptions::Subscriptions;
use crate::tls::Credentials;
use crate::voice::Voice;
use crate::{answers, dashboard, final_slash, pages as public_pages};

mod alertmanager;
mod apikeys;
mod audit;
mod auth;
mod body;
mod channels;
mod checks;
mod cluster;
mod dependencies;
mod edit;
mod fields;
mod freshness;
mod health;
mod heartbeats;
mod incidents;
mod inside;
mod lb;
mod maintenances;
mod metrics;
pub(crate) mod monitors;
mod moves;
mod nodes;
mod openapi;
mod page;
mod pages;
mod peer;
mod ping;
mod precondition;
mod problem;
mod rates;
mod request;
mod request_id;
mod routes;
mod routing;
mod runbook;
mod silences;
mod status;
mod traffic;
mod watchdogs;

#[cfg(test)]
pub(crate) mod support;

pub(crate) use self::auth::{Caller, Holding};
pub(crate) use self::inside::{Answer, Inside};
pub use self::problem::ApiError;

/// What the surface shows and writes to.
#[derive(Clone)]
pub struct State {
    /// Where wishes are written and lists are read; the surface has its own connections there.
    pub store: Store,
    /// What the watchdog knows; published anew at every round, also when nothing changed.
    pub view: watch::Receiver<Arc<View>>,
    /// What the watchdog says to its peers.
    pub report: watch::Receiver<Arc<Report>>,
    /// The cluster's name.
    pub cluster: String,
    /// Which watchdog this is.
    pub watchdog: WatchdogId,
    /// Which process of it.
    pub incarnation: Incarnation,
    /// Signs reports, derives node keys.
    pub key: ClusterKey,
    /// Asks nodes.
    pub prober: Prober,
    /// Thresholds.
    pub policy: Policy,
    /// What callers without a key see of `/status`.
    pub details: Details,
    /// Takes pushes and knows who is alive.
    pub heartbeats: Heartbeats,
    /// Who is told of what, by this watchdog's configuration.
    pub telling: Telling,
    /// Whether people can be told.
    pub voice: Voice,
    /// What the watchdog says to its peers about the database.
    pub database_report: watch::Receiver<Arc<DatabaseReport>>,
    /// Whoever waits for something is answered when this is cancelled: the process stops.
    pub stopping: CancellationToken,
    /// What this watchdog sees of checks.
    pub looks: Looks,
    /// How far the ids of Kuma's tables are used up.
    pub ids: watch::Receiver<Arc<Ids>>,
    /// What no watchdog looks at.
    pub guard: Guard,
    /// Who wants a second opinion on monitors.
    pub second_opinion: Arc<SecondOpinion>,
    /// How many monitors that is, and how well watchdogs look at those that are up.
    pub sampling: watch::Receiver<Sampling>,
    /// What the surface shows of itself.
    pub credentials: Arc<Credentials>,
    /// Takes answers that the database does not take.
    pub late_answers: LateAnswers,
    /// Where the public finds pages, without a slash at its end.
    pub public_base: Arc<str>,
    /// What can be done for those who subscribe to pages.
    pub subscriptions: Subscriptions,
}

/// Who is told of what, and who is called while nobody takes care of it.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// Channels and routes.
    pub routing: Arc<Routing>,
    /// Ladders and the people on them.
    pub on_call: Arc<OnCall>,
}

/// The state and what the surface itself remembers.
struct Context {
    state: State,
    /// Where lists are read: connections that give way before those of wishes do.
    reads: Store,
    freshness: Freshness,
    known_keys: KnownKeys,
    rates: Rates,
    owners: lb::Owners,
    budgets: body::Budgets,
    traffic: Traffic,
    pages: Library,
}

type Ctx = axum::extract::State<Arc<Context>>;

/// What a watchdog answers, by the port that is asked.
pub struct Routers {
    /// On its own port: everything.
    pub own: Router,
    /// On the port for the public: pages, and what outside services ask.
    pub public: Router,
}

/// The whole surface of the own port.
pub fn router(state: State) -> Router {
    routers(state).own
}

/// The surface of each port. Must be called within a tokio runtime: it watches how fresh the view is, and keeps the public pages.
pub fn routers(mut state: State) -> Routers {
    let freshness = Freshness::watch(state.view.clone());
    let reads = state.store.share(Share::Reads);
    state.store = state.store.share(Share::Wishes);
    let context = Arc::new(Context {
        state,
        reads,
        freshness,
        known_keys: KnownKeys::default(),
        rates: Rates::default(),
        owners: lb::Owners::default(),
        budgets: body::Budgets::default(),
        traffic: Traffic::new(),
        pages: Library::default(),
    });
    let counter = keep_pages(&context);
    let (routes, document) = documented().split_for_parts();
    let noted = from_fn_with_state(Arc::clone(&context), traffic::note);
    let routes = routes
        .merge(alertmanager::routes())
        .fallback(problem::unknown_route)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(noted.clone())
        .with_state(Arc::clone(&context));
    let public = public(&context, &counter).layer(noted.clone());
    let inside = Inside::new(routes.clone().layer(from_fn(request_id::attach)), context);
    let routes = routes.merge(
        answers::routes(inside.clone())
            .merge(dashboard::routes(inside))
            .merge(public_pages::routes(counter))
            .layer(noted.clone()),
    );
    // The page of the document stands at a path with a slash at its end.
    let own = final_slash::ignored(routes).merge(openapi::routes(&openapi::completed(document)).layer(noted));
    Routers { own: finished(own), public: finished(final_slash::ignored(public)) }
}

fn finished(routes: Router) -> Router {
    routes.layer(CatchPanicLayer::custom(problem::panicked)).layer(from_fn(request_id::attach))
}

/// Begins to keep the public pages; they are kept as long as anybody can ask for them.
fn keep_pages(context: &Context) -> Arc<Counter> {
    let state = &context.state;
    let keeper = Keeper {
        library: context.pages.clone(),
        store: context.reads.clone(),
        looks: state.looks.clone(),
        heartbeats: state.heartbeats.clone(),
        base: Arc::clone(&state.public_base),
        stopping: state.stopping.clone(),
    };
    tokio::spawn(keeper.run());
    let has_certificate = state.credentials.serving().is_some();
    let identity = (state.key.clone(), has_certificate);
    let subscribing = (state.store.share(Share::Strangers), state.subscriptions.clone());
    Arc::new(Counter::new(context.pages.clone(), identity, subscribing))
}

/// What the public port answers. Whoever asks there is a stranger, whatever `[status] details` says.
fn public(context: &Arc<Context>, counter: &Arc<Counter>) -> Router {
    let (asked, _) = watched_routes().split_for_parts();
    let pages = public_pages::routes(Arc::clone(counter)).merge(public_pages::kuma_routes(Arc::clone(counter)));
    asked
        .fallback(problem::unknown_route)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(Arc::clone(context))
        .merge(pages)
        .layer(Extension(auth::OnPublicPort))
}

/// The contract of the surface: `OpenAPI` 3.1, as `/api/v1/openapi.json` shows it.
pub fn document() -> OpenApi {
    openapi::completed(documented().into_openapi())
}

fn documented() -> OpenApiRouter<Arc<Context>> {
    OpenApiRouter::with_openapi(openapi::blank()).merge(open_routes()).nest("/api/v1", keyed_routes())
}

/// Routes that need no API key.
fn open_routes() -> OpenApiRouter<Arc<Context>> {
    watched_routes()
        .routes(routes!(health::show))
        .routes(routes!(metrics::show))
        .routes(routes!(lb::health_status))
        .routes(routes!(lb::health))
        .routes(routes!(lb::capacity))
        .routes(routes!(lb::routes))
        .routes(routes!(lb::pushes::show))
        .routes(routes!(peer::report))
        .routes(routes!(peer::look::answer))
        .routes(routes!(peer::trial::answer))
        .routes(routes!(peer::opinion::answer))
        .routes(routes!(heartbeats::alive::tell_peer))
        .routes(routes!(runbook::show))
}

/// What outside services and jobs ask, on both ports.
fn watched_routes() -> OpenApiRouter<Arc<Context>> {
    OpenApiRouter::default()
        .routes(routes!(status::show))
        .routes(routes!(checks::answer::show))
        .routes(routes!(heartbeats::alive::show, heartbeats::push::take))
        .routes(routes!(ping::show))
}

/// Those about what people are told.
fn telling_routes() -> OpenApiRouter<Arc<Context>> {
    OpenApiRouter::default()
        .routes(routes!(channels::list))
        .routes(routes!(channels::drill))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::show))
        .routes(routes!(incidents::acknowledge))
        .routes(routes!(incidents::resolve))
        .routes(routes!(maintenances::list, maintenances::create))
        .routes(routes!(maintenances::show, maintenances::change, maintenances::remove))
        .routes(routes!(maintenances::end))
        .routes(routes!(silences::list, silences::create))
        .routes(routes!(silences::preview))
        .routes(routes!(silences::show, silences::expire))
        .routes(routes!(routes::explain))
        .routes(routes!(dependencies::list))
        .routes(routes!(dependencies::bulk))
        .routes(routes!(dependencies::show, dependencies::put, dependencies::remove))
}

/// Routes that need an API key; each handler names the scope it needs.
fn keyed_routes() -> OpenApiRouter<Arc<Context>> {
    telling_routes()
        .routes(routes!(monitors::list, monitors::create))
        .routes(routes!(monitors::bulk::bulk))
        .routes(routes!(monitors::by_ref::show_by_ref, monitors::by_ref::put_by_ref, monitors::by_ref::remove_by_ref))
        .routes(routes!(monitors::show, monitors::change, monitors::remove))
        .routes(routes!(monitors::beats::beats))
        .routes(routes!(monitors::certificate::show))
        .routes(routes!(monitors::places::show))
        .routes(routes!(monitors::uptime::show))
        .routes(routes!(monitors::series::show))
        .routes(routes!(moves::lately::list))
        .routes(routes!(moves::move_many))
        .routes(routes!(moves::pin_many))
        .routes(routes!(moves::unpin_many))
        .routes(routes!(moves::move_one))
        .routes(routes!(moves::pin_one, moves::unpin_one))
        .routes(routes!(nodes::list, nodes::add))
        .routes(routes!(nodes::show, nodes::change, nodes::remove))
        .routes(routes!(nodes::acts::drain))
        .routes(routes!(nodes::acts::resume))
        .routes(routes!(nodes::acts::recover))
        .routes(routes!(watchdogs::list))
        .routes(routes!(watchdogs::remove))
        .routes(routes!(routing::show, routing::pin, routing::unpin))
        .routes(routes!(heartbeats::list, heartbeats::create))
        .routes(routes!(heartbeats::show, heartbeats::change, heartbeats::remove))
        .routes(routes!(heartbeats::rotate))
        .routes(routes!(heartbeats::pushes))
        .routes(routes!(checks::list, checks::create))
        .routes(routes!(checks::history::transitions))
        .routes(routes!(checks::history::uptime))
        .routes(routes!(checks::history::results))
        .routes(routes!(checks::bulk::bulk))
        .routes(routes!(checks::trial::try_once))
        .routes(routes!(checks::show, checks::put, checks::change, checks::remove))
        .routes(routes!(pages::list, pages::create))
        .routes(routes!(pages::show, pages::put, pages::change, pages::remove))
        .routes(routes!(pages::notices::incidents, pages::notices::post_incident))
        .routes(routes!(
            pages::notices::show_incident,
            pages::notices::change_incident,
            pages::notices::remove_incident
        ))
        .routes(routes!(pages::notices::update_incident))
        .routes(routes!(pages::notices::maintenances, pages::notices::post_maintenance))
        .routes(routes!(
            pages::notices::show_maintenance,
            pages::notices::change_maintenance,
            pages::notices::remove_maintenance
        ))
        .routes(routes!(pages::notices::update_maintenance))
        .routes(routes!(pages::subscribers::list, pages::subscribers::add))
        .routes(routes!(pages::subscribers::show, pages::subscribers::remove))
        .routes(routes!(apikeys::list, apikeys::create))
        .routes(routes!(apikeys::remove))
        .routes(routes!(audit::list))
        .routes(routes!(cluster::freeze))
        .routes(routes!(cluster::thaw))
        .routes(routes!(cluster::rebalance))
}
