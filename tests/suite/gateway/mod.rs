//! The gateway on the wire, without a browser: what it answers, refuses and bounds, and
//! what it does for no other site. With a browser: `super::browser`.

mod calls;
mod files;
mod sites;
mod streams;
mod wire;
