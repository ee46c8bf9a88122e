//! The service through its own contract, and its port on the embedded engine.
//! The log's end of every call is a fake; the whole mesh is tested elsewhere.

mod cache;
mod calls;
mod conformance;
mod support;
