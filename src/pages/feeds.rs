//! What people wrote on a page, for readers of feeds: Atom (RFC 4287), RSS 2.0, JSON Feed 1.1. Takes public types only.

use std::fmt::Write as _;

use komainu_watchdogs::time::Wall;
use serde_json::{Value, json};

use super::public::{PublicNotice, PublicPage};
use super::words::{self, Words, iso, minute, rfc822};

/// The latest that a feed bears.
const MOST: usize = 50;

/// Where pages are: `https://status.example`, without a slash at its end.
pub(super) fn address(base: &str, page: &PublicPage) -> String {
    format!("{base}/pages/{}", page.slug)
}

pub(super) fn link(base: &str, page: &PublicPage, notice: &PublicNotice) -> String {
    format!("{}/history/{}#n{}", address(base, page), words::month(notice.at()), notice.id)
}

/// Text within XML. What XML 1.0 has no sign for is left out.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            '\u{fffe}' | '\u{ffff}' => {}
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// All that was said of a notice, the latest first.
fn told(notice: &PublicNotice, words: &Words) -> String {
    let mut text = String::new();
    if let Some((from, until)) = notice.window {
        let _ = writeln!(text, "{} {} {}\n", minute(from), words.until, minute(until));
    }
    for update in notice.updates.iter().rev() {
        let _ = writeln!(text, "{} · {}: {}\n", minute(update.at), words.stage(update.stage), update.words);
    }
    if text.is_empty() {
        text.push_str(words.stage(notice.stage));
    }
    text.trim_end().to_owned()
}

fn title(notice: &PublicNotice, words: &Words) -> String {
    format!("{} ({})", notice.title, words.stage(notice.stage))
}

fn changed_at(page: &PublicPage) -> Wall {
    page.notices.iter().take(MOST).map(|notice| notice.changed_at).max().unwrap_or(page.changed_at)
}

/// Atom.
pub(super) fn atom(page: &PublicPage, base: &str) -> String {
    let (words, place) = (words::words(page.language), escaped(&address(base, page)));
    let mut feed = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"{}\">\
         <id>urn:komainu:page:{}</id><title>{}</title><updated>{}</updated><author><name>{}</name></author>\
         <link rel=\"alternate\" type=\"text/html\" href=\"{place}\"/>\
         <link rel=\"self\" type=\"application/atom+xml\" href=\"{place}/feed.atom\"/>",
        page.language.code(),
        page.id,
        escaped(&page.title),
        iso(changed_at(page)),
        escaped(&page.title),
    );
    for notice in page.notices.iter().take(MOST) {
        let _ = write!(
            feed,
            "<entry><id>urn:komainu:notice:{}</id><title>{}</title><published>{}</published><updated>{}</updated>\
             <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/><content type=\"text\">{}</content></entry>",
            notice.id,
            escaped(&title(notice, words)),
            iso(notice.created_at),
            iso(notice.changed_at),
            escaped(&link(base, page, notice)),
            escaped(&told(notice, words)),
        );
    }
    feed.push_str("</feed>\n");
    feed
}

/// RSS. Readers take descriptions for HTML, so what was said is escaped twice.
pub(super) fn rss(page: &PublicPage, base: &str) -> String {
    let (words, place) = (words::words(page.language), escaped(&address(base, page)));
    let description = if page.description.is_empty() { &page.title } else { &page.description };
    let mut feed = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\"><channel>\
         <title>{}</title><link>{place}</link><description>{}</description><language>{}</language>\
         <lastBuildDate>{}</lastBuildDate><atom:link rel=\"self\" type=\"application/rss+xml\" href=\"{place}/feed.rss\"/>",
        escaped(&page.title),
        escaped(description),
        page.language.code(),
        rfc822(changed_at(page)),
    );
    for notice in page.notices.iter().take(MOST) {
        let html = escaped(&told(notice, words)).replace('\n', "<br>");
        let _ = write!(
            feed,
            "<item><title>{}</title><link>{}</link><guid isPermaLink=\"false\">urn:komainu:notice:{}</guid>\
             <pubDate>{}</pubDate><description>{}</description></item>",
            escaped(&title(notice, words)),
            escaped(&link(base, page, notice)),
            notice.id,
            rfc822(notice.created_at),
            escaped(&html),
        );
    }
    feed.push_str("</channel></rss>\n");
    feed
}

/// JSON Feed.
pub(super) fn json_feed(page: &PublicPage, base: &str) -> Value {
    let (words, place) = (words::words(page.language), address(base, page));
    let item = |notice: &PublicNotice| {
        json!({
            "id": format!("urn:komainu:notice:{}", notice.id),
            "url": link(base, page, notice),
            "title": title(notice, words),
            "content_text": told(notice, words),
            "date_published": iso(notice.created_at),
            "date_modified": iso(notice.changed_at),
        })
    };
    json!({
        "version": "https://jsonfeed.org/version/1.1",
        "title": page.title,
        "description": page.description,
        "home_page_url": place,
        "feed_url": format!("{place}/feed.json"),
        "language": page.language.code(),
        "items": page.notices.iter().take(MOST).map(item).collect::<Vec<_>>(),
    })
}
