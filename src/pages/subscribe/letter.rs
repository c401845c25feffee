//! What a subscriber is told by mail. Pure; of a page it takes public words only.

use std::fmt::Write as _;

use komainu_notifiers::mail::Mailbox;
use komainu_notifiers::mail::letter::Letter;

use super::Links;
use crate::pages::News;
use crate::pages::feeds::escaped;
use crate::pages::notice::Impact;
use crate::pages::words::{Words, minute, words};
use crate::store::subscriptions::claim::{Due, Message};

/// The mail; `None`: the address is none.
pub(crate) fn letter(links: &Links<'_>, due: &Due) -> Option<Letter> {
    let to: Mailbox = Mailbox::new(None, due.address.parse().ok()?);
    let words = words(due.language);
    let told = match &due.message {
        Message::Greeting { wish, .. } => Told {
            heading: words.subscribing.confirm.to_owned(),
            lines: vec![words.subscribing.asks.replace("{}", &due.title), words.subscribing.asks_end.to_owned()],
            link: links.confirming(due, &wish.nonce),
            leave: None,
        },
        Message::News { news, .. } => Told {
            heading: format!("{}: {}", words.stage(news.notice.stage), news.notice.title),
            lines: lines(news, words),
            link: links.notice(&due.slug, &news.notice.id),
            leave: Some(links.leaving(due)),
        },
    };
    let (subject, thread, is_reply) = match &due.message {
        Message::Greeting { .. } => (format!("[{}] {}", due.title, words.subscribing.confirm), None, false),
        // One subject for all of it: Gmail makes a conversation of what has the same.
        Message::News { news, .. } => {
            let thread = format!("notice-{}.{}", news.notice.id, due.slug);
            (format!("[{}] {}", news.title, news.notice.title), Some(thread), !news.is_first)
        }
    };
    let again = due.may_be_repeated.then_some(words.subscribing.again);
    Some(Letter {
        to,
        subject,
        id: super::message_id(due),
        thread,
        is_reply,
        text: told.text(words, again),
        html: told.html(words, (due.language.code(), again)),
        unsubscribe: told.leave,
    })
}

struct Told {
    heading: String,
    lines: Vec<String>,
    link: String,
    leave: Option<String>,
}

/// What was said, with what it is about.
fn lines(news: &News, words: &Words) -> Vec<String> {
    let notice = &news.notice;
    let mut lines = vec![];
    let names: Vec<&str> = notice.components.iter().map(|(_, name)| name.as_str()).collect();
    if !names.is_empty() {
        lines.push(words.about.replace("{}", &names.join(", ")));
    }
    if notice.impact != Impact::None {
        lines.push(words.impact(notice.impact).to_owned());
    }
    if let Some((from, until)) = notice.window {
        lines.push(format!("{} {} {}", minute(from), words.until, minute(until)));
    }
    lines.extend(news.words.clone());
    lines
}

impl Told {
    fn text(&self, words: &Words, again: Option<&str>) -> String {
        let mut text = format!("{}\n", self.heading);
        for line in self.lines.iter().map(String::as_str).chain(again) {
            let _ = write!(text, "\n{line}\n");
        }
        match &self.leave {
            None => {
                let _ = write!(text, "\n{}\n", self.link);
            }
            Some(leave) => {
                let (more, no_more) = (words.subscribing.more, words.subscribing.no_more);
                let _ = write!(text, "\n{more} {}\n\n-- \n{no_more} {leave}\n", self.link);
            }
        }
        text
    }

    fn html(&self, words: &Words, (language, again): (&str, Option<&str>)) -> String {
        let mut html = format!(
            "<!doctype html>\n<html lang=\"{language}\"><head><meta charset=\"utf-8\"><title>{0}</title></head><body>\n<h1>{0}</h1>\n",
            escaped(&self.heading)
        );
        for line in self.lines.iter().map(String::as_str).chain(again) {
            let _ = writeln!(html, "<p>{}</p>", escaped(line).replace('\n', "<br>\n"));
        }
        let link = |place: &str| format!("<a href=\"{0}\">{0}</a>", escaped(place));
        match &self.leave {
            None => {
                let _ = writeln!(html, "<p>{}</p>", link(&self.link));
            }
            Some(leave) => {
                let (more, no_more) = (words.subscribing.more, words.subscribing.no_more);
                let _ = writeln!(
                    html,
                    "<p>{} {}</p>\n<hr>\n<p>{} {}</p>",
                    escaped(more),
                    link(&self.link),
                    escaped(no_more),
                    link(leave)
                );
            }
        }
        html.push_str("</body></html>\n");
        html
    }
}
