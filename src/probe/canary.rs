//! A canary: an address of the outside world that tells whether this host reaches anything at all.

use tokio::net::TcpStream;

use super::{ProbeError, reason, unconnected};

/// `tcp://host:port` must accept a connection; of `http(s)://…` any answer will do.
pub(super) async fn probe(http: &reqwest::Client, canary: &str) -> Result<(), ProbeError> {
    match canary.split_once("://") {
        Some(("tcp", address)) => {
            let connected = TcpStream::connect(address).await;
            connected.map(drop).map_err(|error| unconnected(&error))
        }
        Some(("http" | "https", _)) => http.get(canary).send().await.map(drop).map_err(|error| reason(&error)),
        Some(_) | None => Err(ProbeError::BadAddress(canary.to_owned())),
    }
}
