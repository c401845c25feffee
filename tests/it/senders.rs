//! Programs that send signed heartbeats, run as users run them: the command line, and what the documents print.

mod documents;
mod receiver;
mod wrapping;
