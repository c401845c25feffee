//! Answers that are packed although nobody asked for it: unpacked as they come, as Node's `zlib.createUnzip` does.
//!
//! Requests name no encoding, as Kuma's name none. What a server packs all the same is unpacked where it is called exactly
//! `gzip`, `compress` or `deflate`, whichever of gzip and zlib it is; several members of gzip are one text (RFC 1952), zeros
//! behind them mean nothing. What breaks off or is damaged is no answer.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{GzDecoder, ZlibDecoder};
use futures_util::{Stream, TryStreamExt, stream};
use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use reqwest::{Body, Response};

use crate::run::turns::Turns;

/// Unpacked at once: no more than a thousand times as much comes of it.
const PIECE: usize = 256;

/// An answer that becomes more is a trap: it would cost a core for as long as its monitor waits.
const UNPACKED_MOST: usize = 256 * 1_024 * 1_024;

/// How gzip begins.
const GZIP: u8 = 0x1f;

/// The answer with its body as it was before it was packed.
pub(super) fn unpacked(response: Response, method: &Method, turns: &Turns) -> Response {
    let encoding = response.headers().get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes);
    let is_packed = matches!(encoding, Some(b"gzip" | b"compress" | b"deflate"));
    let has_body =
        *method != Method::HEAD && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !is_packed || !has_body {
        return response;
    }
    let (parts, body) = http::Response::<Body>::from(response).into_parts();
    let chunks = body.into_data_stream().map_err(io::Error::other);
    http::Response::from_parts(parts, Body::wrap_stream(pieces(chunks, UNPACKED_MOST, turns.clone()))).into()
}

fn pieces(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    most: usize,
    turns: Turns,
) -> impl Stream<Item = io::Result<Bytes>> {
    let begun = (chunks, Bytes::new(), Unpacker { left: most, ..Unpacker::default() });
    stream::try_unfold(begun, move |(mut chunks, mut left, mut unpacker)| {
        let turns = turns.clone();
        async move {
            loop {
                if left.is_empty() {
                    match chunks.try_next().await? {
                        Some(chunk) => left = chunk,
                        None if unpacker.is_over => return Ok(None),
                        None => {
                            let last = unpacker.end()?;
                            return Ok(Some((last, (chunks, left, unpacker))));
                        }
                    }
                }
                let piece = left.split_to(left.len().min(PIECE));
                // What came at once may become a thousand times as much: others come in between, and so does the timeout.
                let made = most.saturating_sub(unpacker.left);
                let unpacked = turns.take_after(made, || unpacker.take(&piece)).await?;
                tokio::task::yield_now().await;
                if !unpacked.is_empty() {
                    return Ok(Some((unpacked, (chunks, left, unpacker))));
                }
            }
        }
    })
}

/// What was begun.
#[derive(Default)]
enum Member {
    /// No byte came yet.
    #[default]
    Nothing,
    Gzip(GzDecoder<Vec<u8>>),
    Zlib(ZlibDecoder<Vec<u8>>),
    /// All that counts was read.
    Rest,
}

#[derive(Default)]
struct Unpacker {
    member: Member,
    /// The end was seen.
    is_over: bool,
    /// So many bytes more may come of it.
    left: usize,
}

impl Unpacker {
    /// Takes packed bytes and gives what they are.
    fn take(&mut self, mut packed: &[u8]) -> io::Result<Bytes> {
        let mut unpacked = vec![];
        while let Some(&first) = packed.first() {
            let taken = match &mut self.member {
                Member::Nothing if first == GZIP => {
                    self.member = Member::Gzip(GzDecoder::new(vec![]));
                    continue;
                }
                Member::Nothing => {
                    self.member = Member::Zlib(ZlibDecoder::new(vec![]));
                    continue;
                }
                Member::Gzip(member) => {
                    let taken = member.write(packed).map_err(|error| in_words(&error))?;
                    unpacked.append(member.get_mut());
                    taken
                }
                Member::Zlib(member) => {
                    let taken = member.write(packed).map_err(|error| in_words(&error))?;
                    unpacked.append(member.get_mut());
                    taken
                }
                Member::Rest => break,
            };
            packed = packed.get(taken..).unwrap_or_default();
            if taken == 0 {
                self.next_member(first, &mut unpacked)?;
            }
        }
        self.left = self.left.checked_sub(unpacked.len()).ok_or_else(too_much)?;
        Ok(Bytes::from(unpacked))
    }

    /// One is complete, and `first` comes after it.
    fn next_member(&mut self, first: u8, unpacked: &mut Vec<u8>) -> io::Result<()> {
        let is_gzip = matches!(self.member, Member::Gzip(_));
        self.finish(unpacked)?;
        self.member = match (is_gzip, first) {
            (true, GZIP) => Member::Gzip(GzDecoder::new(vec![])),
            (true, 1..) => return Err(io::Error::new(io::ErrorKind::InvalidData, "incorrect header check")),
            (true, 0) | (false, _) => Member::Rest,
        };
        Ok(())
    }

