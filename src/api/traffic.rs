//! Every request once: as a line in the log, and in a histogram by route.
//!
//! What asks all the time (probes, gateways, peers, pushes) is logged at debug, unless it is refused: keys that are unknown and
//! limits that are reached leave a trace with the address they come from.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Context;
use crate::clock;
use crate::store::audit;

/// Of the answers that are waited for the longest may take minutes; everything else should be within the first half.
const BUCKETS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0, 60.0];

/// Routes that are asked again and again by programs.
const BUSY: [&str; 9] =
    ["/status", "/health", "/metrics", "/heartbeats", "/peer", "/lb", "/pages", "/api/status-page", "/ping"];

/// One of the routes: as many label sets as there are routes, methods and kinds of status.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: &'static str,
    /// `2xx` and so on.
    status: &'static str,
}

/// How long requests took.
pub(super) struct Traffic(Family<RouteLabels, Histogram, fn() -> Histogram>);

impl Traffic {
    pub(super) fn new() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(BUCKETS)))
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "How long requests took, by route";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, self.0.clone());
    }

    fn count(&self, route: &str, method: &'static str, status: StatusCode, took: Duration) {
        let labels = RouteLabels { route: route.to_owned(), method, status: class(status) };
        self.0.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// Who asked, once it is known; the handler's extractor sets it.
#[derive(Clone, Default)]
pub(super) struct Asker(Arc<OnceLock<String>>);

impl Asker {
    pub(super) fn is(&self, name: &str) {
        let _known_before = self.0.set(name.to_owned());
    }
}

pub(super) async fn note(State(context): State<Arc<Context>>, mut request: Request, next: Next) -> Response {
    let began_at = clock::now();
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let method = method(request.method());
    let (response, deeds) = audit::asked_from(address, next.run(request)).await;
    if response.status().is_success() && !deeds.is_empty() {
        context.state.heartbeats.answered().note_deeds(deeds, clock::now());
    }
    let (status, took) = (response.status(), clock::now().since(began_at));
    context.traffic.count(&route, method, status, took);
    let is_busy = BUSY.iter().any(|busy| route.starts_with(busy));
    let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
    let address = address.map(|address| address.to_string());
    let (http_status, took_ms) = (status.as_u16(), took.as_millis());
    let key = asker.0.get();
    // The span names the request's id, method and path.
    if is_busy && !is_refused {
        tracing::debug!(http.status = http_status, took_ms, route, key, address, "answered");
    } else {
        tracing::info!(http.status = http_status, took_ms, route, key, address, "answered");
    }
    response
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// Of the invented ones there are endlessly many.
fn method(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use crate::api::support::Surface;

    #[tokio::test]
    async fn requests_are_measured_by_route_and_not_by_path() {
        let surface = Surface::plain().await.lasting();
        let key = surface.key("read").await;
        for path in ["/api/v1/nodes/a", "/api/v1/nodes/b", "/nowhere/1", "/nowhere/2"] {
            surface.send("GET", path, Some(&key), "").await;
        }
        surface.send("BREW", "/status", None, "").await;
        let metrics = String::from_utf8(surface.get("/metrics").await.body).unwrap();
        for line in [
            "komainu_http_request_duration_seconds_count{route=\"/api/v1/nodes/{id}\",method=\"GET\",status=\"4xx\"} 2",
            "komainu_http_request_duration_seconds_count{route=\"(none)\",method=\"GET\",status=\"4xx\"} 2",
            "komainu_http_request_duration_seconds_count{route=\"/status\",method=\"other\",status=\"4xx\"} 1",
        ] {
            assert!(metrics.contains(line), "{line} is not in {metrics}");
        }
    }
}
