//! The cursors of a stream, as a pure state machine: frames go in, updates and
//! gaps to be paged come out. It never talks to anybody.
//!
//! It knows each log by its topic: a conversation's id, or the empty string for
//! the inbox. `wire` is where the server is on this connection, and the next frame
//! must be `wire + 1` or a gap from there. `received` is what was handed on, ever;
//! after resuming a session the server repeats some of it, and that is passed over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use confab_proto::{
    conversations::v1::ConversationCursor, messages::v1::Event, participants::v1::InboxEvent,
};

use super::update::{INBOX, Topic, Update, conversation};
use crate::error::Error;

/// Frames that may wait behind gaps, in all. Above it nothing is read.
const HELD_FRAMES: usize = 256;

/// A frame that moves a cursor.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Event(Box<Event>),
    Inbox(Box<InboxEvent>),
    Gap {
        from: u64,
        to: u64,
    },
    Synced {
        seq: u64,
    },
    /// Nothing more comes of this log.
    Ended(Error),
}

/// What is to be done because of a frame.
#[derive(Debug)]
pub(crate) enum Step {
    /// Hand this to the application.
    Emit { epoch: u64, update: Update },
    /// Page this gap.
    Page(PageRequest),
}

/// A page of a gap: events above `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageRequest {
    pub(crate) topic: Topic,
    pub(crate) after: u64,
    generation: u64,
}

/// How the first frame of a log fits to its cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Anchor {
    /// It is the cursor plus one.
    #[default]
    Fixed,
    /// The server resumes a session at a cursor that it does not tell, at most ours.
    AtMost,
    /// The server knows the cursor, and we do not.
    Anywhere,
}

#[derive(Debug, Default)]
struct Track {
    wire: u64,
    received: u64,
    anchor: Anchor,
    /// Which watch of the application it is.
    epoch: u64,
    /// Whether frames of an earlier watch may still be under way.
    unsettled: bool,
    /// Ends pages of an earlier watch or connection.
    generation: u64,
    gap_to: Option<u64>,
    held: VecDeque<Item>,
}

/// All logs that a stream follows.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    tracks: BTreeMap<Topic, Track>,
    /// Watched at some time on this connection.
    seen: BTreeSet<Topic>,
    held: usize,
    generations: u64,
    duplicates: u64,
}

impl Tracker {
    /// Follows a log from a cursor, or follows it from another one.
    pub(crate) fn watch(&mut self, topic: &str, cursor: u64, epoch: u64) {
        self.unwatch(topic);
        self.generations += 1;
        let track = Track {
            wire: cursor,
            received: cursor,
            epoch,
            unsettled: !self.seen.insert(topic.to_owned()),
            generation: self.generations,
            ..Track::default()
        };
        self.tracks.insert(topic.to_owned(), track);
    }

    pub(crate) fn unwatch(&mut self, topic: &str) {
        if let Some(track) = self.tracks.remove(topic) {
            self.held -= track.held.len();
        }
    }

    pub(crate) fn is_watched(&self, topic: &str) -> bool {
        self.tracks.contains_key(topic)
    }

    /// How far the server is with a log on this connection; `None` when it is not
    /// watched. A server that has not shown where it resumed is nowhere yet.
    pub(crate) fn reached(&self, topic: &str) -> Option<u64> {
        let track = self.tracks.get(topic)?;
        Some(if track.anchor == Anchor::Fixed { track.wire } else { 0 })
    }

    /// How many conversations are watched.
    pub(crate) fn watches(&self) -> usize {
        self.tracks.keys().filter(|topic| *topic != INBOX).count()
    }

    /// Begins a connection whose server goes on from what was received.
    pub(crate) fn begin(&mut self) {
        self.seen = self.tracks.keys().cloned().collect();
        self.held = 0;
        for track in self.tracks.values_mut() {
            self.generations += 1;
            track.wire = track.received;
            track.unsettled = false;
            track.anchor = Anchor::Fixed;
            track.generation = self.generations;
            track.gap_to = None;
            track.held.clear();
        }
    }

