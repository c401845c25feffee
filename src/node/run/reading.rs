//! Reads an answer's body: to its end, of which only what somebody looks at is kept, within the node's [`Room`].

use reqwest::Response;

use super::room::{HeldRoom, NoRoom, Room};
use crate::byte_order_mark;

/// The buffer grows by so much, or by an eighth: by doubling it would hold up to twice what is counted.
const STEP: usize = 64 * 1_024;

/// What is kept of a body.
pub(super) struct Body {
    pub(super) text: String,
    /// There was more.
    pub(super) is_cut: bool,
    /// Its room, until it is dropped.
    pub(super) room: HeldRoom,
}

/// Why it was not read to its end.
pub(super) enum Stopped {
    Broken(reqwest::Error),
    NoRoom,
}

impl From<NoRoom> for Stopped {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// An answer that stops in the middle is no answer, so it is read to its end also where nothing of it is kept.
pub(super) async fn read(mut response: Response, most: usize, room: &Room) -> Result<Body, Stopped> {
    let room = if most == 0 { HeldRoom::none() } else { room.enter() };
    let (mut bytes, mut is_cut) = (Vec::new(), false);
    loop {
        let next = async { response.chunk().await.map_err(Stopped::Broken) };
        let Some(chunk) = room.unless_taken(next).await? else { break };
        let fitting = chunk.get(..most - bytes.len()).unwrap_or(&chunk[..]);
        is_cut |= fitting.len() < chunk.len();
        room.grow(fitting.len())?;
        if bytes.capacity() - bytes.len() < fitting.len() {
            bytes.reserve_exact(fitting.len().max(STEP).max(bytes.len() / 8));
        }
        bytes.extend_from_slice(fitting);
    }
    let text_length = byte_order_mark::stripped_bytes(&bytes).len();
    bytes.drain(..bytes.len() - text_length);
    let read = bytes.len();
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    room.grow(text.len().saturating_sub(read))?;
    Ok(Body { text, is_cut, room })
}
