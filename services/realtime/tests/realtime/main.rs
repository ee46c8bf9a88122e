//! The realtime service through its raw endpoint. The services that it calls
//! are small fakes here, because these tests inject what real ones do rarely:
//! lost, doubled and reordered signals, failing reads, removals in the middle.

mod acks;
mod calls;
mod hello;
mod large;
mod live;
mod logins;
mod mutants;
mod presence;
mod random;
mod replay;
mod rooms;
mod sessions;
mod slow;
mod stores;
mod support;
mod tokens;
mod typing;
mod wire;
