//! gRPC in, domain out: [`public`] for users, [`mesh`] for the log's effects.

pub(crate) mod mesh;
pub(crate) mod public;
