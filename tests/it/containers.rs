//! The image and the stack of compose/ under Debian's Podman, by the commands that docs/compose.md shows.
//!
//! Where Podman, debootstrap or podman-compose are not to be had, the test says so and tries nothing. No registry of images is
//! asked: the bases come from debootstrap, and `MariaDB`, `OpenResty`, Kuma and the Rust toolchain have stand-ins in
//! `fixtures/containers/`, under the names that compose.yaml and the Dockerfile use.

mod engine;
mod images;
mod page;
mod story;
