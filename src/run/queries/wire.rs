//! What node and worker say to each other: frames of a length and so many bytes, over one socket.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{Compared, Query};

/// An answer's body of 16 MiB, each byte of which may have become a character of three.
const FRAME_MOST: usize = 64 * 1024 * 1024;

/// A worker's answer: what it shows is cut to [`SHOWN_MOST`], and each of its bytes may be escaped.
const ANSWER_MOST: usize = 8 * SHOWN_MOST;

/// More of an outcome than any message is stored with.
pub(super) const SHOWN_MOST: usize = 64 * 1024;

/// Asks a worker.
pub(super) async fn ask(socket: &mut UnixStream, body: &str, query: &Query) -> io::Result<Result<Compared, String>> {
    let query = serde_json::to_vec(query)?;
    for frame in [&query, body.as_bytes()] {
        socket.write_all(&length(frame)?).await?;
        socket.write_all(frame).await?;
    }
    let mut length = [0; 4];
    socket.read_exact(&mut length).await?;
    let mut answer = vec![0; checked(length, ANSWER_MOST)?];
    socket.read_exact(&mut answer).await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The next question; `None`: there will be none.
pub(super) fn hear<T: DeserializeOwned>(socket: &mut impl Read) -> io::Result<Option<(T, String)>> {
    let Some(question) = frame(socket)? else { return Ok(None) };
    let Some(body) = frame(socket)? else { return Ok(None) };
    let body = String::from_utf8(body).map_err(io::Error::other)?;
    Ok(Some((serde_json::from_slice(&question)?, body)))
}

/// Writes an answer.
pub(super) fn answer<T: Serialize>(socket: &mut impl Write, answer: &T) -> io::Result<()> {
    let answer = serde_json::to_vec(answer)?;
    socket.write_all(&length(&answer)?)?;
    socket.write_all(&answer)
}

fn frame(socket: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut frame = vec![0; checked(length, FRAME_MOST)?];
    socket.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn length(frame: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    Ok(length.to_be_bytes())
}

fn checked(length: [u8; 4], most: usize) -> io::Result<usize> {
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too long"));
    }
    Ok(length)
}
