//! An answer, as far as it is read: whoever answers at an address may be a stranger who sends without end.

use reqwest::Response;

use super::{ProbeError, reason};

/// More of an answer is read by nobody here: nodes, peers and outside services say less.
const MOST_BYTES: usize = 64 * 1024;

/// The body, if it ends within [`MOST_BYTES`]. It is as it came: the client undoes no compression.
pub(crate) async fn read(mut response: Response) -> Result<Vec<u8>, ProbeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(ProbeError::Connect(format!("the answer is longer than {} KiB", MOST_BYTES / 1024)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
