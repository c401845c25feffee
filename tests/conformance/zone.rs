//! A name server that answers every question with the records of its case (RFC 1035, by hand).

use tokio::net::UdpSocket;

use crate::case::Zone;
use crate::target::{Log, Served};

pub(crate) async fn serve(zone: Zone, log: Log) -> Served {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut asked = [0; 1_500];
        while let Ok((length, peer)) = socket.recv_from(&mut asked).await {
            let question = question(&asked[..length]);
            log.note(name(question).as_bytes());
            if !zone.silent {
                let _ = socket.send_to(&answer(&zone, &asked[..2], question), peer).await;
            }
        }
    });
    (address, Some(server.abort_handle()))
}

fn question(asked: &[u8]) -> &[u8] {
    let end = asked.iter().skip(12).position(|&byte| byte == 0).unwrap() + 13;
    &asked[12..end + 4]
}

fn name(question: &[u8]) -> String {
    let (mut name, mut rest) = (String::new(), question);
    while let [length, more @ ..] = rest {
        if *length == 0 {
            break;
        }
        let (label, after) = more.split_at(usize::from(*length));
        name.push_str(&String::from_utf8_lossy(label));
        name.push('.');
        rest = after;
    }
    name
}

fn answer(zone: &Zone, id: &[u8], question: &[u8]) -> Vec<u8> {
    let kind = &question[question.len() - 4..question.len() - 2];
    let mut answer = id.to_vec();
    answer.extend([0x85, 0x80 | zone.code, 0, 1, 0, u8::try_from(zone.records.len()).unwrap(), 0, 0, 0, 0]);
    answer.extend(question);
    for record in &zone.records {
        let data = data(u16::from_be_bytes([kind[0], kind[1]]), record);
        answer.extend([0xC0, 12]);
        answer.extend(kind);
        answer.extend([0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        answer.extend(data);
    }
    answer
}

/// A record's data from its text in a zone file.
fn data(kind: u16, text: &str) -> Vec<u8> {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| words[at].parse::<u16>().unwrap().to_be_bytes();
    match kind {
        1 => words[0].parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
        28 => words[0].parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec(),
        2 | 5 | 12 => wire(words[0]),
        15 => [number(0).to_vec(), wire(words[1])].concat(),
        33 => [number(0).to_vec(), number(1).to_vec(), number(2).to_vec(), wire(words[3])].concat(),
        6 => {
            let numbers = words[2..].iter().flat_map(|word| word.parse::<u32>().unwrap().to_be_bytes());
            [wire(words[0]), wire(words[1]), numbers.collect()].concat()
        }
        16 => text.split('|').flat_map(counted).collect(),
        257 => [vec![words[0].parse().unwrap()], counted(words[1]), words[2..].join(" ").into_bytes()].concat(),
        _ => panic!("no records of type {kind}"),
    }
}

fn counted(text: &str) -> Vec<u8> {
    [vec![u8::try_from(text.len()).unwrap()], text.as_bytes().to_vec()].concat()
}

fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    [labels.flat_map(counted).collect(), vec![0]].concat()
}
