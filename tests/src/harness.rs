//! Runs Confab as a process of its own, kills it, stands between it and its
//! clients, and says what broke. It knows no promise.

pub mod backends;
mod deployment;
mod log;
mod mesh;
mod node;
pub mod ops;
mod patience;
mod port;
mod process;
mod proxy;
mod scrape;
mod seed;
mod tokens;
mod violation;

pub use deployment::{Deployment, Shape};
pub use log::Log;
pub use mesh::Mesh;
pub use node::{Node, NodeOptions};
pub use patience::{eventually, within};
pub use port::lasting_port;
pub use proxy::{Fault, Proxy};
pub use scrape::Scrape;
pub use seed::{Seed, effort};
pub use tokens::Tokens;
pub use violation::{Checked, Violation, must_be_caught};

/// Says that a test did not run, and why. CI compares these lines with its list
/// of allowed skips.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    // Not captured by the test harness: a skip must be seen when the test passes.
    let _unseen = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}
