//! What is done to public pages.

use axum::http::Method;
use serde_json::Value;

use super::components::{Written, written};
use super::filled::Filled;
use super::notice::{IMPACTS, INCIDENT_STAGES};
use super::{After, Choice, Deed, Scene, Want, Wish, encoded, one};
use crate::pages::Language;
use crate::store::apikeys::Scope;

/// How components are written.
const HOW: &str = "Shop = monitor/7, Payment = check/payment, Backup = heartbeat/backup: a public name and what it is about. A line that begins with # \
                   begins a group. | graph behind it draws how long answers took, any other words there describe it.";

/// The deed of this name; `None`: there is none.
pub(super) fn read(verb: &str, scene: &Scene<'_>) -> Result<Option<Deed>, String> {
    Ok(match verb {
        "add" => Some(add(scene)),
        "edit" => Some(edit(scene)?),
        "remove" => Some(remove(scene.text("page")?)),
        "tell" => Some(tell(scene)?),
        "plan" => Some(plan(scene)?),
        _ => None,
    })
}

/// The page's own in the dashboard.
pub(super) fn place(page: &str) -> String {
    format!("/watch/pages/{}", encoded(page))
}

fn add(scene: &Scene<'_>) -> Deed {
    let slug =
        Want::line("slug", "Its place: /pages/…", 60).hint("a-z 0-9 -, for example shop").needed().typed(scene, "");
    let (body, wants, faults) = content(scene, Filled::of(scene).texts(["slug"]), &Value::Null);
    Deed {
        title: "Make a public page?".to_owned(),
        button: "Make it",
        consequences: one(
            "Everybody who can reach a watchdog can read it, without a key: the public names and whether they are well, nothing else. \
             With a password, whoever knows that.",
        ),
        wants: [slug].into_iter().chain(wants).collect(),
        faults,
        done: "The page is made.".to_owned(),
        after: After::There(|made| Some(place(made.get("slug")?.as_str()?))),
        ..Deed::asking("page.add", Scope::Write, Wish::post("/pages").with(body))
    }
}

fn edit(scene: &Scene<'_>) -> Result<Deed, String> {
    let page = scene.text("page")?;
    let shown = scene.read.get("page").unwrap_or(&Value::Null);
    let (body, wants, faults) = content(scene, Filled::of(scene), shown);
    Ok(Deed {
        subject: vec![("page", page.to_owned())],
        title: format!("Change the page {page}?"),
        button: "Change it",
        consequences: one("Everybody sees it so within two seconds."),
        wants,
        faults,
        done: format!("The page {page} is changed."),
        after: After::Page(place(page)),
        ..Deed::asking(
            "page.edit",
            Scope::Write,
            Wish::of(Method::PATCH, &format!("/pages/{}", encoded(page))).with(body),
        )
    })
}

/// What can be said of a page, new or not.
fn content(scene: &Scene<'_>, filled: Filled<'_>, shown: &Value) -> (Value, Vec<Want>, Vec<(String, String)>) {
    let was = |field: &str| shown.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let languages = Language::ALL.map(Language::code);
    let language = Some(was("language")).filter(|code| !code.is_empty()).unwrap_or_else(|| "en".to_owned());
    let noindex = shown.get("noindex").and_then(Value::as_bool).unwrap_or_default();
    // What is emptied is to be empty.
    let sent = |name: &'static str| scene.form.sent(name).map(|text| text.trim().to_owned());
    let mut filled = filled.texts(["title", "language"]);
    for name in ["description", "footer"] {
        filled = match sent(name) {
            Some(text) => filled.with(name, text),
            None => filled,
        };
    }
    filled = filled.with("noindex", scene.form.field("noindex").is_some());
    filled = with_looks(scene, filled);
    let mut wants = vec![
        Want::line("title", "Title", 150).needed().typed(scene, &was("title")),
        Want::lines("description", "Below the title", 2_000).typed(scene, &was("description")),
        Want::lines("footer", "Below everything", 2_000).typed(scene, &was("footer")),
        Want::choice("language", "Language of whoever asks for no other", Choice::plain(languages))
            .typed(scene, &language),
        Want::flag("noindex", "Search engines are asked to leave it out")
            .typed(scene, if noindex { "yes" } else { "" }),
    ];
    wants.extend(looks(scene, shown));
    let groups = shown.get("groups").map_or_else(|| Some(String::new()), written);
    if let Some(groups) = groups {
        let mut want = Want::lines("groups", "What stands on it, one a line", 100_000).hint(HOW).typed(scene, &groups);
        let read = Written::read(&want.value);
        want.places = read.places;
        wants.push(want);
        filled = filled.with("groups", read.groups);
        filled.faults.extend(read.faults);
    }
    let (body, faults) = filled.finish();
    (body, wants, faults)
}