    /// There is no more.
    fn end(&mut self) -> io::Result<Bytes> {
        let mut unpacked = vec![];
        self.finish(&mut unpacked)?;
        self.is_over = true;
        Ok(Bytes::from(unpacked))
    }

    fn finish(&mut self, unpacked: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.member {
            Member::Nothing => return Err(cut_off()),
            Member::Gzip(member) => {
                member.try_finish().map_err(|error| in_words(&error))?;
                unpacked.append(member.get_mut());
            }
            Member::Zlib(member) => {
                member.try_finish().map_err(|error| in_words(&error))?;
                unpacked.append(member.get_mut());
            }
            Member::Rest => {}
        }
        Ok(())
    }
}

fn too_much() -> io::Error {
    io::Error::other(format!("the body unpacks to more than {} MiB", UNPACKED_MOST / 1_024 / 1_024))
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected end of file")
}

/// In Node's words, as far as the library tells these cases apart.
fn in_words(error: &io::Error) -> io::Error {
    let words = error.to_string();
    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero) {
        cut_off()
    } else if words.contains("checksum") {
        io::Error::new(error.kind(), "incorrect data check")
    } else if words.contains("header") {
        io::Error::new(error.kind(), "incorrect header check")
    } else {
        io::Error::new(error.kind(), format!("the body cannot be unpacked: {words}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    async fn told(packed: &[u8], piece: usize) -> Result<String, String> {
        let chunks: Vec<_> = packed.chunks(piece).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let all = Box::pin(pieces(stream::iter(chunks), 1_000_000, Turns::default())).try_collect::<Vec<_>>().await;
        all.map(|all| String::from_utf8(all.concat()).unwrap()).map_err(|error| error.to_string())
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut packing = GzEncoder::new(vec![], Compression::default());
        packing.write_all(text.as_bytes()).unwrap();
        packing.finish().unwrap()
    }

    #[tokio::test]
    async fn members_of_gzip_are_one_text_however_they_come() {
        let text = "all is well ".repeat(1_000);
        let packed = [gzip(&text), gzip("and so on"), vec![0; 20]].concat();
        for piece in [1, 7, 1_000, 100_000] {
            assert_eq!(told(&packed, piece).await, Ok(format!("{text}and so on")), "{piece}");
        }
    }

    #[tokio::test]
    async fn what_becomes_too_much_is_no_answer() {
        assert!(told(&gzip(&"x".repeat(1_000_000)), 100).await.is_ok());
        let words = told(&gzip(&"x".repeat(1_000_001)), 100).await.unwrap_err();
        assert!(words.contains("unpacks to more than"), "{words}");
    }

    #[tokio::test]
    async fn a_bomb_leaves_everybody_else_their_turn() {
        let bomb = Bytes::from(gzip(&"\0".repeat(16 * 1_024 * 1_024)));
        let pieces_of_it = bomb.len() / PIECE;
        let turns = Arc::new(AtomicUsize::new(0));
        let others = Arc::clone(&turns);
        let others = tokio::spawn(async move {
            loop {
                others.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let mut all = Box::pin(pieces(stream::iter([Ok(bomb)]), usize::MAX, Turns::default()));
        while all.try_next().await.unwrap().is_some() {}
        others.abort();
        let turns = turns.load(Ordering::Relaxed);
        assert!(pieces_of_it > 2 && turns >= pieces_of_it, "{turns} turns of others beside {pieces_of_it} pieces");
    }

    #[tokio::test]
    async fn zlib_is_read_whatever_it_is_called_and_what_follows_it_is_not() {
        let mut packing = ZlibEncoder::new(vec![], Compression::default());
        packing.write_all(b"fine").unwrap();
        let packed = [packing.finish().unwrap(), b"garbage".to_vec()].concat();
        assert_eq!(told(&packed, 3).await, Ok("fine".to_owned()));
    }

    #[tokio::test]
    async fn what_is_damaged_or_breaks_off_is_told_in_nodes_words() {
        let packed = gzip(&"fine ".repeat(100));
        let mut raw = DeflateEncoder::new(vec![], Compression::default());
        raw.write_all(b"fine").unwrap();
        let wrong_sum = [packed.get(..packed.len() - 8).unwrap(), &[0; 8]].concat();
        for (packed, words) in [
            (vec![], "unexpected end of file"),
            (packed.get(..packed.len() - 12).unwrap().to_vec(), "unexpected end of file"),
            (wrong_sum, "incorrect data check"),
            ([packed.clone(), b"garbage".to_vec()].concat(), "incorrect header check"),
            (b"\x1f\x8c".repeat(10), "incorrect header check"),
        ] {
            assert_eq!(told(&packed, 5).await, Err(words.to_owned()));
        }
        assert!(told(&raw.finish().unwrap(), 5).await.is_err());
    }
}
