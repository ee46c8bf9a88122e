//! The watched conversations of a stream: what is read for them, in which
//! order, and when a watch is over.

use std::sync::Arc;

use confab_log::{ConversationId, mutant};
use confab_proto::{
    messages::v1::{Event, LogHead, event::Kind},
    realtime::v1::{Watch as WatchChange, connect_response::Frame},
};

use super::{
    stream::{Done, Stream},
    timers::Retry,
};
use crate::{
    convert,
    error::Error,
    frame::{SharedEvent, frame},
    hub::Interest,
    lane::Lane,
    mailbox::{SharedReceipt, SharedTyping},
    watch::{Next, Read, Wanted, Watch},
};

/// Conversations of one stream that read at a time: bounds what pages hold.
const MAX_BUSY: usize = 2;
/// A read that fails this often in a row ends the stream.
const MAX_FAILURES: u32 = 10;
/// Ended watches that are remembered for late acks.
const MAX_ENDED: usize = 1000;

/// A watched conversation.
pub(super) struct Watching {
    /// The watch, and the way past this task while it is live.
    pub(super) lane: Arc<Lane>,
    /// Tells the answers to this watch from those to an earlier one.
    generation: u64,
    /// The read that waits for its turn.
    waiting_read: Option<Wanted>,
}

impl Stream {
    /// The client changes what it watches.
    pub(super) fn on_watch(&mut self, change: WatchChange) -> Result<(), Error> {
        convert::few_enough(&change, &self.shared.limits)?;
        self.watch_presence(change.add_presence, &change.remove_presence)?;
        for text in &change.remove {
            if let Ok(conversation) = ConversationId::parse(text) {
                self.stop_watch(&conversation);
            }
        }
        for cursor in change.add {
            match ConversationId::parse(&cursor.conversation_id) {
                Ok(conversation) => self.add_watch(&conversation, cursor.seq)?,
                Err(invalid) => {
                    let error = confab_kit::Error::violation(
                        "watch.add.conversation_id",
                        invalid.to_string(),
                    );
                    self.send_watch_ended(&cursor.conversation_id, &error.into())?;
                }
            }
        }
        Ok(())
    }

    fn add_watch(&mut self, conversation: &ConversationId, cursor: u64) -> Result<(), Error> {
        let known = self.watches.contains_key(conversation);
        if !known && self.watches.len() >= self.shared.limits.watches {
            let error = Error::Overloaded("the stream watches as many conversations as it may");
            return self.send_watch_ended(conversation.as_str(), &error);
        }
        self.keeper.watch(conversation, cursor);
        self.start_watch(conversation, cursor)
    }

    /// Begins a watch, anew if there is one. Interest comes before any read.
    pub(super) fn start_watch(
        &mut self,
        conversation: &ConversationId,
        cursor: u64,
    ) -> Result<(), Error> {
        let limits = &self.shared.limits;
        let watch = Watch::new(conversation.clone(), &self.caller.user, cursor, limits);
        let lane = Lane::new(watch, self.outbox.clone());
        self.registration.set(conversation, &Interest::Events(Some(Arc::clone(&lane))));
        self.release(conversation);
        self.ended.remove(conversation);
        self.next_generation += 1;
        let watching = Watching { lane, generation: self.next_generation, waiting_read: None };
        self.watches.insert(conversation.clone(), watching);
        self.pump(conversation)
    }

    fn stop_watch(&mut self, conversation: &ConversationId) {
        let Some(watching) = self.watches.remove(conversation) else {
            return;
        };
        if self.memberships.contains(conversation) {
            self.registration.set(conversation, &Interest::Head);
        } else {
            self.registration.remove(conversation);
        }
        self.remember_ended(conversation, watching.lane.lock().cursor());
        self.keeper.unwatch(conversation);
        self.release(conversation);
    }

    fn remember_ended(&mut self, conversation: &ConversationId, cursor: u64) {
        if self.ended.len() >= MAX_ENDED {
            self.ended.clear();
        }
        self.ended.insert(conversation.clone(), cursor);
    }

