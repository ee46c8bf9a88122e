//! What every adapter must do, one function per port to run on each. They panic
//! on the first thing that is not so, and make each store anew for each part.

mod last_seen;
mod revocations;
mod rooms;
mod sessions;

pub use last_seen::run as last_seen;
pub use revocations::run as revocations;
pub use rooms::run as rooms;
pub use sessions::run as sessions;

use confab_log::{TenantId, UserId};

const NOW: i64 = 1_700_000_000_000_000;

fn tenant(text: &str) -> TenantId {
    TenantId::parse(text).expect("a tenant")
}

fn user(text: &str) -> UserId {
    UserId::parse(text).expect("a user")
}
