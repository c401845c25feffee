//! What a mail says: its subject, its text, the same as HTML, and the headers that keep programs from answering.

use std::fmt::Write;

use lettre::message::header::{HeaderName, HeaderValue};

use crate::words::{self, Part, Story};
use crate::{Answer, Notice};

pub(super) fn subject(notice: &Notice, story: &Story) -> String {
    match notice.items.as_slice() {
        [item] => format!("[komainu] {} ({})", words::called(item), notice.cluster),
        _ => format!("[komainu] {}", story.headline),
    }
}

pub(super) fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// What may stand in a `Message-ID` without quotes.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '-' }).collect()
}

pub(super) fn text(story: &Story) -> String {
    let mut text = format!("{}\n", story.headline);
    for line in story.counts.iter().chain(&story.remarks) {
        let _ = writeln!(text, "{line}");
    }
    for Part { title, lines, runbook_url, answers, .. } in &story.parts {
        text.push('\n');
        for line in title.iter().chain(lines) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "What to do: {runbook_url}");
        for Answer { words, url, .. } in answers {
            let _ = writeln!(text, "{words}: {url}");
        }
    }
    if let Some(more) = &story.more {
        let _ = writeln!(text, "\n{more}");
    }
    text
}

pub(super) fn html(story: &Story) -> String {
    let mut html = format!("<!doctype html>\n<html><body>\n<h3>{}</h3>\n", escaped(&story.headline));
    for line in story.counts.iter().chain(&story.remarks) {
        let _ = writeln!(html, "<p><em>{}</em></p>", escaped(line));
    }
    for Part { title, lines, runbook_url, answers, .. } in &story.parts {
        html.push_str("<p>");
        if let Some(title) = title {
            let _ = writeln!(html, "<strong>{}</strong><br>", escaped(title));
        }
        for line in lines {
            let _ = writeln!(html, "{}<br>", escaped(line));
        }
        let _ = write!(html, "<a href=\"{}\">What to do</a>", escaped(runbook_url));
        for Answer { words, url, .. } in answers {
            let _ = write!(html, " · <a href=\"{}\">{}</a>", escaped(url), escaped(words));
        }
        let _ = writeln!(html, "</p>");
    }
    if let Some(more) = &story.more {
        let _ = writeln!(html, "<p>{}</p>", escaped(more));
    }
    html.push_str("</body></html>\n");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
