//! Reads an answer's body: to its end, of which only what somebody looks at is kept, within the node's [`Room`].

use memchr::memmem::Finder;
use reqwest::Response;

use super::room::{HeldRoom, NoRoom, Room};
use super::turns::Turns;
use crate::byte_order_mark;

/// The buffer grows by so much, or by an eighth: by doubling it would hold up to twice what is counted.
const STEP: usize = 64 * 1_024;

/// What is kept of a body.
pub(super) struct Body {
    pub(super) text: String,
    /// There was more.
    pub(super) is_cut: bool,
    /// The text that was looked for stood somewhere in it, also in what is not kept.
    pub(super) has_text: bool,
    /// Its room, until it is dropped.
    pub(super) room: HeldRoom,
}

/// Why it was not read to its end.
pub(super) enum Stopped {
    Broken(reqwest::Error),
    NoRoom(NoRoom),
}

impl From<NoRoom> for Stopped {
    fn from(no_room: NoRoom) -> Self {
        Self::NoRoom(no_room)
    }
}

/// An answer that stops in the middle is no answer, so it is read to its end also where nothing of it is kept.
/// `most`: so much is kept; `sought`: a text that is looked for.
pub(super) async fn read(
    mut response: Response,
    (most, sought): (usize, &str),
    (room, turns): (&Room, &Turns),
) -> Result<Body, Stopped> {
    let room = if most == 0 { HeldRoom::none() } else { room.enter() };
    let (mut bytes, mut is_cut, mut came) = (Vec::new(), false, 0_usize);
    let mut search = Search::of(sought);
    loop {
        let next = async { response.chunk().await.map_err(Stopped::Broken) };
        let Some(chunk) = room.unless_taken(next).await? else { break };
        came = came.saturating_add(chunk.len());
        turns.take_after(came, || search.go_on(&chunk)).await;
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
    Ok(Body { text, is_cut, has_text: search.is_found, room })
}

/// Looks for a text in what comes piece by piece, and keeps no more of it than the text is long.
struct Search<'t> {
    finder: Finder<'t>,
    /// The end of what was read, shorter than the text.
    end: Vec<u8>,
    is_found: bool,
}

impl<'t> Search<'t> {
    /// An empty text is not looked for.
    fn of(text: &'t str) -> Self {
        Self { finder: Finder::new(text.as_bytes()), end: Vec::new(), is_found: false }
    }

    fn go_on(&mut self, piece: &[u8]) {
        let length = self.finder.needle().len();
        if self.is_found || length == 0 {
            return;
        }
        self.end.extend_from_slice(piece);
        self.is_found = self.finder.find(&self.end).is_some();
        let surplus = self.end.len().saturating_sub(length - 1);
        self.end.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_wherever_its_pieces_are_cut() {
        let (body, text) = ("<p>all systems go</p>".repeat(3) + "</html>", "</html>");
        for cut in 1..body.len() {
            let mut search = Search::of(text);
            for piece in body.as_bytes().chunks(cut) {
                assert!(!search.is_found || search.end.len() < text.len());
                search.go_on(piece);
            }
            assert!(search.is_found, "in pieces of {cut}");
        }
        let mut search = Search::of("</html>");
        search.go_on(b"</htm");
        search.go_on(b"</htm>");
        assert!(!search.is_found);
    }
}
