//! What a hand can do from a page: what it asks of the API, what that needs, and what becomes of it, in words.
//!
//! Pure. A deed is a request that anybody with such a key could send; the API judges it.

use axum::http::Method;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::view::View;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::form::Form;
use super::words::counted;
use crate::store::apikeys::Scope;

/// What may stand in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Something that an operator does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// Somebody takes care of an incident.
    Acknowledge { incident: i64, key: String },
    /// An incident is over, because a person says so.
    Resolve { incident: i64, key: String, why: String },
    /// A node gives its monitors away.
    Drain { node: String },
    /// A drained node takes monitors again.
    Resume { node: String },
    /// A node's monitors come home now.
    Recover { node: String },
    /// Nothing moves by itself.
    Freeze,
    /// Automation acts again.
    Thaw,
    /// Monitors are spread evenly.
    Rebalance,
    /// A monitor stops running, or runs again.
    Monitor { act: MonitorAct, monitor: i64, name: String },
    /// A check is looked at no more, or again.
    Check { name: String, pause: bool },
    /// A monitor gets another home.
    Move { monitor: i64, name: String, node: String },
    /// A watchdog that is gone for good no longer counts.
    ForgetWatchdog { watchdog: String },
}

/// Something that is known by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Numbered {
    /// An incident.
    Incident(i64),
    /// A monitor.
    Monitor(MonitorId),
}

/// What is done to a monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MonitorAct {
    /// It is not to run.
    Pause,
    /// It is to run again.
    Resume,
    /// Only a hand moves it.
    Pin,
    /// It moves as others do.
    Unpin,
}

impl MonitorAct {
    const ALL: [Self; 4] = [Self::Pause, Self::Resume, Self::Pin, Self::Unpin];

    fn deed(self) -> &'static str {
        match self {
            Self::Pause => "monitor.pause",
            Self::Resume => "monitor.resume",
            Self::Pin => "monitor.pin",
            Self::Unpin => "monitor.unpin",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Pin => "Pin",
            Self::Unpin => "Unpin",
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::Pause => "It is not looked at until somebody resumes it, and nobody is told of it.",
            Self::Resume => "It is looked at again, on the node that has it.",
            Self::Pin => "It stays where it runs: nothing but a hand moves it, also when its node is lost.",
            Self::Unpin => "It is moved when its node is lost or drained, as others are.",
        }
    }

    fn done(self, name: &str) -> String {
        match self {
            Self::Pause => format!("{name} is paused."),
            Self::Resume => format!("{name} is looked at again."),
            Self::Pin => format!("{name} is pinned where it runs."),
            Self::Unpin => format!("{name} is no longer pinned."),
        }
    }
}

/// What is asked of the API.
pub(super) struct Wish {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// What stands on the page that asks once more.
pub(super) struct Question {
    pub(super) title: String,
    /// What becomes of it, one sentence each.
    pub(super) consequences: Vec<String>,
    pub(super) button: &'static str,
    /// It takes something away for as long as nobody undoes it.
    pub(super) is_grave: bool,
    /// What a person fills in.
    pub(super) wants: Option<Want>,
}

/// A field that a person fills in.
pub(super) struct Want {
    pub(super) name: &'static str,
    /// What belongs there.
    pub(super) label: &'static str,
    /// What may be chosen; empty: any words.
    pub(super) choices: Vec<String>,
}

impl Deed {
    /// The one that a form or a link names; `Err`: which field is missing or unknown.
    pub(super) fn read(form: &Form) -> Result<Self, String> {
        let text = |name: &str| form.field(name).map(str::to_owned).ok_or_else(|| format!("{name}: is missing"));
        let number = |name: &str| text(name)?.parse().map_err(|_| format!("{name}: must be a number"));
        let deed = text("deed")?;
        Ok(match deed.as_str() {
            "incident.ack" => {
                let incident = number("incident")?;
                Self::Acknowledge { incident, key: format!("incident {incident}") }
            }
            "incident.resolve" => {
                let why = form.field("why").unwrap_or_default().to_owned();
                let incident = number("incident")?;
                Self::Resolve { incident, key: format!("incident {incident}"), why }
            }
            "node.drain" => Self::Drain { node: text("node")? },
            "node.resume" => Self::Resume { node: text("node")? },
            "node.recover" => Self::Recover { node: text("node")? },
            "cluster.freeze" => Self::Freeze,
            "cluster.thaw" => Self::Thaw,
            "cluster.rebalance" => Self::Rebalance,
            "watchdog.remove" => Self::ForgetWatchdog { watchdog: text("watchdog")? },
            "check.pause" => Self::Check { name: text("check")?, pause: true },
            "check.resume" => Self::Check { name: text("check")?, pause: false },
            "monitor.move" => {
                let node = form.field("node").unwrap_or_default().to_owned();
                let monitor = number("monitor")?;
                Self::Move { monitor, name: format!("monitor {monitor}"), node }
            }
            other => {
                let act = MonitorAct::ALL.into_iter().find(|act| act.deed() == other);
                let act = act.ok_or("deed: there is none of this name")?;
                let monitor = number("monitor")?;
                Self::Monitor { act, monitor, name: format!("monitor {monitor}") }
            }
        })
    }

