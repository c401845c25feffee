//! Bodies: limited in length, in time and in what all of them take together, then parsed with the place of the first fault.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Context;
use super::fields::Fields;
use super::problem::ApiError;
use crate::byte_order_mark;

/// Of everything but heartbeats and bulk.
const LIMIT: usize = 1024 * 1024;

/// The fields of a body that is one JSON object.
pub(super) struct Object(pub(super) Fields);

impl FromRequest<Arc<Context>> for Object {
    type Rejection = ApiError;

    /// Handlers name the caller before it: whoever holds no key was refused by then.
    async fn from_request(request: Request, context: &Arc<Context>) -> Result<Self, ApiError> {
        let bytes = context.budgets.keyed.read(request.into_body(), LIMIT).await?;
        parse(&bytes).map(Self)
    }
}

/// The fields of a body that may be left out: then there are none.
pub(super) struct Optional(pub(super) Fields);

impl FromRequest<Arc<Context>> for Optional {
    type Rejection = ApiError;

    async fn from_request(request: Request, context: &Arc<Context>) -> Result<Self, ApiError> {
        let bytes = context.budgets.keyed.read(request.into_body(), LIMIT).await?;
        if bytes.trim_ascii().is_empty() { Ok(Self(Fields::of_query(None))) } else { parse(&bytes).map(Self) }
    }
}

/// Bytes of bodies that are being read or worked on at once, by whose they are: senders who hold no key yet must not keep
/// those out who do.
pub(super) struct Budgets {
    pub(super) keyed: Budget,
    pub(super) strangers: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            keyed: Budget::new(48 * 1024, Duration::from_secs(60)),
            strangers: Budget::new(8 * 1024, Duration::from_secs(5)),
        }
    }
}

/// A share of this process' memory, in KiB, and how long one body may take.
pub(super) struct Budget {
    room: Arc<Semaphore>,
    patience: Duration,
}

/// As much of each body is not counted: the number of connections bounds it. Pushes are shorter, so what others send
/// slowly keeps none of them out.
const UNCOUNTED: usize = 4 * 1024;

/// Whoever sends nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(5);

