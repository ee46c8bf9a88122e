//! One watched conversation on one stream: from which event on the client
//! knows nothing, and what comes next for it. Pure: it is told what the bus
//! brought and what the log answered, and says what to send or to read.
//!
//! The promise it keeps: whatever it sends next is the event `cursor + 1`, or
//! a gap that starts there. What the bus says is only ever a hint to that.

mod event;

use bytes::Bytes;
use confab_log::{ConversationId, UserId, mutant};
use confab_proto::{
    messages::v1::{Event, event::Kind},
    method::Relation,
    realtime::v1::{Gap, Synced, connect_response::Frame},
};

use crate::{
    Limits,
    error::Error,
    frame::{SharedEvent, event_frame, frame},
    page::Page,
    patience::Patience,
};
use event::{changes_history, own_membership};

/// What the log's owner says of the user and the conversation.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) as_of: u64,
    pub(crate) relation: Relation,
    pub(crate) visible: u64,
    /// The parts of the log that the user may see, where it is not all of it.
    pub(crate) spans: Vec<(u64, u64)>,
}

/// What a read brought.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Looked at before the events; absent when it was not asked for.
    pub(crate) view: Option<View>,
    /// The events above the cursor.
    pub(crate) events: Vec<Event>,
    /// The newest event that the user may see.
    pub(crate) head: u64,
}

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Events above this one.
    pub(crate) after: u64,
    /// This many.
    pub(crate) most: i32,
    /// After a look at the user's relation.
    pub(crate) look: bool,
}

/// What comes next for a conversation.
#[derive(Debug)]
pub(crate) enum Next {
    /// This frame; `replayed` counts its events.
    Send { frame: Bytes, replayed: u64 },
    /// A read from the cursor.
    Read(Wanted),
    /// The same, but not at once: the last one was in vain this many times.
    ReadLater { vain: u32 },
    /// The watch is over.
    End(Error),
    /// Nothing until something happens.
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Something is to be sent or read.
    Moving,
    /// A read is under way.
    Reading,
    /// A read failed, or brought nothing; another one comes.
    Waiting,
    /// Up to date as far as is known.
    Live,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    conversation: ConversationId,
    user: UserId,
    /// The last event sent, or passed by a gap.
    cursor: u64,
    /// The highest event heard of.
    heard: u64,
    phase: Phase,
    /// Whether the next read looks at the user's relation first.
    look: bool,
    /// The user was a participant at this event: leaves up to it are history.
    member_as_of: u64,
    /// The user is not a participant, and may see this far.
    former_until: Option<u64>,
    /// The parts of the log that the user may see; empty for all of it.
    spans: Vec<(u64, u64)>,
    page: Page,
    gap: Option<Gap>,
    end: Option<Error>,
    synced: bool,
    /// Something may have been lost that nobody can name.
    doubtful: bool,
    patience: Patience,
    gap_events: u64,
    live_count: u64,
}

impl Watch {
    /// Starts from the last event that the client has applied.
    pub(crate) fn new(
        conversation: ConversationId,
        user: &UserId,
        cursor: u64,
        limits: &Limits,
    ) -> Self {
        Self {
            conversation,
            user: user.clone(),
            cursor,
            heard: 0,
            phase: Phase::Moving,
            look: true,
            member_as_of: 0,
            former_until: None,
            spans: Vec::new(),
            page: Page::new(limits.page_events),
            gap: None,
            end: None,
            synced: false,
            doubtful: false,
            patience: Patience::default(),
            gap_events: limits.gap_events,
            live_count: 0,
        }
    }

    /// The last event sent, or passed by a gap.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether it is up to date as far as is known.
    pub(crate) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Whether this is simply the next event: to [hear](Self::hear) it moves the
    /// cursor, and changes nothing else.
    pub(crate) fn takes(&self, shared: &SharedEvent) -> bool {
        let plain = shared.is_plain || mutant::is("lane-takes-all");
        self.phase == Phase::Live
            && shared.event.seq == self.cursor + 1
            && plain
            && !self.is_about_hidden(&shared.event)
    }

    /// The bus brought an event. Returns its frame if it is the next one.
    pub(crate) fn hear(&mut self, shared: &SharedEvent) -> Option<Bytes> {
        let seq = shared.event.seq;
        if self.phase != Phase::Live || seq <= self.cursor {
            self.heard = self.heard.max(seq);
            return None;
        }
        let hole = seq > self.cursor + 1 && !mutant::is("realtime-skip-hole-check");
        // What it says of a hidden message is not for this user: the log knows how.
        if hole || self.is_about_hidden(&shared.event) {
            self.hear_of(seq);
            return None;
        }
        self.pass(&shared.event);
        if self.end.is_some() || self.look {
            self.phase = Phase::Moving;
        }
        self.live_count += 1;
        if mutant::is("realtime-drop-event") && self.live_count.is_multiple_of(10) {
            return None;
        }
        Some(shared.frame())
    }

    /// Something tells of this event, without bringing it.
    pub(crate) fn hear_of(&mut self, seq: u64) {
        self.heard = self.heard.max(seq);
        if self.phase == Phase::Live && self.heard > self.cursor {
            self.phase = Phase::Moving;
        }
    }

