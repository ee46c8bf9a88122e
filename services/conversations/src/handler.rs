//! gRPC in, domain out: [`public`] for users, with their lists in [`list`] and
//! what these remember for a moment in [`orders`]; [`mesh`] for the log's effects.

mod list;
pub(crate) mod mesh;
mod orders;
pub(crate) mod public;

pub(crate) use orders::Orders;
