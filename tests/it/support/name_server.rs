//! A name server that knows what the test tells it: addresses by name (RFC 1035, by hand), each good for a second.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

const A: u16 = 1;
const AAAA: u16 = 28;

/// No such name.
const UNKNOWN: u8 = 3;

/// Ends with the test's runtime.
#[derive(Clone, Default)]
pub(crate) struct NameServer {
    names: Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>,
}

impl NameServer {
    /// Answers whoever asks at this socket.
    pub(crate) fn start(socket: UdpSocket) -> Self {
        let server = Self::default();
        let shared = server.clone();
        tokio::spawn(async move {
            let mut asked = [0; 1_500];
            loop {
                // What an earlier answer met comes up here, too, and ends nothing.
                let Ok((length, peer)) = socket.recv_from(&mut asked).await else { continue };
                if let Some(answer) = shared.answer(&asked[..length]) {
                    let _ = socket.send_to(&answer, peer).await;
                }
            }
        });
        server
    }

    /// From now on this is what the name stands for.
    pub(crate) fn set(&self, name: &str, addresses: &[IpAddr]) {
        self.names.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }

    /// From now on there is no such name.
    pub(crate) fn forget(&self, name: &str) {
        self.names.lock().unwrap().remove(name);
    }

    fn answer(&self, asked: &[u8]) -> Option<Vec<u8>> {
        let end = asked.iter().skip(12).position(|&byte| byte == 0)? + 12 + 5;
        let question = asked.get(12..end)?;
        let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
        let names = self.names.lock().unwrap();
        let known = names.get(&name(question));
        let data: Vec<Vec<u8>> = known.into_iter().flatten().filter_map(|address| data(kind, *address)).collect();
        let code = if known.is_some() { 0 } else { UNKNOWN };
        let mut answer = asked[..2].to_vec();
        answer.extend([0x85, 0x80 | code, 0, 1, 0, u8::try_from(data.len()).unwrap(), 0, 0, 0, 0]);
        answer.extend(question);
        for data in data {
            answer.extend([0xC0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 1]);
            answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

fn name(question: &[u8]) -> String {
    let (mut labels, mut rest) = (vec![], question);
    while let [length, more @ ..] = rest
        && *length > 0
    {
        let (label, after) = more.split_at(usize::from(*length).min(more.len()));
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = after;
    }
    labels.join(".")
}

fn data(kind: u16, address: IpAddr) -> Option<Vec<u8>> {
    match (kind, address) {
        (A, IpAddr::V4(four)) => Some(four.octets().to_vec()),
        (AAAA, IpAddr::V6(six)) => Some(six.octets().to_vec()),
        _ => None,
    }
}
