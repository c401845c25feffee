//! What tests stand on: databases that exist for one test, Kuma's schema to put into them, a target behind TLS.

pub(crate) mod kuma;
pub(crate) mod raw;
pub(crate) mod tls_target;
