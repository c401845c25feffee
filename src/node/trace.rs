//! The trace: one JSON line for each thing a node does to a monitor, for an operator who asks who ran what when.
//!
//! Lines are written at the moment of the event and flushed one by one, so that the trace of a killed process is
//! complete. A `run` line stands before its request is sent. Without a trace file nothing is written; who waits for a beat
//! to be stored hears of it all the same.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId, Stamp};
use komainu_watchdogs::time::Wall;
use serde::Serialize;

use super::receipts::Receipts;
use crate::clock;

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A run begins now.
    Run,
    /// A beat is in the database.
    Stored,
    /// The monitor is not run here any more, and nothing of it will be stored.
    Stop,
    /// The monitor is run here from now on.
    Start,
    /// The node acknowledged an assignment.
    Ack,
    /// The node's lease is too old: nothing runs until it is renewed.
    Fenced,
}

#[derive(Serialize)]
struct TraceLine<'a> {
    /// Microseconds UTC, to compare with other hosts.
    at_us: i64,
    /// Microseconds on this host's suspend-counting clock, to order what one host did.
    mono_us: u64,
    node: &'a NodeId,
    incarnation: Incarnation,
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor: Option<MonitorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<Stamp>,
    /// The time of the beat that was stored, milliseconds UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    beat_ms: Option<i64>,
}

/// Where the lines go.
pub struct Trace {
    node: NodeId,
    incarnation: Incarnation,
    file: Option<Mutex<File>>,
    receipts: Receipts,
}

impl Trace {
    /// Opens the file for appending; without a path nothing is traced.
    pub fn open(path: Option<&Path>, node: NodeId, incarnation: Incarnation) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let file = path.map(open).transpose()?.map(Mutex::new);
        Ok(Self { node, incarnation, file, receipts: Receipts::default() })
    }

    /// Something that concerns one monitor.
    pub fn monitor(&self, event: Event, monitor: MonitorId) {
        self.write(event, |line| line.monitor = Some(monitor));
    }

    /// Those who wait for a beat to be stored.
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    /// A beat is in the database.
    pub fn stored(&self, monitor: MonitorId, beat_ms: i64) {
        self.receipts.stored(monitor, Wall(beat_ms));
        self.write(Event::Stored, |line| {
            line.monitor = Some(monitor);
            line.beat_ms = Some(beat_ms);
        });
    }

    /// An assignment is acknowledged.
    pub fn acknowledged(&self, stamp: Stamp) {
        self.write(Event::Ack, |line| line.stamp = Some(stamp));
    }

    /// Something that concerns the whole node.
    pub fn node(&self, event: Event) {
        self.write(event, |_| {});
    }

    fn write(&self, event: Event, complete: impl FnOnce(&mut TraceLine<'_>)) {
        let Some(file) = &self.file else { return };
        let mut line = TraceLine {
            at_us: clock::wall_micros(),
            mono_us: clock::now().as_micros(),
            node: &self.node,
            incarnation: self.incarnation,
            event,
            monitor: None,
            stamp: None,
            beat_ms: None,
        };
        complete(&mut line);
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write call a line: `File` does not buffer, and lines of an appended file do not mix.
        if let Err(error) = file.write_all(&text) {
            tracing::warn!(%error, "the trace could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_who_did_what_to_which_monitor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.jsonl");
        let trace = Trace::open(Some(&path), NodeId::from("node1"), Incarnation(7)).unwrap();
        trace.monitor(Event::Run, MonitorId(42));
        trace.stored(MonitorId(42), 1_700_000_000_000);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["event"], &lines[0]["monitor"]), (&"run".into(), &42.into()));
        assert_eq!((&lines[0]["node"], &lines[0]["incarnation"]), (&"node1".into(), &"0000000000000007".into()));
        assert_eq!((&lines[1]["event"], &lines[1]["beat_ms"]), (&"stored".into(), &1_700_000_000_000_i64.into()));
        assert!(lines[0]["at_us"].is_i64() && lines[0]["mono_us"].is_u64());
    }
}
