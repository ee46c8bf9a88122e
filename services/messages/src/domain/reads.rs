//! Reads of messages and events.
//!
//! Every read was admitted with a look at the head. A row that turns out to be
//! newer than that look makes the read look again: the reader may have been
//! removed between. For a reader who has left, a row that changed after the
//! leave is shown without what it says; so is an event on a message that the
//! reader may not see.

use confab_kit::{
    admission::Admitted,
    error::{Error as KitError, Reason},
    identity::Caller,
};
use confab_log::{ConversationId, Event, EventBody, Row, RowKey, Seq, UserId, mutant};

use super::{
    Ahead, Domain, Listing, Page,
    listing::context_of,
    sight::{Sight, Span},
};
use crate::{
    convert::event::edited,
    error::Error,
    store::{Direction, LogKey, LogStore},
};

/// Looks of one read at a head that keeps moving, at most.
const MAX_LOOKS: usize = 8;
/// A page ends early when it says this much, in bytes: clients take answers of
/// 4 MiB, and one more row has far less than what is left.
const MAX_PAGE_BYTES: usize = 3 << 20;
/// Rows that are read at once, so that a page of large ones is not read in vain.
const READ_ROWS: usize = 64;

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

/// Which rows a read wants.
#[derive(Debug)]
enum Wanted<'a> {
    Rows(Span),
    Thread(Seq, Span),
    These(&'a [Seq]),
}

/// Rows that were read.
#[derive(Debug, Default)]
struct Rows {
    found: Vec<Event>,
    bytes: usize,
    /// There may be more, but these say enough for one answer.
    cut: bool,
}

impl Rows {
    /// Takes rows until they say too much; the rest is for the next page.
    fn extend(&mut self, rows: Vec<Event>) {
        for row in rows {
            if self.cut {
                return;
            }
            self.bytes += weight(&row);
            self.cut = self.bytes >= MAX_PAGE_BYTES;
            self.found.push(row);
        }
    }
}

/// About how many bytes a row has in an answer.
fn weight(row: &Event) -> usize {
    let content = match &row.body {
        EventBody::MessageCreated(message) => message.content.as_ref(),
        EventBody::MessageEdited { content, .. } => content.as_ref(),
        _ => None,
    };
    let said = content.map_or(0, |content| {
        let attributes = content.attributes.iter().map(|(key, value)| key.len() + value.len() + 8);
        let html = content.html.as_ref().map_or(0, String::len);
        content.text.len() + html + attributes.sum::<usize>() + content.entities.len() * 64
    });
    said + 256
}

pub(super) fn sight<T>(admitted: &Admitted<T>) -> Result<Sight, Error> {
    let view = admitted.view().ok_or_else(|| {
        Error::Kit(KitError::new(Reason::Internal, "a read was admitted without a look"))
    })?;
    Ok(Sight::of_view(view))
}

pub(super) fn key_of(caller: &Caller, conversation: &ConversationId) -> LogKey {
    LogKey { tenant: caller.tenant.clone(), conversation: conversation.clone() }
}

impl<S: LogStore> Domain<S> {
    pub(crate) async fn get(
        &self,
        admitted: Admitted<(ConversationId, Seq)>,
        mut ahead: Ahead,
    ) -> Result<Messages, Error> {
        let sight = sight(&admitted)?;
        let (caller, (conversation, seq), _) = admitted.into_parts();
        let key = key_of(&caller, &conversation);
        let wanted = Wanted::Rows(Span::one(seq));
        let (rows, sight) = self.rows(&key, &caller, wanted, sight, &mut ahead).await?;
        if !rows.found.iter().any(is_message) {
            return Err(Error::MessageNotFound);
        }
        let rows = self.with_own_reactions(&key, &caller.user, rows.found).await?;
        Ok(Messages { key, rows, next_page_token: String::new(), as_of: sight.visible() })
    }

