//! What hangs on messages and readers: reactions and cursors, by pages, and the
//! cursors' moves.

use confab_kit::{
    admission::Admitted,
    bus::Signal,
    error::{Error as KitError, Reason},
    identity::Caller,
};
use confab_log::{EventBody, Refusal, Seq, UserId, mutant};

use super::{
    Domain, Mark, Page,
    reads::{key_of, sight},
};
use crate::{
    convert::receipt_to_pb,
    error::Error,
    store::{Cursors, Direction, LogKey, LogStore},
};

/// A page of cursors.
pub(crate) struct ReceiptsPage {
    pub(crate) rows: Vec<(UserId, Cursors)>,
    pub(crate) next_page_token: String,
}

impl<S: LogStore> Domain<S> {
    pub(crate) async fn reactions(
        &self,
        admitted: Admitted<Page>,
        message: Seq,
    ) -> Result<(Vec<(UserId, Vec<String>)>, String), Error> {
        let sight = sight(&admitted)?;
        let (caller, page, _) = admitted.into_parts();
        let key = key_of(&caller, &page.conversation);
        let event = self.one(&key, &caller, message, sight).await?;
        if let EventBody::MessageCreated(row) = event.body
            && row.delete_time.is_some()
        {
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
        if !caller.is_user() || mutant::is("no-second-look") {
            return Ok(());
        }
        let standing = self.standing(key, &caller.user).await?;
        match standing.member() {
            Some(member) if member.is_active() => Ok(()),
            _ => Err(Refusal::NotAParticipant.into()),
        }
    }

    /// Moves a cursor up to a seq that exists; `read` moves both. Returns the
    /// cursors and how many messages are unread.
    pub(crate) async fn mark(
        &self,
        admitted: Admitted<Mark>,
        read: bool,
    ) -> Result<(UserId, Cursors, u64), Error> {
        let sight = sight(&admitted)?;
        let (caller, mark, view) = admitted.into_parts();
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
                participants: view.map(|view| view.participants),
            });
        }
        let unread = ordinal_at(sight.as_of).await?.saturating_sub(after.read_ordinal);
        Ok((caller.user, after, unread))
    }

    pub(super) fn open_seq(&self, context: &[&str], token: &str) -> Result<Option<Seq>, Error> {
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