    /// The server ends a watch. What the client has not acknowledged stays in
    /// the session, so that a stream that resumes it tells the end again.
    fn end_watch(&mut self, conversation: &ConversationId, error: &Error) -> Result<(), Error> {
        let Some(watching) = self.watches.remove(conversation) else {
            return Ok(());
        };
        let cursor = watching.lane.lock().cursor();
        let acked = self.keeper.record.watch.get(conversation).copied().unwrap_or(cursor);
        if acked >= cursor || !matches!(error, Error::NotAParticipant(_)) {
            self.keeper.unwatch(conversation);
        }
        self.remember_ended(conversation, cursor);
        self.registration.remove(conversation);
        self.heads.forget(conversation);
        tracing::debug!(%conversation, cursor, "watch ended");
        self.send_watch_ended(conversation.as_str(), error)?;
        self.release(conversation);
        Ok(())
    }

    fn send_watch_ended(&mut self, conversation: &str, error: &Error) -> Result<(), Error> {
        self.send(frame(Frame::WatchEnded(convert::watch_ended(conversation, error))))
    }

    /// The bus brought an event of a watched conversation.
    pub(super) fn on_event(&mut self, event: &SharedEvent) -> Result<(), Error> {
        let Some(watching) = self.watches.get(&event.conversation) else {
            return Ok(());
        };
        let mut watch = watching.lane.lock();
        if let Some(bytes) = watch.hear(event) {
            // Before the next one can pass by the lane.
            self.send(bytes)?;
            let live = watch.is_live();
            drop(watch);
            if changes_members(&event.event) {
                self.doubt_presence();
            }
            self.shared.deliveries.increment(1);
            if live {
                return Ok(());
            }
        } else {
            drop(watch);
        }
        self.pump(&event.conversation)
    }

    /// Somebody's cursors moved. One that names more than was sent here would
    /// tell of events that the user may not be allowed to see.
    pub(super) fn on_receipt(&mut self, receipt: &SharedReceipt) -> Result<(), Error> {
        let Some(watching) = self.watches.get(&receipt.conversation) else {
            return Ok(());
        };
        let mut watch = watching.lane.lock();
        if receipt.reach > watch.cursor() {
            watch.hear_of(receipt.reach);
            drop(watch);
            return self.pump(&receipt.conversation);
        }
        if watch.is_live() && self.outbox.has_room() {
            self.send(receipt.frame.clone())?;
        }
        Ok(())
    }

    /// Somebody types. As with receipts, one that is ahead of what was sent here is
    /// not for this user to know yet; and nothing waits for a slow reader.
    pub(super) fn on_typing(&mut self, typing: &SharedTyping) -> Result<(), Error> {
        let Some(watching) = self.watches.get(&typing.conversation) else {
            return Ok(());
        };
        if typing.user == self.caller.user {
            return Ok(());
        }
        let mut watch = watching.lane.lock();
        if typing.reach > watch.cursor() && !mutant::is("typing-ahead") {
            watch.hear_of(typing.reach);
            drop(watch);
            return self.pump(&typing.conversation);
        }
        if watch.is_live() && self.outbox.has_room() {
            self.shared.typing_frames.increment(1);
            self.send(typing.frame.clone())?;
        }
        Ok(())
    }

    /// Something of this conversation was lost on the way here.
    pub(super) fn doubt(&mut self, conversation: &ConversationId) -> Result<(), Error> {
        if let Some(watching) = self.watches.get(conversation) {
            watching.lane.lock().doubt();
        }
        self.pump(conversation)
    }

    /// The log was asked for what the bus lost.
    pub(super) fn on_behind(&mut self, outcome: Result<Vec<LogHead>, Error>) -> Result<(), Error> {
        let heads = match outcome {
            Ok(heads) => heads,
            Err(error) => {
                tracing::debug!(%error, "heads not compared");
                return Ok(());
            }
        };
        for head in heads {
            let Ok(conversation) = ConversationId::parse(&head.conversation_id) else {
                continue;
            };
            if let Some(watching) = self.watches.get(&conversation) {
                watching.lane.lock().hear_of(head.seq);
                self.pump(&conversation)?;
            }
        }
        Ok(())
    }

