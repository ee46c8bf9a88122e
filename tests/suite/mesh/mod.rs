//! Confab in several processes: they find each other, pass on what they do not
//! serve, and get along without each other for a while.

mod away;
mod bus;
mod faults;
mod redis;
mod revocation;
mod smoke;