    /// What it is done to, where that has a number: of which the name is looked up, for a link may say any.
    pub(super) fn numbered(&self) -> Option<Numbered> {
        match self {
            Self::Acknowledge { incident, .. } | Self::Resolve { incident, .. } => Some(Numbered::Incident(*incident)),
            Self::Monitor { monitor, .. } | Self::Move { monitor, .. } => Some(Numbered::Monitor(MonitorId(*monitor))),
            Self::Drain { .. }
            | Self::Resume { .. }
            | Self::Recover { .. }
            | Self::Freeze
            | Self::Thaw
            | Self::Rebalance
            | Self::Check { .. }
            | Self::ForgetWatchdog { .. } => None,
        }
    }

    /// The same, of something that is called so.
    pub(super) fn called(mut self, called: String) -> Self {
        match &mut self {
            Self::Acknowledge { key: name, .. }
            | Self::Resolve { key: name, .. }
            | Self::Monitor { name, .. }
            | Self::Move { name, .. } => *name = called,
            Self::Drain { .. }
            | Self::Resume { .. }
            | Self::Recover { .. }
            | Self::Freeze
            | Self::Thaw
            | Self::Rebalance
            | Self::Check { .. }
            | Self::ForgetWatchdog { .. } => {}
        }
        self
    }

    /// As a form sends it again.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let incident = |incident: &i64| vec![("incident", incident.to_string())];
        let (name, fields) = match self {
            Self::Acknowledge { incident: id, .. } => ("incident.ack", incident(id)),
            Self::Resolve { incident: id, .. } => ("incident.resolve", incident(id)),
            Self::Drain { node } => ("node.drain", vec![("node", node.clone())]),
            Self::Resume { node } => ("node.resume", vec![("node", node.clone())]),
            Self::Recover { node } => ("node.recover", vec![("node", node.clone())]),
            Self::Freeze => ("cluster.freeze", vec![]),
            Self::Thaw => ("cluster.thaw", vec![]),
            Self::Rebalance => ("cluster.rebalance", vec![]),
            Self::Monitor { act, monitor, .. } => (act.deed(), vec![("monitor", monitor.to_string())]),
            Self::Check { name, pause } => {
                (if *pause { "check.pause" } else { "check.resume" }, vec![("check", name.clone())])
            }
            Self::Move { monitor, .. } => ("monitor.move", vec![("monitor", monitor.to_string())]),
            Self::ForgetWatchdog { watchdog } => ("watchdog.remove", vec![("watchdog", watchdog.clone())]),
        };
        [vec![("deed", name.to_owned())], fields].concat()
    }

    /// The least that a key must allow for it.
    pub(super) fn needs(&self) -> Scope {
        match self {
            Self::Acknowledge { .. }
            | Self::Resolve { .. }
            | Self::Monitor { .. }
            | Self::Check { .. }
            | Self::Move { .. } => Scope::Write,
            Self::Drain { .. }
            | Self::Resume { .. }
            | Self::Recover { .. }
            | Self::Freeze
            | Self::Thaw
            | Self::Rebalance
            | Self::ForgetWatchdog { .. } => Scope::Admin,
        }
    }

