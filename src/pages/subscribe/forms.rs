//! The pages of subscriptions as HTML, in the languages and looks of the page. Takes public types only.

use askama::Template;

use crate::pages::definition::{Language, Way};
use crate::pages::html::{drawn, query};
use crate::pages::public::PublicPage;
use crate::pages::words::{Words, words};

#[derive(Template)]
#[template(path = "public_subscribe.html")]
struct Form<'a> {
    page: &'a PublicPage,
    language: Language,
    words: &'static Words,
    ways: Vec<Offer<'a>>,
    /// Ids and names.
    components: Vec<(&'a str, &'a str)>,
    trouble: Option<&'static str>,
    query: String,
}

/// One way, in a language.
struct Offer<'a> {
    name: &'static str,
    heading: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    most: u32,
    said: &'a str,
}

#[derive(Template)]
#[template(path = "public_deed.html")]
struct Page<'a> {
    slug: &'a str,
    title: &'a str,
    language: Language,
    words: &'static Words,
    heading: &'static str,
    text: String,
    secret: Option<&'a str>,
    asks: bool,
    query: String,
}

/// What somebody sees before or after they did something.
#[derive(Clone, Copy)]
pub(super) struct Deed<'a> {
    pub(super) heading: &'static str,
    /// `{}`: the page.
    pub(super) text: &'static str,
    /// Shown this once.
    pub(super) secret: Option<&'a str>,
    /// A button does it.
    pub(super) asks: bool,
}

/// The form; `said`: what was wrong, by which way, and what was written there.
pub(super) fn form(
    page: &PublicPage,
    language: Language,
    offered: &[Way],
    said: Option<(&'static str, Way, &str)>,
) -> String {
    let words = words(language);
    let text = |way: Way| said.filter(|(_, of, _)| *of == way).map_or("", |(_, _, text)| text);
    drawn(&Form {
        page,
        language,
        words,
        ways: offered.iter().map(|way| offer(*way, words, text(*way))).collect(),
        components: page.components().map(|component| (component.id.as_str(), component.name.as_str())).collect(),
        trouble: said.map(|(trouble, _, _)| trouble),
        query: query(page.language, language),
    })
}

fn offer<'a>(way: Way, words: &'static Words, said: &'a str) -> Offer<'a> {
    let texts = &words.subscribing;
    let name = way.as_str();
    match way {
        Way::Mail => Offer {
            name,
            heading: texts.by_mail,
            label: texts.address,
            // Browsers take none of another alphabet for `email`.
            kind: "text",
            autocomplete: "email",
            most: 254,
            said,
        },
        Way::Webhook => Offer {
            name,
            heading: texts.by_webhook,
            label: texts.url,
            kind: "url",
            autocomplete: "off",
            most: 2_000,
            said,
        },
    }
}

/// A page of one deed.
pub(super) fn deed(page: &PublicPage, language: Language, deed: Deed<'_>) -> String {
    drawn(&Page {
        slug: &page.slug,
        title: &page.title,
        language,
        words: words(language),
        heading: deed.heading,
        text: deed.text.replace("{}", &page.title),
        secret: deed.secret,
        asks: deed.asks,
        query: query(page.language, language),
    })
}
