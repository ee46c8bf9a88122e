//! Confab in several processes: they find each other, pass on what they do not
//! serve, and get along without each other for a while.

mod away;
mod faults;
mod revocation;
mod smoke;
