//! The realtime service through its raw endpoint. The services that it calls
//! are small fakes here, because these tests inject what real ones do rarely:
//! lost, doubled and reordered signals, failing reads, removals in the middle.

mod acks;
mod calls;
mod hello;
mod live;
mod mutants;
mod random;
mod replay;
mod sessions;
mod slow;
mod support;
mod wire;
