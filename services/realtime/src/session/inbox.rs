//! The user's inbox on a stream, and what follows from it: where the user is a
//! participant, and so which conversations' heads the stream shows.

use std::sync::Arc;

use confab_log::ConversationId;
use confab_proto::participants::v1::{InboxEvent, ListMembershipsResponse};
use tokio::time::Instant;

use super::{
    open,
    stream::{Done, Stream},
    timers::Retry,
};
use crate::{
    error::Error,
    frame::SharedInbox,
    hub::Interest,
    inbox::{Change, Next},
};

/// A read that fails this often in a row ends the stream.
const MAX_FAILURES: u32 = 10;

impl Stream {
    /// The bus brought an event of the user's inbox.
    pub(super) fn on_inbox(&mut self, event: &SharedInbox) -> Result<(), Error> {
        if let Some((bytes, change)) = self.inbox.hear(event) {
            self.shared.deliveries.increment(1);
            self.send(bytes)?;
            self.take_change(change);
        }
        self.pump_inbox()
    }

    /// Lets the inbox do what it can do now.
    pub(super) fn pump_inbox(&mut self) -> Result<(), Error> {
        self.inbox_feeding = false;
        loop {
            if !self.outbox.has_room() {
                self.inbox_feeding = true;
                return Ok(());
            }
            match self.inbox.next() {
                Next::Send { frame, change, replayed } => {
                    self.shared.replayed.increment(replayed);
                    self.send(frame)?;
                    self.take_change(change);
                }
                Next::Read { after } => {
                    let reads = Arc::clone(&self.reads);
                    self.work.push(Box::pin(async move { Done::Inbox(reads.inbox(after).await) }));
                }
                Next::ReadLater { vain } => self.retry_later(Retry::Inbox, vain),
                Next::Reload => self.reload_memberships(),
                Next::Rest => return Ok(()),
            }
        }
    }

    /// A read of the inbox was answered.
    pub(super) fn on_inbox_read(
        &mut self,
        outcome: Result<(Vec<InboxEvent>, u64), Error>,
    ) -> Result<(), Error> {
        match outcome {
            Ok((events, head)) => self.inbox.answer(events, head),
            Err(error) if error.is_transient() => {
                let times = self.inbox.fail();
                tracing::debug!(%error, times, "inbox not read");
                if times > MAX_FAILURES {
                    return Err(error);
                }
                self.retry_later(Retry::Inbox, times);
            }
            Err(error) => return Err(error),
        }
        self.pump_inbox()
    }

    /// The time of a delayed read has come.
    pub(super) fn retry_inbox(&mut self) -> Result<(), Error> {
        self.inbox.retry();
        self.pump_inbox()
    }

    fn take_change(&mut self, change: Option<Change>) {
        let Some(change) = change else {
            return;
        };
        let Ok(conversation) = ConversationId::parse(&change.conversation) else {
            return;
        };
        self.doubt_presence();
        if change.joined {
            self.join(&conversation);
        } else {
            self.leave(&conversation);
        }
    }

    fn join(&mut self, conversation: &ConversationId) {
        self.memberships.insert(conversation.clone());
        if !self.watches.contains_key(conversation) {
            self.registration.set(conversation, &Interest::Head);
            self.mark_head(conversation, Instant::now());
        }
    }

    /// A watch goes on to the user's own leave in the log; the head ends here.
    pub(super) fn leave(&mut self, conversation: &ConversationId) {
        self.memberships.remove(conversation);
        self.heads.forget(conversation);
        if !self.watches.contains_key(conversation) {
            self.registration.remove(conversation);
        }
    }

    fn reload_memberships(&mut self) {
        let reads = Arc::clone(&self.reads);
        self.work.push(Box::pin(async move { Done::Memberships(reads.memberships().await) }));
    }

    /// The memberships were loaded anew, after a gap in the inbox.
    pub(super) fn on_memberships(
        &mut self,
        outcome: Result<ListMembershipsResponse, Error>,
    ) -> Result<(), Error> {
        // Without them heads would be missing in silence: the client reconnects.
        let answer = outcome?;
        self.doubt_presence();
        let now = open::active(&answer);
        let left: Vec<_> = self.memberships.difference(&now).cloned().collect();
        for conversation in &left {
            self.leave(conversation);
        }
        let joined: Vec<_> = now.difference(&self.memberships).cloned().collect();
        for conversation in &joined {
            self.join(conversation);
        }
        self.inbox.reloaded(answer.head_inbox_seq);
        Ok(())
    }
}
