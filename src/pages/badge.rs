//! Badges of one component: a picture, and the JSON that shields.io draws one from. Takes public types only.

use serde_json::{Value, json};

use super::feeds::escaped;
use super::public::PublicComponent;
use super::standing::Standing;
use super::words::Words;

/// White on it has a contrast of 4.5 and more.
fn colour(standing: Standing) -> &'static str {
    match standing {
        Standing::Operational => "#1a6e36",
        Standing::Maintenance => "#0b57a4",
        Standing::Unknown => "#5b636b",
        Standing::Degraded | Standing::Partial => "#7a4b00",
        Standing::Major => "#a31515",
    }
}

/// As <https://shields.io/badges/endpoint-badge> wants it.
pub(super) fn shields(component: &PublicComponent, words: &Words) -> Value {
    json!({
        "schemaVersion": 1,
        "label": component.name,
        "message": words.standing(component.standing),
        "color": colour(component.standing),
        "isError": component.standing >= Standing::Partial,
        "cacheSeconds": 300,
    })
}

/// Letters of a line: the rest of a long name is left out, and is in the picture's title.
const MOST_LETTERS: usize = 40;

/// A picture of one line.
pub(super) fn svg(component: &PublicComponent, words: &Words) -> String {
    let (name, standing) = (shortened(&component.name), words.standing(component.standing));
    let (left, right) = (width(&name), width(standing));
    let (whole, middle) = (left + right, left + right / 2);
    let (title, name, standing) =
        (escaped(&format!("{}: {standing}", component.name)), escaped(&name), escaped(standing));
    let colour = colour(component.standing);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"20\" role=\"img\" aria-label=\"{title}\">\
         <title>{title}</title><rect width=\"{left}\" height=\"20\" fill=\"#353b41\"/>\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\
         <text x=\"{}\" y=\"14\">{name}</text><text x=\"{middle}\" y=\"14\">{standing}</text></g></svg>",
        left / 2
    )
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= MOST_LETTERS {
        return name.to_owned();
    }
    let short: String = name.chars().take(MOST_LETTERS - 1).collect();
    format!("{short}…")
}

/// What a line of that text takes, roughly: letters of East Asia are twice as wide.
fn width(text: &str) -> usize {
    text.chars().map(|letter| if u32::from(letter) >= 0x2e80 { 12 } else { 7 }).sum::<usize>() + 12
}