    /// The server goes on from this cursor, which may be older than ours. If it is
    /// newer, the log is to be watched anew from ours: that cursor is returned.
    pub(crate) fn resume_at(&mut self, topic: &str, cursor: u64) -> Option<u64> {
        let track = self.tracks.get_mut(topic)?;
        if cursor <= track.received {
            track.wire = cursor;
            return None;
        }
        track.unsettled = true;
        Some(track.received)
    }

    /// The server goes on from a cursor of its own that it does not tell.
    pub(crate) fn resume_somewhere(&mut self, topic: &str, epoch: u64) {
        if let Some(track) = self.tracks.get_mut(topic) {
            track.anchor = Anchor::AtMost;
            return;
        }
        self.watch(topic, 0, epoch);
        if let Some(track) = self.tracks.get_mut(topic) {
            track.anchor = Anchor::Anywhere;
        }
    }

    /// What was received of each conversation.
    pub(crate) fn cursors(&self) -> Vec<ConversationCursor> {
        let watched = self.tracks.iter().filter(|(topic, _)| *topic != INBOX);
        let cursor = |(topic, track): (&Topic, &Track)| ConversationCursor {
            conversation_id: topic.clone(),
            seq: track.received,
        };
        watched.map(cursor).collect()
    }

    pub(crate) fn received(&self, topic: &str) -> Option<u64> {
        self.tracks.get(topic).map(|track| track.received)
    }

    /// Frames that came twice on one connection. A correct server sends none.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Whether so much waits behind gaps that nothing more should be read.
    pub(crate) fn is_full(&self) -> bool {
        self.held >= HELD_FRAMES
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// [`Error::Protocol`] when events are missing before it.
    pub(crate) fn accept(&mut self, topic: &str, item: Item) -> Result<Vec<Step>, Error> {
        // Unwatched since: the frame was under way.
        let Some(track) = self.tracks.get_mut(topic) else { return Ok(Vec::new()) };
        if track.gap_to.is_some() {
            track.held.push_back(item);
            self.held += 1;
            return Ok(Vec::new());
        }
        if let Item::Ended(reason) = item {
            let conversation_id = topic.to_owned();
            let update = Update::WatchEnded { conversation_id, reason };
            let step = Step::Emit { epoch: track.epoch, update };
            self.unwatch(topic);
            return Ok(vec![step]);
        }
        let step = track.accept(topic, item, &mut self.duplicates)?;
        Ok(step.into_iter().collect())
    }

    /// Takes a page of a gap. An empty one says that nothing more of the gap can
    /// be seen.
    ///
    /// # Errors
    /// As [`Tracker::accept`], for what waited behind the gap.
    pub(crate) fn fill(
        &mut self,
        request: &PageRequest,
        page: Vec<Item>,
    ) -> Result<Vec<Step>, Error> {
        let topic = request.topic.as_str();
        let mut steps = Vec::new();
        let Some(track) = self.tracks.get_mut(topic) else { return Ok(steps) };
        if track.generation != request.generation || track.gap_to.is_none() {
            return Ok(steps);
        }
        if let Some(next) = track.fill(topic, page, &mut steps) {
            steps.push(Step::Page(next));
            return Ok(steps);
        }
        let mut held = std::mem::take(&mut track.held);
        self.held -= held.len();
        while let Some(item) = held.pop_front() {
            // A further gap holds the rest back again.
            steps.extend(self.accept(topic, item)?);
        }
        Ok(steps)
    }
}

impl Tracker {
    /// A gap cannot be paged: the watch ends there.
    pub(crate) fn end(&mut self, request: &PageRequest, reason: Error) -> Vec<Step> {
        let Some(track) = self.tracks.get(&request.topic) else { return Vec::new() };
        if track.generation != request.generation {
            return Vec::new();
        }
        let update = Update::WatchEnded { conversation_id: request.topic.clone(), reason };
        let step = Step::Emit { epoch: track.epoch, update };
        self.unwatch(&request.topic);
        vec![step]
    }
}

impl Track {
    fn accept(
        &mut self,
        topic: &str,
        item: Item,
        duplicates: &mut u64,
    ) -> Result<Option<Step>, Error> {
        let (first, last) = match &item {
            Item::Event(event) => (event.seq, event.seq),
            Item::Inbox(event) => (event.inbox_seq, event.inbox_seq),
            Item::Gap { from, to } => (*from, *to),
            Item::Synced { seq } => return self.synced(topic, *seq),
            Item::Ended(_) => return Ok(None),
        };
        self.anchor(first.saturating_sub(1));
        if last <= self.wire {
            *duplicates += u64::from(!self.unsettled);
            return Ok(None);
        }
        if first != self.wire + 1 {
            // Frames of an earlier watch of the same conversation pass by.
            let error = violation(topic, format_args!("{first} came after {}", self.wire));
            return if self.unsettled { Ok(None) } else { Err(error) };
        }
        self.unsettled = false;
        self.wire = last;
        if last <= self.received {
            return Ok(None);
        }
        if matches!(item, Item::Gap { .. }) {
            self.gap_to = Some(last);
            return Ok(Some(Step::Page(self.next_page(topic))));
        }
        self.received = last;
        Ok(item.into_update().map(|update| self.emit(update)))
    }

