//! The service through its own contract, and its port on the embedded engine.
//! Others' end of every call is a fake; the whole mesh is tested elsewhere.

mod commands;
mod conformance;
mod list;
mod support;
