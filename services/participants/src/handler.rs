//! gRPC in, domain out: [`public`], [`users`] and [`moderation`] for users and
//! applications, [`mesh`] for the log's effects and other services, [`cache`] for
//! operators.

pub(crate) mod cache;
pub(crate) mod mesh;
pub(crate) mod moderation;
pub(crate) mod public;
pub(crate) mod users;

use confab_log::UserId;

use crate::error::Error;

/// A page token's payload. Only we seal tokens, so a wrong one is a fault of ours.
fn position(payload: &[u8]) -> Result<UserId, Error> {
    let text = std::str::from_utf8(payload).ok();
    text.and_then(|text| UserId::parse(text).ok())
        .ok_or(Error::Contract("a page token that is ours and wrong"))
}
