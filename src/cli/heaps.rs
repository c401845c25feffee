//! The heaps of a process that runs for months.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Each connection to SQLite has a thread, and glibc gives each thread a heap of its own that is hardly ever given back: a
/// node with 10,000 monitors took 129 MiB, with two heaps 95. glibc reads it when a program starts, and only then.
const SETTING: &str = "MALLOC_ARENA_MAX";

const FEW: &str = "2";

/// Starts this program once more with few heaps, as the same process; says nothing and goes on where that cannot be, and
/// where somebody chose a number.
pub(super) fn keep_few() {
    let mut words = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), words.next()) else { return };
    if std::env::var_os(SETTING).is_none() {
        // It returns only when nothing became of it.
        let _ = Command::new(program).arg0(name).args(words).env(SETTING, FEW).exec();
    }
}
