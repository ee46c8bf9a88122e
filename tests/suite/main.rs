//! All integration tests, in one binary.

#![expect(clippy::disallowed_methods, reason = "tests run real processes, threads and clocks")]

mod backends;
mod bad_input;
mod bench;
mod browser;
mod clients;
mod compose;
mod disk;
mod docs;
mod features;
mod first_conversation;
mod gateway;
mod identity;
mod mesh;
mod model;
mod p12_contract;
mod p7_policy;
mod promises;
mod raw;
mod stores;
mod web;