/// How it looks, who may see it, and how people may subscribe.
fn looks(scene: &Scene<'_>, shown: &Value) -> Vec<Want> {
    let was = |field: &str| shown.get(field).and_then(Value::as_str).unwrap_or_default();
    let list = |field: &str| {
        let items = shown.get(field).and_then(Value::as_array);
        let items: Vec<&str> = items.into_iter().flatten().filter_map(Value::as_str).collect();
        items.join("\n")
    };
    let (has_logo, has_password) = (!was("logo").is_empty(), shown.get("has_password") == Some(&Value::Bool(true)));
    let offers = [
        Choice::new("mail", "by mail, through [pages] mail of the configuration"),
        Choice::new("webhook", "by webhook"),
    ];
    let logo_hint = if has_logo { LOGO_STAYS } else { LOGO };
    let password_hint = if has_password { PASSWORD_STAYS } else { PASSWORD };
    let all = [
        Some(Want::several("subscribe", "How people may subscribe", offers.into()).typed(scene, &list("subscribe"))),
        Some(
            Want::line("accent", "Colour of the line below the title", 7)
                .hint("#1a6e36; or nothing")
                .typed(scene, was("accent")),
        ),
        Some(Want::lines("logo", "Logo", 70_000).hint(logo_hint).typed(scene, "")),
        has_logo.then(|| Want::flag("no_logo", "Take the logo away").typed(scene, "")),
        Some(Want::secret("password", "Password", 200).hint(password_hint).typed(scene, "")),
        has_password
            .then(|| Want::flag("no_password", "Take the password away: everybody may read it").typed(scene, "")),
        Some(
            Want::lines("embed_from", "Who may show it in a frame, one origin a line", 10_000)
                .hint("https://intra.example; nobody where nothing stands here")
                .typed(scene, &list("embed_from")),
        ),
    ];
    all.into_iter().flatten().collect()
}

/// What of them was filled in. A logo and a password stay unless another one stands there, or they are taken away.
fn with_looks<'a>(scene: &Scene<'_>, mut filled: Filled<'a>) -> Filled<'a> {
    if let Some(accent) = scene.form.sent("accent") {
        filled = filled.with("accent", accent.trim());
    }
    for (name, taken_away) in [("logo", "no_logo"), ("password", "no_password")] {
        filled = match (scene.form.field(name), scene.form.field(taken_away)) {
            (Some(text), _) => filled.with(name, text),
            (None, Some(_)) => filled.with(name, Value::Null),
            (None, None) => filled,
        };
    }
    // Boxes that are not ticked are not sent: whether they were there shows in the field beside them.
    if let Some(origins) = scene.form.sent("embed_from") {
        let origins = origins.lines().map(str::trim).filter(|line| !line.is_empty());
        let ways = scene.form.all("subscribe").into_iter();
        filled = filled
            .with("embed_from", origins.map(Value::from).collect::<Vec<_>>())
            .with("subscribe", ways.map(Value::from).collect::<Vec<_>>());
    }
    filled
}

const LOGO: &str = "A picture of at most 50 KiB as data:image/png;base64,…, which base64 -w0 logo.png makes of a file";
const LOGO_STAYS: &str =
    "Where nothing stands here it stays as it is. Another one: data:image/png;base64,…, at most 50 KiB";