    /// The first frame shows which cursor the server goes on from.
    fn anchor(&mut self, cursor: u64) {
        match self.anchor {
            Anchor::Fixed => return,
            Anchor::AtMost => self.wire = self.wire.min(cursor),
            Anchor::Anywhere => {
                self.wire = cursor;
                self.received = cursor;
            }
        }
        self.anchor = Anchor::Fixed;
    }

    fn emit(&self, update: Update) -> Step {
        Step::Emit { epoch: self.epoch, update }
    }

    fn synced(&mut self, topic: &str, seq: u64) -> Result<Option<Step>, Error> {
        self.anchor(seq);
        if seq <= self.wire {
            let conversation_id = conversation(topic);
            return Ok(Some(self.emit(Update::Synced { conversation_id, seq })));
        }
        let error = violation(topic, format_args!("synced at {seq} after {}", self.wire));
        if self.unsettled { Ok(None) } else { Err(error) }
    }

    fn next_page(&self, topic: &str) -> PageRequest {
        PageRequest { topic: topic.to_owned(), after: self.received, generation: self.generation }
    }

    /// Takes a page; says which one to get next, or that the gap is passed.
    fn fill(&mut self, topic: &str, page: Vec<Item>, steps: &mut Vec<Step>) -> Option<PageRequest> {
        let to = self.gap_to?;
        let mut at_end = page.is_empty();
        for item in page {
            let seq = item.seq();
            if seq > to {
                at_end = true;
                break;
            }
            if seq <= self.received {
                continue;
            }
            self.hide_through(topic, seq - 1, steps);
            self.received = seq;
            steps.extend(item.into_update().map(|update| self.emit(update)));
        }
        if at_end {
            self.hide_through(topic, to, steps);
        }
        if self.received < to {
            return Some(self.next_page(topic));
        }
        self.gap_to = None;
        None
    }

    /// Passes events that the user may not see.
    fn hide_through(&mut self, topic: &str, to_seq: u64, steps: &mut Vec<Step>) {
        let from_seq = self.received + 1;
        if from_seq > to_seq {
            return;
        }
        self.received = to_seq;
        let conversation_id = conversation(topic);
        steps.push(self.emit(Update::Hidden { conversation_id, from_seq, to_seq }));
    }
}

impl Item {
    fn seq(&self) -> u64 {
        match self {
            Self::Event(event) => event.seq,
            Self::Inbox(event) => event.inbox_seq,
            Self::Gap { to, .. } => *to,
            Self::Synced { seq } => *seq,
            Self::Ended(_) => 0,
        }
    }

    fn into_update(self) -> Option<Update> {
        match self {
            Self::Event(event) => Some(Update::Event(event)),
            Self::Inbox(event) => Some(Update::Inbox(event)),
            Self::Gap { .. } | Self::Synced { .. } | Self::Ended(_) => None,
        }
    }
}

fn violation(topic: &str, what: std::fmt::Arguments<'_>) -> Error {
    let log = if topic == INBOX { "the inbox" } else { topic };
    Error::Protocol(format!("events of {log} are missing: {what}"))
}
