//! The client against a small server in the same process, whose every answer a
//! test decides. One binary, so that it links once.

#![expect(clippy::disallowed_methods, reason = "servers and clients run beside each other")]

mod chat;
mod commands;
mod fold;
mod resume;
mod stream;
mod support;
mod vectors;
