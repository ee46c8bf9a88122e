//! Reads of one conversation: messages, events, reactions, cursors.
//!
//! Every read was admitted with a look at the head. A row that turns out to be
//! newer than that look makes the read look again: the reader may have been
//! removed between. For a reader who has left, a row that changed after the
//! leave is shown without what it says.

use confab_kit::{
    admission::Admitted,
    bus::Signal,
    error::{Error as KitError, Reason},
    identity::Caller,
};
use confab_log::{Event, EventBody, Refusal, Row, RowKey, Seq, UserId, mutant};

use super::{Domain, Mark, Page, pages};
use crate::{
    convert::receipt_to_pb,
    error::Error,
    store::{Cursors, Direction, LogKey, LogStore},
};

/// Looks of one read at a head that keeps moving, at most.
const MAX_LOOKS: usize = 8;

/// A page of messages, with the reader's own reactions to each.
pub(crate) struct Messages {
    pub(crate) key: LogKey,
    pub(crate) rows: Vec<(Event, Vec<String>)>,
    pub(crate) next_page_token: String,
    pub(crate) as_of: Seq,
}

/// A page of the log.
pub(crate) struct Events {
    pub(crate) key: LogKey,
    pub(crate) rows: Vec<(Event, Vec<String>)>,
    pub(crate) head: Seq,
}

/// A page of cursors.
pub(crate) struct ReceiptsPage {
    pub(crate) rows: Vec<(UserId, Cursors)>,
    pub(crate) next_page_token: String,
}

/// What the reader may see.
#[derive(Clone, Copy)]
struct Sight {
    as_of: Seq,
    visible: Seq,
}

fn sight<T>(admitted: &Admitted<T>) -> Result<Sight, Error> {
    let view = admitted.view().ok_or_else(|| {
        Error::Kit(KitError::new(Reason::Internal, "a read was admitted without a look"))
    })?;
    Ok(Sight { as_of: view.as_of, visible: view.visible })
}

fn key_of(caller: &Caller, conversation: &confab_log::ConversationId) -> LogKey {
    LogKey { tenant: caller.tenant.clone(), conversation: conversation.clone() }
}

impl<S: LogStore> Domain<S> {
    pub(crate) async fn get(
        &self,
        admitted: Admitted<(confab_log::ConversationId, Seq)>,
    ) -> Result<Messages, Error> {
        let sight = sight(&admitted)?;
        let (caller, (conversation, seq), _) = admitted.into_parts();
        let key = key_of(&caller, &conversation);
        let span = Span { from: seq, to: seq, direction: Direction::OldestFirst, limit: 1 };
        let (rows, sight) = self.rows(&key, &caller, span, sight).await?;
        if !rows.iter().any(|row| matches!(row.body, EventBody::MessageCreated(_))) {
            return Err(Error::MessageNotFound);
        }
        let rows = self.with_own_reactions(&key, &caller.user, rows).await?;
        Ok(Messages { key, rows, next_page_token: String::new(), as_of: sight.as_of })
    }

    pub(crate) async fn list(
        &self,
        admitted: Admitted<Page>,
        direction: Direction,
        from_seq: Seq,
    ) -> Result<Messages, Error> {
        let mut sight = sight(&admitted)?;
        let (caller, page, _) = admitted.into_parts();
        let key = key_of(&caller, &page.conversation);
        let order = if direction == Direction::NewestFirst { "newest" } else { "oldest" };
        let from_text = from_seq.to_string();
        let context = [
            "ListMessages",
            caller.tenant.as_str(),
            caller.user.as_str(),
            key.conversation.as_str(),
            order,
            &from_text,
        ];
        // The seq beside which the page begins; 0 begins at the end.
        let mut beside = self.open_seq(&context, &page.token)?.unwrap_or(from_seq);
        let mut found = Vec::new();
        let mut more = true;
        let mut as_of = None;
        while more && found.len() < page.size {
            let span = Span::beside(beside, direction, page.size + 1);
            let (rows, newer) = self.rows(&key, &caller, span, sight).await?;
            sight = newer;
            // Later rows may be newer than this; the first ones are not.
            as_of.get_or_insert(sight.as_of);
            more = rows.len() > page.size;
            for row in rows {
                if found.len() == page.size {
                    more = true;
                    break;
                }
                beside = row.seq;
                if matches!(row.body, EventBody::MessageCreated(_)) {
                    found.push(row);
                }
            }
        }
        let next_page_token =
            if more { self.sealer.seal(&context, &beside.to_be_bytes()) } else { String::new() };
        let rows = self.with_own_reactions(&key, &caller.user, found).await?;
        Ok(Messages { key, rows, next_page_token, as_of: as_of.unwrap_or(sight.as_of) })
    }

