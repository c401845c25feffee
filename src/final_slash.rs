//! A final slash in a path says nothing: people and programs write it as they like, and Kuma takes it too.

use axum::Router;
use tower::Layer;
use tower_http::normalize_path::NormalizePathLayer;

/// The same routes, each with a slash at its end as well.
pub(crate) fn ignored(routes: Router) -> Router {
    Router::new().fallback_service(NormalizePathLayer::trim_trailing_slash().layer(routes))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Path;
    use axum::http::Request;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_path_with_a_slash_at_its_end_is_the_same_path() {
        let routes = Router::new().route("/push/{token}", get(async |Path(token): Path<String>| token));
        for path in ["/push/abc", "/push/abc/", "/push/abc/?status=up"] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let answer = ignored(routes.clone()).oneshot(request).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "abc", "{path}");
        }
    }
}
