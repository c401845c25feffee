//! The gateway in real nginx with Lua: whom a request goes to, what happens when nodes and watchdogs die.
//!
//! Tables that a story needs exactly are shown by stand-ins; the whole topology is real in [`topology`].

mod choosing;
mod failing;
mod guarding;
mod nginx;
mod paths;
mod pure;
mod pushes;
mod sessions;
mod stage;
mod standin;
mod strangers;
mod tls;
mod topology;