    pub(crate) async fn events(
        &self,
        admitted: Admitted<Page>,
        after: Seq,
    ) -> Result<Events, Error> {
        let sight = sight(&admitted)?;
        let (caller, page, _) = admitted.into_parts();
        let key = key_of(&caller, &page.conversation);
        let span = Span {
            from: after.saturating_add(1),
            to: Seq::MAX,
            direction: Direction::OldestFirst,
            limit: page.size,
        };
        let (rows, sight) = self.rows(&key, &caller, span, sight).await?;
        let rows = self.with_own_reactions(&key, &caller.user, rows).await?;
        Ok(Events { key, rows, head: sight.visible })
    }

    /// One row, for a caller whom the log has let know of it.
    pub(super) async fn message_of(
        &self,
        key: &LogKey,
        caller: &Caller,
        seq: Seq,
    ) -> Result<Event, Error> {
        let standing = self.standing(key, &caller.user).await?;
        let sight = Sight { as_of: standing.as_of, visible: standing.visible() };
        let span = Span { from: seq, to: seq, direction: Direction::OldestFirst, limit: 1 };
        let (rows, _) = self.rows(key, caller, span, sight).await?;
        rows.into_iter().next().ok_or(Error::MessageNotFound)
    }

    /// Reads rows, and looks at the head again while one is newer than the look.
    async fn rows(
        &self,
        key: &LogKey,
        caller: &Caller,
        span: Span,
        mut sight: Sight,
    ) -> Result<(Vec<Event>, Sight), Error> {
        for _ in 0..MAX_LOOKS {
            // It begins after the look, and so holds all that the look has seen.
            let mut rows = self.pages.read(span.page(key, sight.visible)).await?;
            if rows.iter().all(|row| applied_seq(row) <= sight.as_of) {
                for row in &mut rows {
                    blank_unseen(row, sight);
                }
                return Ok((rows, sight));
            }
            let standing = self.standing(key, &caller.user).await?;
            sight = Sight { as_of: standing.as_of, visible: standing.visible() };
        }
        Err(Error::Overloaded)
    }

    pub(super) async fn with_own_reactions(
        &self,
        key: &LogKey,
        user: &UserId,
        rows: Vec<Event>,
    ) -> Result<Vec<(Event, Vec<String>)>, Error> {
        let has_reactions = |row: &&Event| match &row.body {
            EventBody::MessageCreated(message) => !message.reactions.is_empty(),
            _ => false,
        };
        let keys: Vec<RowKey> = rows
            .iter()
            .filter(has_reactions)
            .map(|row| RowKey::Reactions(row.seq, user.clone()))
            .collect();
        let mut own = std::collections::BTreeMap::new();
        if keys.is_empty() {
            return Ok(rows.into_iter().map(|row| (row, Vec::new())).collect());
        }
        for (name, row) in self.logs.store().load(key, &keys).await? {
            if let (RowKey::Reactions(seq, _), Some(Row::Reactions(row))) = (name, row) {
                own.insert(seq, row.emoji);
            }
        }
        let with_own = rows.into_iter().map(|row| {
            let reactions = own.remove(&row.seq).unwrap_or_default();
            (row, reactions)
        });
        Ok(with_own.collect())
    }

    pub(crate) async fn reactions(
        &self,
        admitted: Admitted<Page>,
        message: Seq,
    ) -> Result<(Vec<(UserId, Vec<String>)>, String), Error> {
        let sight = sight(&admitted)?;
        let (caller, page, _) = admitted.into_parts();
        let key = key_of(&caller, &page.conversation);
        let span = Span { from: message, to: message, direction: Direction::OldestFirst, limit: 1 };
        let (rows, _) = self.rows(&key, &caller, span, sight).await?;
        let Some(EventBody::MessageCreated(row)) = rows.into_iter().next().map(|row| row.body)
        else {
            return Err(Error::MessageNotFound);
        };
        if row.delete_time.is_some() {
            return Ok((Vec::new(), String::new()));
        }
        let message_text = message.to_string();
        let context = [
            "ListReactions",
            caller.tenant.as_str(),
            caller.user.as_str(),
            key.conversation.as_str(),
            &message_text,
        ];
        let after = self.open_user(&context, &page.token)?;
        let store = self.logs.store();
        let mut rows = store.list_reactions(&key, message, after.as_ref(), page.size + 1).await?;
        self.still_participates(&key, &caller).await?;
        let token = self.token_after(&context, &mut rows, page.size);
        Ok((rows, token))
    }

    pub(crate) async fn receipts(&self, admitted: Admitted<Page>) -> Result<ReceiptsPage, Error> {
        let (caller, page, _) = admitted.into_parts();
        let key = key_of(&caller, &page.conversation);
        let context = [
            "ListReceipts",
            caller.tenant.as_str(),
            caller.user.as_str(),
            key.conversation.as_str(),
        ];
        let after = self.open_user(&context, &page.token)?;
        let store = self.logs.store();
        let mut rows = store.list_cursors(&key, after.as_ref(), page.size + 1).await?;
        self.still_participates(&key, &caller).await?;
        let next_page_token = self.token_after(&context, &mut rows, page.size);
        Ok(ReceiptsPage { rows, next_page_token })
    }