    /// What is asked of the API.
    pub(super) fn wish(&self) -> Wish {
        let post = |path: String| Wish { method: Method::POST, path: format!("/api/v1{path}"), body: None };
        let node = |node: &str, act: &str| post(format!("/nodes/{}/{act}", encoded(node)));
        match self {
            Self::Acknowledge { incident, .. } => post(format!("/incidents/{incident}/ack")),
            Self::Resolve { incident, why, .. } => {
                Wish { body: Some(json!({ "why": why })), ..post(format!("/incidents/{incident}/resolve")) }
            }
            Self::Drain { node: id } => node(id, "drain"),
            Self::Resume { node: id } => node(id, "resume"),
            Self::Recover { node: id } => node(id, "recover"),
            Self::Freeze => post("/cluster/freeze".to_owned()),
            Self::Thaw => post("/cluster/thaw".to_owned()),
            Self::Rebalance => post("/cluster/rebalance".to_owned()),
            Self::Monitor { act, monitor, .. } => {
                let path = format!("/api/v1/monitors/{monitor}");
                let change = |active: bool| Some(json!({ "active": active }));
                match act {
                    MonitorAct::Pause => Wish { method: Method::PATCH, path, body: change(false) },
                    MonitorAct::Resume => Wish { method: Method::PATCH, path, body: change(true) },
                    MonitorAct::Pin => Wish { method: Method::PUT, path: format!("{path}/pin"), body: None },
                    MonitorAct::Unpin => Wish { method: Method::DELETE, path: format!("{path}/pin"), body: None },
                }
            }
            Self::Check { name, pause } => {
                let path = format!("/api/v1/checks/{}", encoded(name));
                Wish { method: Method::PATCH, path, body: Some(json!({ "paused": pause })) }
            }
            Self::Move { monitor, node, .. } => {
                Wish { body: Some(json!({ "node_id": node })), ..post(format!("/monitors/{monitor}/move")) }
            }
            Self::ForgetWatchdog { watchdog } => {
                let wish = post(format!("/watchdogs/{}", encoded(watchdog)));
                Wish { method: Method::DELETE, ..wish }
            }
        }
    }

    /// The same without doing it, where the API can say what would become of it.
    pub(super) fn rehearsal(&self) -> Option<Wish> {
        let wish = self.wish();
        (*self == Self::Rebalance).then(|| Wish { path: format!("{}?dry_run=true", wish.path), ..wish })
    }

    /// What the page after it says.
    pub(super) fn done(&self) -> String {
        match self {
            Self::Acknowledge { key, .. } => format!("{key} is acknowledged: nobody is reminded of it."),
            Self::Resolve { key, .. } => format!("{key} is resolved, and told so."),
            Self::Drain { node } => format!("{node} gives its monitors away now."),
            Self::Resume { node } => format!("{node} takes monitors again."),
            Self::Recover { node } => format!("The monitors of {node} come home now."),
            Self::Freeze => "Frozen: nothing moves by itself.".to_owned(),
            Self::Thaw => "Thawed: automation acts again.".to_owned(),
            Self::Rebalance => "Monitors are being spread evenly.".to_owned(),
            Self::Monitor { act, name, .. } => act.done(name),
            Self::Check { name, pause: true } => format!("{name} is paused."),
            Self::Check { name, pause: false } => format!("{name} is looked at again."),
            Self::Move { name, node, .. } => format!("{name} moves to {node}."),
            Self::ForgetWatchdog { watchdog } => format!("{watchdog} no longer counts as a voter."),
        }
    }

    /// What is asked once before it is done.
    pub(super) fn question(&self, view: &View) -> Question {
        let title = match self {
            Self::Acknowledge { key, .. } => format!("Acknowledge {key}?"),
            Self::Resolve { key, .. } => format!("Resolve {key}?"),
            Self::Drain { node } => format!("Drain {node}?"),
            Self::Resume { node } => format!("Resume {node}?"),
            Self::Recover { node } => format!("Bring the monitors of {node} home now?"),
            Self::Freeze => "Freeze the cluster?".to_owned(),
            Self::Thaw => "Thaw the cluster?".to_owned(),
            Self::Rebalance => "Spread the monitors evenly?".to_owned(),
            Self::Monitor { act, name, .. } => format!("{} {name}?", act.verb()),
            Self::Check { name, pause: true } => format!("Pause {name}?"),
            Self::Check { name, pause: false } => format!("Resume {name}?"),
            Self::Move { name, .. } => format!("Move {name}?"),
            Self::ForgetWatchdog { watchdog } => format!("Forget {watchdog}?"),
        };
        Question {
            title,
            consequences: self.consequences(view),
            button: self.button(),
            is_grave: matches!(self, Self::Drain { .. } | Self::Freeze | Self::ForgetWatchdog { .. }),
            wants: self.wants(view),
        }
    }

    fn wants(&self, view: &View) -> Option<Want> {
        if matches!(self, Self::Resolve { .. }) {
            let label = "Why it is over, for whoever is told and for the audit trail";
            return Some(Want { name: "why", label, choices: vec![] });
        }
        let choices = || view.nodes.iter().map(|node| node.node_id.to_string()).collect();
        matches!(self, Self::Move { .. }).then(|| Want { name: "node", label: "To which node", choices: choices() })
    }

