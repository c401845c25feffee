//! The server's answers, and who may give hints.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::tenure::Tenure;
use tower::ServiceExt;

use super::*;
use crate::clock::database::DatabaseClock;
use crate::keys::ClusterKey;
use crate::store::DatabaseUrl;

#[tokio::test]
async fn a_node_whose_database_does_not_answer_is_not_healthy_and_says_so() {
    let node = Node::new().await;
    let (status, body) = node.ask("GET", "/api/v1/health", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((&body["status"], &body["database"]), (&"down".into(), &false.into()));
    assert_eq!((&body["node_id"], &body["incarnation"]), (&"node1".into(), &"0000000000000001".into()));
    assert_eq!((&body["running"], &body["generation"]), (&0.into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn a_signed_hint_reaches_the_tenure() {
    let mut node = Node::new().await;
    let signed = signature::sign(node.key.as_bytes(), clock::wall(), "POST", "/api/v1/reconcile-monitors", b"");
    let (status, _) = node.ask("POST", "/api/v1/reconcile-monitors", Some(signed)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(node.inputs.try_recv().ok(), Some(Input::Hint));
}

#[tokio::test]
async fn a_hint_that_is_not_signed_by_the_node_key_is_refused() {
    let mut node = Node::new().await;
    let other = ClusterKey::generate().node_key(&NodeId::from("node1"));
    let forged = signature::sign(other.as_bytes(), clock::wall(), "POST", "/api/v1/reconcile-monitors", b"");
    for signed in [None, Some(forged)] {
        let (status, body) = node.ask("POST", "/api/v1/reconcile-monitors", signed).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body["detail"].is_string());
    }
    assert!(node.inputs.try_recv().is_err());
}

#[tokio::test]
async fn what_a_node_does_not_have_is_404_in_json() {
    let node = Node::new().await;
    let (status, body) = node.ask("GET", "/status", None).await;
    assert_eq!((status, &body["detail"]), (StatusCode::NOT_FOUND, &"a node has no /status".into()));
}

struct Node {
    router: Router,
    key: NodeKey,
    inputs: mpsc::UnboundedReceiver<Input>,
    _folder: tempfile::TempDir,
}

impl Node {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::connect(&DatabaseUrl::sqlite(folder.path().join("empty.db"))).await.unwrap();
        let node = NodeId::from("node1");
        let key = ClusterKey::generate().node_key(&node);
        let (sender, inputs) = mpsc::unbounded_channel();
        let served = Served {
            identity: Identity {
                node,
                incarnation: Incarnation(1),
                hostname: String::new(),
                address: String::new(),
                clock: DatabaseClock::default(),
            },
            key: key.clone(),
            tenure: SharedTenure::new(Tenure::new(Policy::default(), Incarnation(1), clock::now())),
            pulse: Arc::new(Pulse::new(clock::now())),
            gauges: Arc::default(),
            database: DatabaseProbe::new(store),
            inputs: sender,
            runner: mpsc::unbounded_channel().0,
            rereads: mpsc::unbounded_channel().0,
        };
        Self { router: router(Arc::new(served)), key, inputs, _folder: folder }
    }

    async fn ask(&self, method: &str, path: &str, signed: Option<String>) -> (StatusCode, serde_json::Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(signed) = signed {
            request = request.header(signature::HEADER, signed);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }
}