    /// What was read may be newer than the look that the call was admitted with:
    /// whoever was removed in between must not see it.
    async fn still_participates(&self, key: &LogKey, caller: &Caller) -> Result<(), Error> {
        let standing = self.standing(key, &caller.user).await?;
        let active = standing.member.is_some_and(|member| member.is_active());
        if active || mutant::is("no-second-look") {
            return Ok(());
        }
        Err(Refusal::NotAParticipant.into())
    }

    /// Moves a cursor up to a seq that exists; `read` moves both. Returns the
    /// cursors and how many messages are unread.
    pub(crate) async fn mark(
        &self,
        admitted: Admitted<Mark>,
        read: bool,
    ) -> Result<(UserId, Cursors, u64), Error> {
        let sight = sight(&admitted)?;
        let (caller, mark, _) = admitted.into_parts();
        let key = key_of(&caller, &mark.conversation);
        if mark.seq > sight.as_of {
            return Err(Error::CursorAboveHead { head: sight.as_of });
        }
        let store = self.logs.store();
        let ordinal_at = async |seq: Seq| -> Result<u64, Error> {
            let rows = store.read(&key, seq, seq, Direction::OldestFirst, 1).await?;
            Ok(rows.first().map_or(0, |row| row.ordinal))
        };
        let to = if read {
            let read_ordinal = ordinal_at(mark.seq).await?;
            Cursors { read_seq: mark.seq, read_ordinal, delivered_seq: mark.seq }
        } else {
            Cursors { delivered_seq: mark.seq, ..Cursors::default() }
        };
        let (before, after) = store.raise_cursors(&key, &caller.user, to).await?;
        if after.read_seq > before.read_seq {
            self.projections.record_read(&key, &caller.user, after.read_seq).await?;
        }
        if after != before {
            self.bus.publish(Signal::Receipt {
                tenant: key.tenant.clone(),
                conversation: key.conversation.clone(),
                receipt: receipt_to_pb(&caller.user, after),
            });
        }
        let unread = ordinal_at(sight.as_of).await?.saturating_sub(after.read_ordinal);
        Ok((caller.user, after, unread))
    }

    fn open_seq(&self, context: &[&str], token: &str) -> Result<Option<Seq>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        let payload = self.sealer.open(context, token)?;
        let bytes: [u8; 8] = payload.as_slice().try_into().map_err(|_| invalid_token())?;
        Ok(Some(Seq::from_be_bytes(bytes)))
    }

    fn open_user(&self, context: &[&str], token: &str) -> Result<Option<UserId>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        let payload = self.sealer.open(context, token)?;
        let text = std::str::from_utf8(&payload).map_err(|_| invalid_token())?;
        Ok(Some(UserId::parse(text).map_err(|_| invalid_token())?))
    }

    /// Cuts the row that was read to know whether there is a next page.
    fn token_after<T>(&self, context: &[&str], rows: &mut Vec<(UserId, T)>, size: usize) -> String {
        if rows.len() <= size {
            return String::new();
        }
        rows.truncate(size);
        rows.last().map_or_else(String::new, |(user, _)| {
            self.sealer.seal(context, user.as_str().as_bytes())
        })
    }
}

fn invalid_token() -> Error {
    Error::Kit(KitError::new(Reason::InvalidPageToken, "the page token is not valid"))
}

/// Rows to read.
#[derive(Clone, Copy)]
struct Span {
    from: Seq,
    /// What the reader may see ends it earlier, as of the look that the rows match.
    to: Seq,
    direction: Direction,
    limit: usize,
}

impl Span {
    /// From the neighbour of `beside` on, or from the end where that is 0.
    fn beside(beside: Seq, direction: Direction, limit: usize) -> Self {
        match (direction, beside) {
            (Direction::NewestFirst, 0) => Self { from: 1, to: Seq::MAX, direction, limit },
            (Direction::NewestFirst, _) => Self { from: 1, to: beside - 1, direction, limit },
            (Direction::OldestFirst, _) => {
                Self { from: beside.saturating_add(1), to: Seq::MAX, direction, limit }
            }
        }
    }
}

impl Span {
    /// Its rows up to here, as everybody who reads them at this moment asks for them.
    fn page(self, key: &LogKey, visible: Seq) -> pages::Page {
        let Self { from, to, direction, limit } = self;
        pages::Page { key: key.clone(), from, to: to.min(visible), direction, limit }
    }
}

fn applied_seq(row: &Event) -> Seq {
    match &row.body {
        EventBody::MessageCreated(message) => message.applied_seq,
        _ => row.seq,
    }
}

/// What changed after the reader's leave is not the reader's to know.
fn blank_unseen(row: &mut Event, sight: Sight) {
    if let EventBody::MessageCreated(message) = &mut row.body
        && message.applied_seq > sight.visible
        && !mutant::is("former-sees-changes")
    {
        message.content = None;
        message.reactions.clear();
        message.edit_time = None;
    }
}
