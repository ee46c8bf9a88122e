//! The store's promises, through its public API, with real processes and real faults.

#![expect(clippy::disallowed_methods, reason = "transactions race each other")]

mod backup;
mod child;
mod crash;
mod disk;
mod fault;
mod folder;
mod journal;
mod load;
mod transactions;
