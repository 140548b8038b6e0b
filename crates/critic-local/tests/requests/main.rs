//! What a request can ask of the local engine, and what it cannot do to its neighbours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod contracts;
mod prefixes;
mod soak;
