//! What the tests of the whole need: the model of the log, and helpers that run
//! Confab as its users do. Never part of a release.

#![expect(clippy::disallowed_methods, reason = "tests run real processes, threads and clocks")]

pub mod harness;
pub mod model;
