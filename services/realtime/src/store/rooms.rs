//! The port to what all processes together know of who is here. Nothing in it is
//! durable, and nothing waits for it: what is lost is told again.

use std::time::Duration;

use confab_log::{Micros, TenantId, UserId};
use futures_util::future::BoxFuture;

use super::{Status, StoreError};

/// A process that was not heard of for so long is gone, and whoever was there with it.
pub const LIVES: Duration = Duration::from_secs(20);

/// What a user who is here says of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How they are: not offline.
    pub status: Status,
    /// What they wrote beside it.
    pub text: String,
    /// When, so that of two words the later one stays. 0: just now.
    pub at: Micros,
}

impl Said {
    /// What somebody says who has said nothing.
    pub fn nothing() -> Self {
        Self { status: Status::Online, text: String::new(), at: 0 }
    }
}

/// A process's word on a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// They have a stream here, and have said this as far as is known here.
    Here(Option<Said>),
    /// They have none here.
    Gone,
    /// They say this, wherever their streams are.
    Says(Said),
}

/// Who is where. A user is here as long as a process that lives has them; with the last
/// one goes what they have said. Each process has an implementation of its own, and
/// calls of which the outcome is unknown are not made again: it begins anew.
pub trait Rooms: Send + Sync + 'static {
    /// Begins as a process that nobody has heard of, whose words replace those of
    /// before, one user after the other; until then these still hold, for [`LIVES`] at
    /// most.
    fn enter(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// This process lives. An error, as everywhere but from [`Rooms::enter`], when that
    /// was forgotten.
    fn stay(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// This process's word on a user. Returns what they say who are here; `None` when
    /// no process has them.
    fn tell<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
        word: &'a Word,
    ) -> BoxFuture<'a, Result<Option<Said>, StoreError>>;

    /// The same of each, in the order asked.
    fn ask<'a>(
        &'a self,
        tenant: &'a TenantId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Option<Said>>, StoreError>>;
}
