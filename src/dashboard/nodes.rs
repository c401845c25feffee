//! Nodes: what each runs, how it is and who says so, and hands for each.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use komainu_watchdogs::facts::{NodeStatus, Overlay, Vote};
use komainu_watchdogs::view::NodeView;

use super::frame::{Frame, Section, page};
use super::visit::Visitor;
use super::words::{At, grouped};

#[derive(Template)]
#[template(path = "nodes.html")]
struct Nodes {
    frame: Frame,
    nodes: Vec<NodeRow>,
}

/// A node in a table.
pub(super) struct NodeRow {
    pub(super) id: String,
    pub(super) status: NodeStatus,
    /// Empty: neither drained nor being drained.
    pub(super) overlay: &'static str,
    pub(super) monitors: u32,
    pub(super) home_monitors: u32,
    pub(super) capacity: u32,
    /// Percent of its capacity, at most 100 for the bar.
    pub(super) filled: u32,
    pub(super) reach: &'static str,
    pub(super) votes_down: (u32, u32),
    pub(super) lease: &'static str,
    pub(super) overdue: u32,
    pub(super) last_seen: Option<At>,
}

impl NodeRow {
    pub(super) fn of(node: &NodeView) -> Self {
        let filled = u64::from(node.monitors) * 100 / u64::from(node.capacity.max(1));
        Self {
            id: node.node_id.to_string(),
            status: node.status,
            overlay: match node.overlay {
                Overlay::None => "",
                Overlay::Draining => "draining",
                Overlay::Drained => "drained",
            },
            monitors: node.monitors,
            home_monitors: node.home_monitors,
            capacity: node.capacity,
            filled: u32::try_from(filled.min(100)).unwrap_or(100),
            reach: match node.reach {
                Vote::Up => "reached",
                Vote::Down => "not reached",
                Vote::Unknown => "nobody can say",
            },
            votes_down: node.votes_down,
            lease: node.lease,
            overdue: node.overdue,
            last_seen: node.last_seen_ms.map(At),
        }
    }

    /// Drained, or on the way.
    pub(super) fn is_drained(&self) -> bool {
        !self.overlay.is_empty()
    }
}

pub(super) async fn list(State(desk): super::Counter, Extension(visitor): Extension<Visitor>) -> Response {
    let view = desk.inside.view();
    page(&Nodes {
        nodes: view.nodes.iter().map(NodeRow::of).collect(),
        frame: Frame::of(&desk, &visitor, Section::Nodes, &view),
    })
}
