//! What tests stand on: databases that exist for one test, Kuma's schema to put into them, a target behind TLS, hosts and name servers of their
//! own.

pub(crate) mod kuma;
pub(crate) mod name_server;
pub(crate) mod network;
pub(crate) mod raw;
pub(crate) mod tls_target;
