//! The ends of many logs as one user sees them: for lists and for devices that
//! return. A log that nobody drives and whose effects are all applied is read
//! straight from the store; any other is asked through its driver.

use confab_log::{Content, Event, EventBody, Micros, RowKey, Seq, UserId};
use futures_util::{
    future::{BoxFuture, FutureExt as _},
    stream::{self, StreamExt as _, TryStreamExt as _},
};

use super::{
    Domain, Standing,
    sight::{Sight, Span},
};
use crate::{
    error::Error,
    store::{Cursors, LogKey, LogStore},
};

/// Mentions that are counted, at most.
const MAX_MENTIONS: usize = 100;
/// Logs that one question reads at a time: a user may be in thousands, and a database
/// answers each after a while.
const AT_A_TIME: usize = 16;

/// One log asked about.
#[derive(Debug)]
pub(crate) struct HeadQuery {
    pub(crate) key: LogKey,
    /// Nothing above this is shown.
    pub(crate) limit: Option<Seq>,
    /// Only answered when the head is above this.
    pub(crate) above: Seq,
    /// Only where and when the log ends is wanted.
    pub(crate) position_only: bool,
}

/// The end of one log.
pub(crate) struct Head {
    pub(crate) key: LogKey,
    pub(crate) seq: Seq,
    pub(crate) time: Micros,
    pub(crate) unread: u64,
    /// Unread messages that mention the user.
    pub(crate) mentions: u32,
    /// With the user's own reactions to it.
    pub(crate) last_message: Option<(Event, Vec<String>)>,
    pub(crate) cursors: Cursors,
}

impl<S: LogStore> Domain<S> {
    /// Those of the heads that are to be answered, in the order of the questions.
    pub(crate) async fn heads(
        &self,
        user: &UserId,
        queries: Vec<HeadQuery>,
    ) -> Result<Vec<Head>, Error> {
        let reads: Vec<BoxFuture<'_, Result<Option<Head>, Error>>> =
            queries.into_iter().map(|query| self.head(user, query).boxed()).collect();
        let heads: Vec<Option<Head>> =
            stream::iter(reads).buffered(AT_A_TIME).try_collect().await?;
        Ok(heads.into_iter().flatten().collect())
    }

    async fn head(&self, user: &UserId, query: HeadQuery) -> Result<Option<Head>, Error> {
        let HeadQuery { key, limit, above, position_only } = query;
        let Some((end, sight)) = self.end(&key, user, limit).await? else { return Ok(None) };
        if end.seq <= above {
            return Ok(None);
        }
        let mut head = Head {
            seq: end.seq,
            time: end.time,
            unread: 0,
            mentions: 0,
            last_message: None,
            cursors: Cursors::default(),
            key,
        };
        if position_only {
            return Ok(Some(head));
        }
        let key = &head.key;
        head.cursors = self.logs.store().cursors(key, user).await?;
        head.unread = end.ordinal.saturating_sub(head.cursors.read_ordinal);
        if head.unread > 0 {
            head.mentions = self.mentions(key, user, head.cursors.read_seq, end.seq).await?;
        }
        head.last_message = self.last_message(key, user, end, sight).await?;
        Ok(Some(head))
    }

    /// The newest message up to the user's last event, if they may see it.
    async fn last_message(
        &self,
        key: &LogKey,
        user: &UserId,
        end: Event,
        sight: Option<Sight>,
    ) -> Result<Option<(Event, Vec<String>)>, Error> {
        let (last, visible) = (end.last_message, end.seq);
        let message = match last {
            0 => return Ok(None),
            seq if seq == visible => end,
            seq => {
                // It is older than the last event: perhaps older than a join.
                let sight = match sight {
                    Some(sight) => sight,
                    None => self.settled_sight(key, user, visible).await?,
                };
                if !sight.sees(seq) {
                    return Ok(None);
                }
                match self.pages.read(key, Span::one(seq)).await?.pop() {
                    Some(message) => message,
                    None => return Ok(None),
                }
            }
        };
        let message = within(message, visible);
        let rows = self.with_own_reactions(key, user, vec![message]).await?;
        Ok(rows.into_iter().next())
    }

    /// What the user may see of a log whose effects are all applied: the rows say it.
    async fn settled_sight(
        &self,
        key: &LogKey,
        user: &UserId,
        visible: Seq,
    ) -> Result<Sight, Error> {
        let names = [RowKey::Conversation, RowKey::Member(user.clone())];
        let rows = self.projections.load(key, &names).await?;
        Ok(Standing { as_of: visible, rows }.sight())
    }

    /// Messages above the read cursor that mention the user now.
    async fn mentions(
        &self,
        key: &LogKey,
        user: &UserId,
        read: Seq,
        visible: Seq,
    ) -> Result<u32, Error> {
        let store = self.logs.store();
        let mut count = 0;
        for seq in store.list_mentions(key, user, read, MAX_MENTIONS).await? {
            if seq > visible {
                break;
            }
            let rows = self.pages.read(key, Span::one(seq)).await?;
            let says_so = |content: &Content| content.mentions().any(|named| named == user);
            count += u32::from(rows.first().is_some_and(|row| match &row.body {
                EventBody::MessageCreated(message) => message.content.as_ref().is_some_and(says_so),
                _ => false,
            }));
        }
        Ok(count)
    }

    /// The newest row that the user may see, and what else they may, if it was
    /// looked at.
    async fn end(
        &self,
        key: &LogKey,
        user: &UserId,
        limit: Option<Seq>,
    ) -> Result<Option<(Event, Option<Sight>)>, Error> {
        let store = self.logs.store();
        let Some(end) = store.end(key).await? else { return Ok(None) };
        let (mut visible, mut sight) = (end.head.seq, None);
        if self.logs.is_driven(key) || end.applied_through < end.head.seq {
            let looked = self.standing(key, user).await?.sight();
            visible = looked.visible();
            sight = Some(looked);
        }
        let visible = limit.map_or(visible, |limit| visible.min(limit));
        if visible == end.head.seq {
            return Ok(Some((end.head, sight)));
        }
        let row = self.pages.read(key, Span::one(visible)).await?.pop();
        Ok(row.map(|row| (row, sight)))
    }
}

/// A message that changed after the user's last event is shown without content.
fn within(mut message: Event, seq: Seq) -> Event {
    if let EventBody::MessageCreated(row) = &mut message.body
        && row.applied_seq > seq
    {
        row.content = None;
        row.reactions.clear();
        row.replies = None;
    }
    message
}
