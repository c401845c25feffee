//! The process that evaluates queries: limits itself, then answers one question after another until nobody asks any more.
//!
//! Its socket is its standard input. It ends when the node does, within its processor time also in the middle of a query, and by itself where
//! a query left much memory in use.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::wire::{self, SHOWN_MOST};
use super::{Compared, Query, evaluate};
use crate::clock;

/// What a query may take beside the program itself. The largest answer that is looked at, 16 MiB, fits as JSON of the usual kind.
pub(super) const MEMORY_MIB: u64 = 256;

/// For one query; the evaluator's own limit, a second by the clock on the wall, comes first where it looks at that.
pub(super) const PROCESSOR_S: u64 = 2;

/// What is in use after an answer and is more than this may be missing in the next one: a fresh process begins with all of it.
const LEFT_BEHIND_MIB: u64 = 64;

const MIB: u64 = 1024 * 1024;

/// Serves until the other end hangs up.
pub fn serve() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    limit_memory()?;
    while let Some((query, body)) = wire::hear::<Query>(&mut socket)? {
        limit_time()?;
        let compared = catch_unwind(AssertUnwindSafe(|| evaluate(&body, &query)));
        let is_whole = compared.is_ok();
        let compared = compared.unwrap_or_else(|_| Err("Error evaluating JSON query: the evaluator broke".to_owned()));
        wire::answer(&mut socket, &shown(compared))?;
        drop(body);
        if !is_whole || size_in_mib("VmRSS")? > LEFT_BEHIND_MIB {
            break;
        }
    }
    Ok(())
}

/// No more than anybody will see.
fn shown(compared: Result<Compared, String>) -> Result<Compared, String> {
    let cut = |mut text: String| {
        let whole = (0..=SHOWN_MOST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(whole.unwrap_or(0));
        text
    };
    compared.map(|compared| Compared { found: cut(compared.found), ..compared }).map_err(cut)
}

fn limit_memory() -> io::Result<()> {
    // Where the node's container or unit has less than this, the kernel is to end this process and not the node.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    // What it dies of says enough.
    set(Resource::Core, 0)?;
    set(Resource::As, (size_in_mib("VmSize")? + MEMORY_MIB) * MIB)
}

fn limit_time() -> io::Result<()> {
    set(Resource::Cpu, clock::processor_time().as_secs() + 1 + PROCESSOR_S)
}

/// Sets the soft limit, which the kernel enforces, within the hard one.
fn set(resource: Resource, limit: u64) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum;
    let current = Some(maximum.map_or(limit, |maximum| limit.min(maximum)));
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}

/// proc(5): `VmSize` is all that is mapped, `VmRSS` what is in memory.
fn size_in_mib(field: &str) -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.ok_or_else(|| io::Error::other(format!("/proc/self/status shows no {field}")))?.div_ceil(1024))
}
