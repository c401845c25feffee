//! What tests stand on: databases that exist for one test, and Kuma's schema to put into them.

pub(crate) mod kuma;
pub(crate) mod mariadb;
pub(crate) mod raw;