    /// Something was lost on the way here: only the log knows what.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = true;
        if self.phase == Phase::Live {
            self.phase = Phase::Moving;
        }
    }

    /// A read was answered.
    pub(crate) fn answer(&mut self, read: Read) {
        self.phase = Phase::Moving;
        if let Some(view) = read.view {
            self.look = false;
            if !self.take_view(view) {
                return;
            }
        } else if read.head.saturating_sub(self.cursor) > self.gap_events {
            // A gap may hide the user's own leave: look first.
            self.look = true;
            return;
        }
        self.page.fill(read.events, read.head);
        if self.page.passes(self.cursor) {
            self.patience.restore();
        } else if self.is_behind() {
            self.patience.lose();
        }
    }

    fn is_behind(&self) -> bool {
        self.cursor < self.page.head.max(self.heard)
    }

    /// A read failed in a way that a later one may not.
    pub(crate) fn fail(&mut self) -> u32 {
        self.phase = Phase::Waiting;
        self.patience.lose()
    }

    /// The time of a delayed read has come.
    pub(crate) fn retry(&mut self) {
        if self.phase == Phase::Waiting {
            self.phase = Phase::Moving;
            self.patience.resume();
        }
    }

    /// Whether the page of the read may be looked at.
    fn take_view(&mut self, view: View) -> bool {
        if view.relation == Relation::Stranger {
            self.end = Some(Error::ConversationNotFound(self.conversation.clone()));
            return false;
        }
        if self.cursor > view.visible && !self.synced {
            self.end = Some(Error::CursorAboveHead { cursor: self.cursor, head: view.visible });
            return false;
        }
        if view.relation >= Relation::Member {
            self.member_as_of = view.as_of;
            self.former_until = None;
        } else {
            self.former_until = Some(view.visible);
        }
        self.spans = view.spans;
        if mutant::is("realtime-no-replay") {
            self.cursor = self.cursor.max(view.visible);
            self.heard = 0;
            return false;
        }
        if view.visible.saturating_sub(self.cursor) > self.gap_events {
            self.skip_to(view.visible);
            return false;
        }
        true
    }

    /// Moves the cursor over events that are not sent.
    fn skip_to(&mut self, seq: u64) {
        metrics::counter!("confab_gaps_total").increment(1);
        self.gap = Some(Gap {
            conversation_id: self.conversation.as_str().to_owned(),
            from_seq: self.cursor + 1,
            to_seq: seq,
        });
        self.cursor = seq;
        self.page.head = seq;
        self.patience.restore();
    }

    /// Moves the cursor to an event that is sent.
    fn pass(&mut self, event: &Event) {
        self.cursor = event.seq;
        match own_membership(event, self.user.as_str()) {
            Some(false)
                if event.seq > self.member_as_of && !mutant::is("realtime-after-removal") =>
            {
                self.page.clear();
                self.end = Some(Error::NotAParticipant(self.conversation.clone()));
            }
            Some(true) => {
                self.former_until = None;
                self.member_as_of = self.member_as_of.max(event.seq);
            }
            _ => {}
        }
        if changes_history(event) {
            // What is hidden is another part from here on.
            self.look = true;
        }
    }

    /// Whether the event says something of a message that the user may not see.
    /// What came after the look is theirs: a leave would have ended the watch.
    fn is_about_hidden(&self, event: &Event) -> bool {
        let Some(Kind::MessageEdited(edit)) = &event.kind else { return false };
        let seen = |(from, to): &(u64, u64)| (*from..=*to).contains(&edit.message_seq);
        let known_to = self.spans.last().map_or(0, |(_, to)| *to);
        edit.message_seq <= known_to && !self.spans.iter().any(seen)
    }

    /// What comes next. Asked again until it says to read, rest or end.
    pub(crate) fn next(&mut self) -> Next {
        if self.phase != Phase::Moving {
            return Next::Rest;
        }
        if let Some(gap) = self.gap.take() {
            return Next::Send { frame: frame(Frame::Gap(gap)), replayed: 0 };
        }
        if let Some(sent) = self.next_of_page() {
            return sent;
        }
        if let Some(end) = self.end.take() {
            return Next::End(end);
        }
        if self.former_until.is_some_and(|until| self.cursor >= until) {
            return Next::End(Error::NotAParticipant(self.conversation.clone()));
        }
        if self.look || self.doubtful || self.is_behind() {
            return self.next_read();
        }
        self.patience.restore();
        if !self.synced {
            self.synced = true;
            let synced =
                Synced { conversation_id: self.conversation.as_str().to_owned(), seq: self.cursor };
            return Next::Send { frame: frame(Frame::Synced(synced)), replayed: 0 };
        }
        self.phase = Phase::Live;
        Next::Rest
    }

    fn next_of_page(&mut self) -> Option<Next> {
        loop {
            let event = self.page.pop()?;
            if event.seq <= self.cursor {
                continue;
            }
            if event.seq > self.cursor + 1 {
                // The log itself leaves these out for this user.
                let head = self.page.head;
                self.skip_to(event.seq - 1);
                self.page.head = head;
                self.page.unpop(event);
                let gap = self.gap.take()?;
                return Some(Next::Send { frame: frame(Frame::Gap(gap)), replayed: 0 });
            }
            self.pass(&event);
            return Some(Next::Send { frame: event_frame(&event), replayed: 1 });
        }
    }

    fn next_read(&mut self) -> Next {
        if self.patience.pause() > 0 && self.patience.is_over() {
            tracing::warn!(
                conversation = %self.conversation, cursor = self.cursor, heard = self.heard,
                "the log does not have what was heard of"
            );
            self.heard = self.cursor;
            self.page.head = self.cursor;
            self.look = false;
            self.patience.restore();
            return self.next();
        }
        if self.patience.pause() > 0 {
            // What was heard of may lie behind the user's own leave.
            self.look = true;
            self.phase = Phase::Waiting;
            return Next::ReadLater { vain: self.patience.pause() };
        }
        self.phase = Phase::Reading;
        self.doubtful = false;
        Next::Read(Wanted { after: self.cursor, most: self.page.size(), look: self.look })
    }
}