/// A body, which takes its room until it is dropped.
pub(super) struct Bytes {
    bytes: Vec<u8>,
    /// What it takes of its budget.
    room: Option<OwnedSemaphorePermit>,
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Budget {
    fn new(kib: usize, patience: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(kib)), patience }
    }

    /// The raw bytes of a body of at most so many.
    pub(super) async fn read(&self, body: Body, limit: usize) -> Result<Bytes, ApiError> {
        // What says by itself that it is too long is not read at all.
        if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(ApiError::TooLarge { limit });
        }
        let read = tokio::time::timeout(self.patience, self.read_in(body, limit)).await;
        read.unwrap_or(Err(ApiError::TooSlow { seconds: self.patience.as_secs() }))
    }

    async fn read_in(&self, mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
        let mut held = Bytes { bytes: Vec::new(), room: None };
        let mut counted = 0;
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(limit);
        loop {
            let frame = tokio::time::timeout(SILENCE, body.frame()).await;
            let frame = frame.map_err(|_| ApiError::TooSlow { seconds: SILENCE.as_secs() })?;
            let Some(frame) = frame else { return Ok(held) };
            let frame = frame.map_err(|_| invalid("the body broke off before its end".to_owned()))?;
            let Ok(data) = frame.into_data() else { continue };
            if held.bytes.len() + data.len() > limit {
                return Err(ApiError::TooLarge { limit });
            }
            let more = (held.bytes.len() + data.len()).saturating_sub(UNCOUNTED).div_ceil(1024) - counted;
            if more > 0 {
                let room = Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(more).unwrap_or(u32::MAX));
                let room = room.map_err(|_| ApiError::Crowded)?;
                match &mut held.room {
                    Some(all) => all.merge(room),
                    none => *none = Some(room),
                }
                counted += more;
                // What grows by doubling takes twice what is counted. Room that nothing was written to yet is none of this host's memory.
                held.bytes.reserve_exact(announced.saturating_sub(held.bytes.len()));
            }
            held.bytes.extend_from_slice(&data);
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Fields, ApiError> {
    let bytes = byte_order_mark::stripped_bytes(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(invalid("the body is empty; send a JSON object".to_owned()));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(Fields::new(object)),
        Ok(_) => Err(invalid("the body must be one JSON object".to_owned())),
        Err(error) => Err(placed(&error, error.line())),
    }
}

/// What is wrong with JSON, and where; `line`: of the whole body.
pub(super) fn placed(error: &serde_json::Error, line: usize) -> ApiError {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or_default();
    invalid(format!("line {line}, column {}: {problem}", error.column()))
}

pub(super) fn invalid(detail: String) -> ApiError {
    ApiError::Invalid { detail, errors: Vec::new() }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn told(body: &str) -> String {
        parse(body.as_bytes()).map(|_| ()).unwrap_err().to_string()
    }

    /// A body of this many bytes that never ends; it takes its room for as long as it is being read.
    fn unfinished(bytes: usize) -> Body {
        let begun = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![b' '; bytes])]);
        Body::from_stream(begun.chain(futures_util::stream::pending()))
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_body() {
        assert!(parse(b"\xef\xbb\xbf{\"a\": 1}").is_ok());
        assert_eq!(told("\u{feff}"), "the body is empty; send a JSON object");
    }

    #[tokio::test]
    async fn bodies_that_never_end_take_no_more_room_than_there_is_and_keep_no_short_one_out() {
        let budget = Arc::new(Budget::new(1024, Duration::from_millis(500)));
        let slow = |_| {
            let budget = Arc::clone(&budget);
            tokio::spawn(async move { budget.read(unfinished(64 * 1024), 64 * 1024).await.map(drop) })
        };
        let slow: Vec<_> = (0..40).map(slow).collect();
        tokio::task::yield_now().await;
        let short = budget.read(Body::from("{}"), 64 * 1024).await;
        assert_eq!(short.map(|read| read.len()).unwrap(), 2);
        assert!(matches!(budget.read(Body::from(vec![b' '; 60_000]), 64 * 1024).await, Err(ApiError::Crowded)));
        let ended = futures_util::future::join_all(slow).await;
        let crowded = ended.iter().filter(|ended| matches!(ended, Ok(Err(ApiError::Crowded)))).count();
        assert_eq!(crowded, 40 - 17, "60 KiB of each are counted");
        assert!(ended.iter().all(|ended| matches!(ended, Ok(Err(ApiError::Crowded | ApiError::TooSlow { .. })))));
        assert!(budget.read(Body::from(vec![b' '; 60_000]), 64 * 1024).await.is_ok(), "they gave their room back");
    }

    /// Pieces of 16 KiB, and how many bytes all of them are.
    struct Pieces(usize);

    impl HttpBody for Pieces {
        type Data = axum::body::Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            let piece = self.0.min(16 * 1024);
            self.0 -= piece;
            let frame = hyper::body::Frame::data(vec![b' '; piece].into());
            std::task::Poll::Ready((piece > 0).then_some(Ok(frame)))
        }

        fn size_hint(&self) -> hyper::body::SizeHint {
            hyper::body::SizeHint::with_exact(u64::try_from(self.0).unwrap())
        }
    }

    #[tokio::test]
    async fn a_body_takes_no_more_memory_than_is_counted_for_it() {
        let budget = Budget::new(2 * 1024, Duration::from_secs(60));
        let length = 1024 * 1024 + 16 * 1024;
        let read = budget.read(Body::new(Pieces(length)), 2 * length).await.unwrap();
        assert_eq!((read.bytes.len(), read.bytes.capacity()), (length, length));
    }

    #[tokio::test]
    async fn what_says_that_it_is_too_long_is_not_read() {
        let budget = Budget::new(1024, Duration::from_secs(60));
        assert!(matches!(budget.read(Body::from(vec![0; 11]), 10).await, Err(ApiError::TooLarge { limit: 10 })));
    }

    #[test]
    fn garbage_is_placed_by_line_and_column() {
        assert_eq!(told("{\n  \"name\": oops\n}"), "line 2, column 11: expected value");
        assert_eq!(told("{\"name\": \"x\""), "line 1, column 12: EOF while parsing an object");
        assert_eq!(told(" "), "the body is empty; send a JSON object");
        assert_eq!(told("[]"), "the body must be one JSON object");
    }
}
