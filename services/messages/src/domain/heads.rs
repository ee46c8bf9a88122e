//! The ends of many logs as one user sees them: for lists and for devices that
//! return. A log that nobody drives and whose effects are all applied is read
//! straight from the store; any other is asked through its driver.

use confab_log::{Event, EventBody, Micros, Seq, UserId};

use super::Domain;
use crate::{
    error::Error,
    store::{Cursors, Direction, LogKey, LogStore},
};

/// One log asked about.
#[derive(Debug)]
pub(crate) struct HeadQuery {
    pub(crate) key: LogKey,
    /// Nothing above this is shown.
    pub(crate) limit: Option<Seq>,
    /// Only answered when the head is above this.
    pub(crate) above: Seq,
}

/// The end of one log.
pub(crate) struct Head {
    pub(crate) key: LogKey,
    pub(crate) seq: Seq,
    pub(crate) time: Micros,
    pub(crate) unread: u64,
    /// With the user's own reactions to it.
    pub(crate) last_message: Option<(Event, Vec<String>)>,
    pub(crate) cursors: Cursors,
}

impl<S: LogStore> Domain<S> {
    pub(crate) async fn head(
        &self,
        user: &UserId,
        query: HeadQuery,
    ) -> Result<Option<Head>, Error> {
        let HeadQuery { key, limit, above } = query;
        let Some(end) = self.end(&key, user, limit).await? else { return Ok(None) };
        if end.seq <= above {
            return Ok(None);
        }
        let store = self.logs.store();
        let last_message = match end.last_message {
            0 => None,
            seq if seq == end.seq => Some(end.clone()),
            seq => store.read(&key, seq, seq, Direction::OldestFirst, 1).await?.pop(),
        };
        let last_message = match last_message {
            None => None,
            Some(message) => {
                let message = within(message, end.seq);
                let rows = self.with_own_reactions(&key, user, vec![message]).await?;
                rows.into_iter().next()
            }
        };
        let cursors = store.cursors(&key, user).await?;
        Ok(Some(Head {
            seq: end.seq,
            time: end.time,
            unread: end.ordinal.saturating_sub(cursors.read_ordinal),
            last_message,
            cursors,
            key,
        }))
    }

    /// The newest row that the user may see.
    async fn end(
        &self,
        key: &LogKey,
        user: &UserId,
        limit: Option<Seq>,
    ) -> Result<Option<Event>, Error> {
        let store = self.logs.store();
        let Some(end) = store.end(key).await? else { return Ok(None) };
        let mut visible = end.head.seq;
        if self.logs.is_driven(key) || end.applied_through < end.head.seq {
            visible = self.standing(key, user).await?.visible();
        }
        let visible = limit.map_or(visible, |limit| visible.min(limit));
        if visible == end.head.seq {
            return Ok(Some(end.head));
        }
        Ok(store.read(key, visible, visible, Direction::OldestFirst, 1).await?.pop())
    }
}

/// A message that changed after the user's last event is shown without content.
fn within(mut message: Event, seq: Seq) -> Event {
    if let EventBody::MessageCreated(row) = &mut message.body
        && row.applied_seq > seq
    {
        row.content = None;
        row.reactions.clear();
    }
    message
}
