//! Confab in several processes: they find each other, pass on what they do not
//! serve, and get along without each other for a while.

mod away;
mod bus;
mod cache;
mod clocks;
mod cql_away;
mod crowd;
mod faults;
mod last_two;
mod parted;
mod passed_on;
mod presence;
pub(crate) mod redis;
mod removal;
mod replicas;
mod resume;
mod revocation;
mod smoke;
mod untold;
