//! gRPC in, domain out: [`public`] for users, with their lists in [`list`];
//! [`mesh`] for the log's effects.

mod list;
pub(crate) mod mesh;
pub(crate) mod public;
