//! Lists of messages: which, from where, and what their page tokens are good for.

use confab_kit::identity::Caller;
use confab_log::Seq;

use super::{Domain, Page, reads::key_of, sight::Span};
use crate::{
    error::Error,
    store::{Direction, LogKey, LogStore},
};

/// Which messages a list shows, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing {
    pub(crate) direction: Direction,
    /// Starts beside this message; 0 starts at the end.
    pub(crate) from: Seq,
    /// Only this thread.
    pub(crate) thread: Option<Seq>,
}

impl<S: LogStore> Domain<S> {
    /// The seq beside which a page begins; 0 begins at the end.
    pub(super) fn begin_of(
        &self,
        context: &[&str],
        page: &Page,
        listing: Listing,
    ) -> Result<Seq, Error> {
        Ok(self.open_seq(context, &page.token)?.unwrap_or(listing.from))
    }

    /// The rows that a list begins with, if it is one whose rows are neighbours.
    pub(crate) fn list_span(&self, caller: &Caller, page: &Page, listing: Listing) -> Option<Span> {
        if listing.thread.is_some() {
            return None;
        }
        let context = context_of(caller, &key_of(caller, &page.conversation), listing);
        let context: Vec<&str> = context.iter().map(String::as_str).collect();
        let beside = self.begin_of(&context, page, listing).ok()?;
        Some(Span::beside(beside, listing.direction, page.size + 1))
    }
}

/// What a page token is good for: this user and this list.
pub(super) fn context_of(caller: &Caller, key: &LogKey, listing: Listing) -> [String; 7] {
    let order = if listing.direction == Direction::NewestFirst { "newest" } else { "oldest" };
    [
        "ListMessages".to_owned(),
        caller.tenant.to_string(),
        caller.user.to_string(),
        key.conversation.to_string(),
        order.to_owned(),
        listing.from.to_string(),
        listing.thread.unwrap_or(0).to_string(),
    ]
}
