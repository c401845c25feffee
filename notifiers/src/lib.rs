//! How komainu words what it tells people.