const PASSWORD: &str = "8 to 200 characters; where nothing stands here everybody may read it";
const PASSWORD_STAYS: &str =
    "Where nothing stands here it stays as it is. Another one ends the sessions of all who entered the old one";

fn remove(page: &str) -> Deed {
    Deed {
        subject: vec![("page", page.to_owned())],
        title: format!("Delete the page {page}?"),
        button: "Delete it",
        is_grave: true,
        consequences: one("Nobody can read it any more, and all that was written on it is gone."),
        done: format!("The page {page} is gone."),
        after: After::Page("/watch/pages".to_owned()),
        ..Deed::asking("page.remove", Scope::Write, Wish::of(Method::DELETE, &format!("/pages/{}", encoded(page))))
    }
}

/// Ids and public names of what stands on a page.
fn components(scene: &Scene<'_>) -> Vec<Choice> {
    let groups = scene.read.get("page").and_then(|page| page.get("groups")).and_then(Value::as_array);
    let all = groups.into_iter().flatten().filter_map(|group| group.get("components")?.as_array()).flatten();
    let text = |component: &Value, field: &str| component.get(field).and_then(Value::as_str).map(str::to_owned);
    all.filter_map(|one| Some(Choice::new(text(one, "id")?, text(one, "name")?))).collect()
}

fn tell(scene: &Scene<'_>) -> Result<Deed, String> {
    let page = scene.text("page")?;
    let filled = Filled::of(scene).texts(["title", "impact", "status", "text"]).ticked("components");
    let (body, faults) = filled.finish();
    Ok(Deed {
        subject: vec![("page", page.to_owned())],
        title: format!("Write an incident on {page}?"),
        button: "Publish it",
        consequences: one(
            "Everybody can read it at once, and subscribers are told. What it is about is shown at least as bad as it says until it is resolved.",
        ),
        wants: vec![
            Want::line("title", "In one line", 200).hint("Orders are slow").needed().typed(scene, ""),
            Want::choice("impact", "How much it matters", Choice::named(IMPACTS)).typed(scene, "minor"),
            Want::choice("status", "How far it has come", Choice::named(INCIDENT_STAGES)).typed(scene, "investigating"),
            Want::several("components", "What it is about; none: the whole", components(scene)).typed(scene, ""),
            Want::lines("text", "What is said of it", 5_000).hint("We look into it.").typed(scene, ""),
        ],
        faults,
        done: "The incident is published.".to_owned(),
        after: After::Page(place(page)),
        ..Deed::asking("page.tell", Scope::Write, Wish::post(&format!("/pages/{}/incidents", encoded(page))).with(body))
    })
}

fn plan(scene: &Scene<'_>) -> Result<Deed, String> {
    let page = scene.text("page")?;
    let filled = Filled::of(scene).texts(["title", "text"]).ticked("components");
    let (body, faults) = filled.moments("time_zone", ["starts_at", "ends_at"]).finish();
    let wish = Wish::post(&format!("/pages/{}/maintenances", encoded(page))).with(body);
    Ok(Deed {
        subject: vec![("page", page.to_owned())],
        title: format!("Plan a maintenance on {page}?"),
        button: "Publish it",
        consequences: one(
            "Everybody can read it at once, and subscribers are told. It begins and ends by the clock; meanwhile what it is about is shown as under maintenance, \
             whatever is found. It silences nothing: people with a key are told as ever.",
        ),
        wants: vec![
            Want::line("title", "In one line", 200).hint("New disks").needed().typed(scene, ""),
            Want::moment("starts_at", "Begins").needed().typed(scene, ""),
            Want::moment("ends_at", "Ends").needed().typed(scene, ""),
            Want::line("time_zone", "In this time zone", 60)
                .hint("UTC, Europe/Berlin, Asia/Taipei")
                .needed()
                .typed(scene, "UTC"),
            Want::several("components", "What it is about; none: the whole", components(scene)).typed(scene, ""),
            Want::lines("text", "What is said of it", 5_000).typed(scene, ""),
        ],
        faults,
        done: "The maintenance is planned.".to_owned(),
        after: After::Page(place(page)),
        ..Deed::asking("page.plan", Scope::Write, wish)
    })
}