    fn button(&self) -> &'static str {
        match self {
            Self::Acknowledge { .. } => "Acknowledge",
            Self::Resolve { .. } => "Resolve",
            Self::Drain { .. } => "Drain",
            Self::Resume { .. } | Self::Check { pause: false, .. } => "Resume",
            Self::Recover { .. } => "Recover",
            Self::Freeze => "Freeze",
            Self::Thaw => "Thaw",
            Self::Rebalance => "Rebalance",
            Self::Monitor { act, .. } => act.verb(),
            Self::Check { pause: true, .. } => "Pause",
            Self::Move { .. } => "Move",
            Self::ForgetWatchdog { .. } => "Forget",
        }
    }

    /// What becomes of it, one sentence each.
    fn consequences(&self, view: &View) -> Vec<String> {
        let one = |words: &str| vec![words.to_owned()];
        match self {
            Self::Acknowledge { .. } => {
                one("It stays open and shown; nobody is reminded of it. Everybody sees that you take care of it.")
            }
            Self::Resolve { .. } => one(
                "Its end is told wherever its beginning was. Where what is wrong still is, the next look opens it anew.",
            ),
            Self::Drain { node } => drained(view, node),
            Self::Resume { .. } => one("It takes monitors again, and those whose home it is come back."),
            Self::Recover { .. } => {
                one("Its monitors come home without waiting for the time that a node is watched after it was lost.")
            }
            Self::Freeze => [
                one("Nothing moves by itself until somebody thaws it: what a lost node ran is not watched meanwhile."),
                one("What you ask for by hand is done. /status is degraded."),
            ]
            .concat(),
            Self::Thaw => [one("Automation acts again, at once."), waiting(view)].concat(),
            Self::Rebalance => one("Monitors that are pinned, or asked for elsewhere, stay where they are."),
            Self::Monitor { act, .. } => one(act.consequence()),
            Self::Check { pause: true, .. } => {
                one("No watchdog looks at it until somebody resumes it, and nobody is told of it.")
            }
            Self::Check { pause: false, .. } => one("Every watchdog looks at it again."),
            Self::Move { .. } => one(
                "That node becomes its home. It stops where it runs before it starts there, so it is never looked at twice.",
            ),
            Self::ForgetWatchdog { .. } => {
                one("It no longer counts as a voter. If its process starts again, it enters itself again.")
            }
        }
    }
}

/// What a drain takes along.
fn drained(view: &View, node: &str) -> Vec<String> {
    let found = view.nodes.iter().find(|row| row.node_id.as_str() == node);
    let monitors = found.map_or(0, |row| row.monitors);
    let others = view.nodes.iter().filter(|row| row.node_id.as_str() != node);
    let room: u32 = others.map(|row| row.capacity.saturating_sub(row.monitors)).sum();
    let mut words = vec![
        format!(
            "{} move to other nodes, one after the other; each stops here before it starts there.",
            counted(monitors.into(), "monitor")
        ),
        format!("{node} gets none until somebody resumes it, also when others are lost."),
    ];
    if room < monitors {
        words.push(format!("The others have room for {room} only."));
    }
    words
}

/// What automation does as soon as it may.
fn waiting(view: &View) -> Vec<String> {
    let moves: u32 = view.would_move.iter().map(|would| would.monitors).sum();
    if moves == 0 { vec![] } else { vec![format!("{} will be moved then.", counted(moves.into(), "monitor"))] }
}

/// A name as a part of a path.
pub(super) fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Deed, String> {
        Deed::read(&Form::of_query(Some(query)))
    }

    #[test]
    fn a_deed_that_was_asked_about_is_sent_as_it_was_read() {
        let all = [
            "deed=incident.ack&incident=7",
            "deed=incident.resolve&incident=7",
            "deed=node.drain&node=node1",
            "deed=node.resume&node=a%20b",
            "deed=node.recover&node=node1",
            "deed=cluster.freeze",
            "deed=cluster.thaw",
            "deed=cluster.rebalance",
            "deed=watchdog.remove&watchdog=w3",
            "deed=monitor.pause&monitor=7",
            "deed=monitor.unpin&monitor=7",
            "deed=check.pause&check=shop",
            "deed=monitor.move&monitor=7",
        ];
        for query in all {
            let deed = read(query).unwrap();
            let again = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(deed.fields()).finish();
            assert_eq!(read(&again).unwrap(), deed, "{query}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(read("").unwrap_err(), "deed: is missing");
        assert_eq!(read("deed=rm").unwrap_err(), "deed: there is none of this name");
        assert_eq!(read("deed=node.drain&node=+").unwrap_err(), "node: is missing");
        assert_eq!(read("deed=incident.ack&incident=x").unwrap_err(), "incident: must be a number");
    }

    #[test]
    fn no_name_leads_to_another_path() {
        let wish = read("deed=node.drain&node=..%2F..%2Fcluster%2Ffreeze%3F").unwrap().wish();
        assert_eq!(wish.path, "/api/v1/nodes/..%2F..%2Fcluster%2Ffreeze%3F/drain");
    }
}