    /// Lets a watch do what it can do now.
    pub(super) fn pump(&mut self, conversation: &ConversationId) -> Result<(), Error> {
        while let Some(watching) = self.watches.get_mut(conversation) {
            if !self.outbox.has_room() {
                let live = watching.lane.lock().is_live();
                if !live && !self.feeding.contains(conversation) {
                    self.feeding.push_back(conversation.clone());
                }
                return Ok(());
            }
            let next = watching.lane.lock().next();
            match next {
                Next::Send { frame, replayed } => {
                    self.shared.replayed.increment(replayed);
                    self.send(frame)?;
                }
                Next::Read(wanted) => {
                    watching.waiting_read = Some(wanted);
                    self.read_or_queue(conversation);
                    return Ok(());
                }
                Next::ReadLater { vain } => {
                    self.retry_later(Retry::Watch(conversation.clone()), vain);
                    self.release(conversation);
                    return Ok(());
                }
                Next::End(error) => return self.end_watch(conversation, &error),
                Next::Rest => {
                    if watching.lane.lock().is_live() {
                        self.release(conversation);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn read_or_queue(&mut self, conversation: &ConversationId) {
        if !self.busy.contains(conversation) && self.busy.len() >= MAX_BUSY {
            self.queued.push_back(conversation.clone());
            return;
        }
        let Some(watching) = self.watches.get_mut(conversation) else {
            return;
        };
        let Some(wanted) = watching.waiting_read.take() else {
            return;
        };
        self.busy.insert(conversation.clone());
        let (reads, generation) = (Arc::clone(&self.reads), watching.generation);
        let conversation = conversation.clone();
        let settled = self.shared.bus.settled();
        self.work.push(Box::pin(async move {
            settled.await;
            let outcome = reads.events(conversation.clone(), wanted).await;
            Done::Read { conversation, generation, outcome }
        }));
    }

    /// The conversation needs its turn no more: the next one has it.
    fn release(&mut self, conversation: &ConversationId) {
        self.busy.remove(conversation);
        while self.busy.len() < MAX_BUSY {
            let Some(next) = self.queued.pop_front() else {
                break;
            };
            self.read_or_queue(&next);
        }
    }

    /// A read was answered.
    pub(super) fn on_read(
        &mut self,
        conversation: &ConversationId,
        generation: u64,
        outcome: Result<Read, Error>,
    ) -> Result<(), Error> {
        let watching = self.watches.get(conversation);
        let Some(watching) = watching.filter(|watching| watching.generation == generation) else {
            return Ok(());
        };
        match outcome {
            Ok(read) => watching.lane.lock().answer(read),
            Err(error) if error.is_about_the_token() => return Err(error),
            Err(error) if error.is_transient() => {
                let times = watching.lane.lock().fail();
                tracing::debug!(%conversation, %error, times, "replay not read");
                if times > MAX_FAILURES {
                    return Err(error);
                }
                self.retry_later(Retry::Watch(conversation.clone()), times);
                self.release(conversation);
                return Ok(());
            }
            Err(error) => return self.end_watch(conversation, &error),
        }
        self.pump(conversation)
    }

    /// The time of a delayed read has come.
    pub(super) fn retry_watch(&mut self, conversation: &ConversationId) -> Result<(), Error> {
        if let Some(watching) = self.watches.get(conversation) {
            watching.lane.lock().retry();
        }
        self.pump(conversation)
    }
}

/// Whether somebody may share a conversation with others since, or no longer.
fn changes_members(event: &Event) -> bool {
    let kind = event.kind.as_ref();
    kind.is_some_and(|kind| {
        matches!(
            kind,
            Kind::ParticipantsJoined(_) | Kind::ParticipantLeft(_) | Kind::ParticipantBanned(_)
        )
    })
}
