//! The last part of what a command wrote, as text for people.

use std::collections::VecDeque;

/// A screenful or two. Even if every byte were escaped in JSON, a push would stay under its 64 KiB.
pub(super) const TAIL_BYTES: usize = 10 * 1024;

/// The last [`TAIL_BYTES`] bytes.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let kept = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or(bytes);
        let surplus = (self.bytes.len() + kept.len()).saturating_sub(TAIL_BYTES).min(self.bytes.len());
        self.is_cut |= surplus > 0 || kept.len() < bytes.len();
        self.bytes.drain(..surplus);
        self.bytes.extend(kept);
    }

    /// Lines without colours and control characters; a cut one begins at a line's start where there is one.
    pub(super) fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let kept = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) if self.is_cut => bytes.get(end + 1..).unwrap_or_default(),
            Some(_) | None => &bytes,
        };
        let text = plain(&String::from_utf8_lossy(kept));
        let text = text.trim();
        if self.is_cut { format!("…\n{text}") } else { text.to_owned() }
    }
}

/// Without escape sequences (ECMA-48: `ESC [` … up to a letter) and control characters. A carriage return begins a line
/// anew: of a progress bar the last state is kept.
fn plain(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.replace("\r\n", "\n").split('\n') {
        let last = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        lines.push(without_escapes(last));
    }
    lines.join("\n")
}

fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match next {
            '\u{1b}' => {
                if rest.next() == Some('[') {
                    let _ = rest.find(|char| ('@'..='~').contains(char));
                }
            }
            '\t' => plain.push('\t'),
            next if next.is_control() => {}
            next => plain.push(next),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(parts: &[&[u8]]) -> Tail {
        let mut tail = Tail::default();
        for part in parts {
            tail.push(part);
        }
        tail
    }

    #[test]
    fn short_output_is_kept_whole() {
        assert_eq!(tail(&[b"one\n", b"two\n"]).text(), "one\ntwo");
        assert_eq!(tail(&[]).text(), "");
    }

    #[test]
    fn of_long_output_the_end_is_kept_from_a_lines_start() {
        let line = [b'x'; 99].iter().copied().chain([b'\n']).collect::<Vec<u8>>();
        let text = tail(&[&line.repeat(200), b"the end\n"]).text();
        assert!(text.starts_with("…\nxxx") && text.ends_with("\nthe end"), "{text}");
        assert!(text.len() <= TAIL_BYTES + 4 && text.len() > TAIL_BYTES - 200);
        assert!(text.lines().skip(1).all(|line| line.len() == 99 || line == "the end"));
    }

    #[test]
    fn in_small_parts_and_in_one_it_is_the_same() {
        let bytes: Vec<u8> = (0..50_000_u32).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        let whole = tail(&[&bytes]);
        for size in [1, 7, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1] {
            assert_eq!(tail(&bytes.chunks(size).collect::<Vec<_>>()).text(), whole.text(), "{size}");
        }
    }

    #[test]
    fn people_get_no_control_characters() {
        assert_eq!(
            tail(&[b"\x1b[1;31mred\x1b[0m\tone\r\n10%\r20%\r100%\x07\n\xff\x00"]).text(),
            "red\tone\n100%\n\u{fffd}"
        );
    }

    #[test]
    fn the_worst_output_fits_into_a_push() {
        for byte in [0x00, 0x1b, b'"', b'\\', 0x7f, 0xff, b'\n'] {
            let text = tail(&[&vec![byte; TAIL_BYTES * 2]]).text();
            assert!(serde_json::to_vec(&text).unwrap().len() < 63 * 1024, "{byte}");
        }
    }
}