    pub(crate) async fn list(
        &self,
        admitted: Admitted<(Page, Listing)>,
        mut ahead: Ahead,
    ) -> Result<Messages, Error> {
        let mut sight = sight(&admitted)?;
        let (caller, (page, listing), _) = admitted.into_parts();
        let key = key_of(&caller, &page.conversation);
        let context = context_of(&caller, &key, listing);
        let context: Vec<&str> = context.iter().map(String::as_str).collect();
        let mut beside = self.begin_of(&context, &page, listing)?;
        let (mut found, mut bytes, mut more, mut as_of) = (Vec::new(), 0, true, None);
        while more && found.len() < page.size && bytes < MAX_PAGE_BYTES {
            let span = Span::beside(beside, listing.direction, page.size + 1);
            let wanted = match listing.thread {
                None => Wanted::Rows(span),
                Some(root) => Wanted::Thread(root, span),
            };
            let (rows, newer) = self.rows(&key, &caller, wanted, sight, &mut ahead).await?;
            sight = newer;
            // Later rows may be newer than this; the first ones are not.
            as_of.get_or_insert(sight.visible());
            more = rows.cut || rows.found.len() > page.size;
            for row in rows.found {
                if found.len() == page.size || bytes >= MAX_PAGE_BYTES {
                    more = true;
                    break;
                }
                beside = row.seq;
                if is_message(&row) {
                    bytes += weight(&row);
                    found.push(row);
                }
            }
        }
        let next_page_token =
            if more { self.sealer.seal(&context, &beside.to_be_bytes()) } else { String::new() };
        let rows = self.with_own_reactions(&key, &caller.user, found).await?;
        Ok(Messages { key, rows, next_page_token, as_of: as_of.unwrap_or(sight.visible()) })
    }

    pub(crate) async fn events(
        &self,
        admitted: Admitted<Page>,
        after: Seq,
        mut ahead: Ahead,
    ) -> Result<Events, Error> {
        let sight = sight(&admitted)?;
        let (caller, page, _) = admitted.into_parts();
        let key = key_of(&caller, &page.conversation);
        let span = Span::beside(after, Direction::OldestFirst, page.size);
        let (rows, sight) = self.rows(&key, &caller, Wanted::Rows(span), sight, &mut ahead).await?;
        let rows = self.with_own_reactions(&key, &caller.user, rows.found).await?;
        Ok(Events { key, rows, head: sight.visible() })
    }

    /// The pinned messages that the caller may see.
    pub(crate) async fn pinned(
        &self,
        admitted: Admitted<ConversationId>,
    ) -> Result<Messages, Error> {
        let (caller, conversation, _) = admitted.into_parts();
        let key = key_of(&caller, &conversation);
        let observed = self.logs.observe(&key, vec![RowKey::Conversation]).await?;
        let pins = observed.conversation().map(|row| row.pins.clone()).unwrap_or_default();
        // Looked at after the pins: whoever was removed since sees none of them.
        let sight = self.look(&key, &caller).await?;
        let wanted = Wanted::These(&pins);
        let (rows, sight) = self.rows(&key, &caller, wanted, sight, &mut Ahead::default()).await?;
        let rows = self.with_own_reactions(&key, &caller.user, rows.found).await?;
        let as_of = observed.as_of.min(sight.visible());
        Ok(Messages { key, rows, next_page_token: String::new(), as_of })
    }

    /// One row, for a caller whom the log has let know of it.
    pub(super) async fn message_of(
        &self,
        key: &LogKey,
        caller: &Caller,
        seq: Seq,
    ) -> Result<Event, Error> {
        let sight = self.look(key, caller).await?;
        let wanted = Wanted::Rows(Span::one(seq));
        let (rows, _) = self.rows(key, caller, wanted, sight, &mut Ahead::default()).await?;
        rows.found.into_iter().next().ok_or(Error::MessageNotFound)
    }

    /// One message as of what was admitted, for what hangs on it.
    pub(super) async fn one(
        &self,
        key: &LogKey,
        caller: &Caller,
        seq: Seq,
        sight: Sight,
    ) -> Result<Event, Error> {
        let wanted = Wanted::Rows(Span::one(seq));
        let (rows, _) = self.rows(key, caller, wanted, sight, &mut Ahead::default()).await?;
        rows.found.into_iter().find(is_message).ok_or(Error::MessageNotFound)
    }

