//! The conversations of the user that the stream does not watch: one slot
//! each, the latest head wins, at most one a second for each.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use confab_kit::random;
use confab_log::{ConversationId, mutant};
use confab_proto::{messages::v1::LogHead, realtime::v1::connect_response::Frame};
use tokio::time::Instant;

use super::stream::{Done, Stream};
use crate::{convert, error::Error, frame::frame};

/// Heads that are read in one call.
const BATCH: usize = 100;
/// When all heads are read after some may have been lost, on average: all streams of
/// the process have lost them at once.
const DOUBT: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub(super) struct HeadSlots {
    interval: Duration,
    slots: HashMap<ConversationId, Slot>,
    /// The conversations that moved, by when they may be shown.
    due: BTreeSet<(Instant, ConversationId)>,
    reading: bool,
}

#[derive(Debug)]
struct Slot {
    /// The head that the client has.
    shown: u64,
    /// Not before.
    next: Option<Instant>,
    due: Option<Instant>,
}

impl HeadSlots {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, slots: HashMap::new(), due: BTreeSet::new(), reading: false }
    }

    /// To be shown at that time, or earlier where it is due already.
    fn mark(&mut self, conversation: &ConversationId, from: Instant) {
        let new = Slot { shown: 0, next: None, due: None };
        let slot = self.slots.entry(conversation.clone()).or_insert(new);
        let at = slot.next.map_or(from, |next| next.max(from));
        if slot.due.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(later) = slot.due.replace(at) {
            self.due.remove(&(later, conversation.clone()));
        }
        self.due.insert((at, conversation.clone()));
    }

    /// Its head is of no interest any more.
    pub(super) fn forget(&mut self, conversation: &ConversationId) {
        if let Some(at) = self.slots.remove(conversation).and_then(|slot| slot.due) {
            self.due.remove(&(at, conversation.clone()));
        }
    }

    /// When the next head may be shown; one read runs at a time.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.reading { None } else { self.due.first().map(|(at, _)| *at) }
    }

    /// Those that may be shown now, with what the client has.
    fn take(&mut self, now: Instant) -> Vec<(ConversationId, u64)> {
        let mut taken = Vec::new();
        while taken.len() < BATCH && self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, conversation)) = self.due.pop_first() else {
                break;
            };
            if let Some(slot) = self.slots.get_mut(&conversation) {
                slot.due = None;
                slot.next = Some(now + self.interval);
                taken.push((conversation, slot.shown));
            }
        }
        taken
    }
}

impl Stream {
    /// A conversation has moved.
    pub(super) fn mark_head(&mut self, conversation: &ConversationId, now: Instant) {
        if self.memberships.contains(conversation) && !self.watches.contains_key(conversation) {
            self.heads.mark(conversation, now);
        }
    }

    /// Any conversation may have moved unheard: of those that are not watched nothing
    /// that follows would tell. What the client has is not shown again.
    pub(super) fn doubt_heads(&mut self) {
        if mutant::is("heads-not-doubted") {
            return;
        }
        let at = Instant::now() + random::jitter(DOUBT);
        let memberships: Vec<_> = self.memberships.iter().cloned().collect();
        for conversation in &memberships {
            self.mark_head(conversation, at);
        }
    }

    /// Reads the heads that may be shown now.
    pub(super) fn read_heads(&mut self, now: Instant) {
        let wanted = self.heads.take(now);
        if wanted.is_empty() {
            return;
        }
        if !self.outbox.has_room() {
            // The latest wins: it is read when the reader keeps up.
            for (conversation, _) in &wanted {
                self.heads.mark(conversation, now);
            }
            return;
        }
        self.heads.reading = true;
        let asked = wanted.iter().map(|(conversation, _)| conversation.clone()).collect();
        let reads = Arc::clone(&self.reads);
        let settled = self.shared.bus.settled();
        self.work.push(Box::pin(async move {
            settled.await;
            Done::Heads { asked, outcome: reads.heads(wanted).await }
        }));
    }

    /// The heads were read.
    pub(super) fn on_heads(
        &mut self,
        asked: &[ConversationId],
        outcome: Result<Vec<LogHead>, Error>,
    ) -> Result<(), Error> {
        self.heads.reading = false;
        let heads = match outcome {
            Ok(heads) => heads,
            Err(error) if error.is_about_the_token() => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "heads not read");
                let now = Instant::now();
                for conversation in asked {
                    self.mark_head(conversation, now);
                }
                return Ok(());
            }
        };
        for head in heads {
            let Ok(conversation) = ConversationId::parse(&head.conversation_id) else {
                continue;
            };
            if self.watches.contains_key(&conversation) {
                continue;
            }
            let Some(slot) = self.heads.slots.get_mut(&conversation) else {
                continue;
            };
            slot.shown = slot.shown.max(head.seq);
            self.send(frame(Frame::Head(convert::head(head))))?;
        }
        Ok(())
    }
}