    /// Reads rows, and looks at the head again while one is newer than the look.
    /// The reads begin after the look, whoever makes them, so they hold all that it
    /// has seen; those made ahead are taken only where they do as well.
    async fn rows(
        &self,
        key: &LogKey,
        caller: &Caller,
        wanted: Wanted<'_>,
        mut sight: Sight,
        ahead: &mut Ahead,
    ) -> Result<(Rows, Sight), Error> {
        for _ in 0..MAX_LOOKS {
            let mut rows = self.read(key, &wanted, &sight, ahead).await?;
            if rows.found.iter().all(|row| applied_seq(row) <= sight.as_of) {
                for row in &mut rows.found {
                    blank_unseen(row, &sight);
                }
                return Ok((rows, sight));
            }
            sight = self.look(key, caller).await?;
        }
        Err(Error::Overloaded)
    }

    /// What the reader may see of the rows that are wanted.
    async fn read(
        &self,
        key: &LogKey,
        wanted: &Wanted<'_>,
        sight: &Sight,
        ahead: &mut Ahead,
    ) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        match wanted {
            Wanted::Rows(span) => {
                for part in sight.clip(*span) {
                    let read = ahead.take(first_of(&part), sight);
                    self.read_part(key, part, read, &mut rows).await?;
                }
            }
            Wanted::Thread(root, span) => {
                let mut seqs = Vec::new();
                for part in sight.clip(*span) {
                    let part = Span { limit: span.limit - seqs.len(), ..part };
                    seqs.extend(self.pages.thread(key, *root, part).await?);
                }
                self.read_each(key, seqs, &mut rows).await?;
            }
            Wanted::These(these) => {
                let seen = these.iter().copied().filter(|seq| sight.sees(*seq)).collect();
                self.read_each(key, seen, &mut rows).await?;
            }
        }
        Ok(rows)
    }

    /// Some rows at a time, of which the first may be read already, until there are
    /// as many as the part may have or they say too much.
    async fn read_part(
        &self,
        key: &LogKey,
        part: Span,
        mut first: Option<Vec<Event>>,
        rows: &mut Rows,
    ) -> Result<(), Error> {
        let (mut from, mut to) = (part.from, part.to);
        while rows.found.len() < part.limit && from <= to && !rows.cut {
            let limit = READ_ROWS.min(part.limit - rows.found.len());
            let read = match first.take() {
                Some(read) => read,
                None => self.pages.read(key, Span { from, to, limit, ..part }).await?,
            };
            let Some(last) = read.last().map(|row| row.seq).filter(|_| read.len() == limit) else {
                rows.extend(read);
                return Ok(());
            };
            rows.extend(read);
            match part.direction {
                Direction::OldestFirst => from = last + 1,
                Direction::NewestFirst => to = last - 1,
            }
        }
        Ok(())
    }

    async fn read_each(&self, key: &LogKey, seqs: Vec<Seq>, rows: &mut Rows) -> Result<(), Error> {
        for seq in seqs {
            if rows.cut {
                break;
            }
            rows.extend(self.pages.read(key, Span::one(seq)).await?);
        }
        Ok(())
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
        if keys.is_empty() {
            return Ok(rows.into_iter().map(|row| (row, Vec::new())).collect());
        }
        let mut own = std::collections::BTreeMap::new();
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
}

/// The part of a span that is read first.
pub(super) fn first_of(span: &Span) -> Span {
    Span { limit: READ_ROWS.min(span.limit), ..*span }
}

fn is_message(row: &Event) -> bool {
    matches!(row.body, EventBody::MessageCreated(_))
}

fn applied_seq(row: &Event) -> Seq {
    match &row.body {
        EventBody::MessageCreated(message) => message.applied_seq,
        _ => row.seq,
    }
}

/// What changed after the reader's leave is not the reader's to know, nor what a
/// message says that they may not see.
fn blank_unseen(row: &mut Event, sight: &Sight) {
    if edited(row).is_some_and(|target| !sight.sees(target))
        && let EventBody::MessageEdited { content, .. } = &mut row.body
    {
        *content = None;
    }
    if let EventBody::MessageCreated(message) = &mut row.body
        && message.applied_seq > sight.visible()
        && !mutant::is("former-sees-changes")
    {
        message.content = None;
        message.reactions.clear();
        message.edit_time = None;
        message.delete_time = None;
        message.replies = None;
        message.applied_seq = sight.visible();
    }
}
