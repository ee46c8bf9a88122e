//! The user's inbox on one stream: as [`crate::watch`], for the one log that
//! nobody else may read and that its owner never leaves. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use confab_proto::{
    participants::v1::{InboxEvent, inbox_event::Kind},
    realtime::v1::{Gap, Synced, connect_response::Frame},
};

use crate::{
    frame::{SharedInbox, frame, inbox_frame},
    patience::Patience,
};

/// What comes next for the inbox.
#[derive(Debug)]
pub(crate) enum Next {
    /// This frame, and what it says of a membership.
    Send { frame: Bytes, change: Option<Change>, replayed: u64 },
    /// A read from the cursor.
    Read { after: u64 },
    /// The same, after a pause.
    ReadLater { vain: u32 },
    /// Memberships may have changed unseen.
    Reload,
    /// Nothing until something happens.
    Rest,
}

/// What an inbox event says of a membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) conversation: String,
    pub(crate) joined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Moving,
    Reading,
    Waiting,
    Live,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Inbox {
    cursor: u64,
    heard: u64,
    phase: Phase,
    page: VecDeque<InboxEvent>,
    page_head: u64,
    /// The memberships that the stream knows reflect the inbox up to here.
    known: u64,
    gap: Option<Gap>,
    reload: bool,
    synced: bool,
    doubtful: bool,
    patience: Patience,
    gap_events: u64,
}

impl Inbox {
    /// Starts at the cursor, with memberships as of the head.
    pub(crate) fn new(cursor: u64, head: u64, gap_events: u64) -> Self {
        let mut inbox = Self {
            cursor,
            heard: 0,
            phase: Phase::Moving,
            page: VecDeque::new(),
            page_head: head,
            known: head,
            gap: None,
            reload: false,
            synced: false,
            doubtful: false,
            patience: Patience::default(),
            gap_events,
        };
        if head.saturating_sub(cursor) > gap_events {
            inbox.skip_to(head);
        }
        inbox
    }

    /// The last event sent, or passed by a gap.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether it is up to date as far as is known.
    pub(crate) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// The bus brought an event. Returns its frame if it is the next one.
    pub(crate) fn hear(&mut self, shared: &SharedInbox) -> Option<(Bytes, Option<Change>)> {
        let seq = shared.event.inbox_seq;
        if self.phase == Phase::Live && seq == self.cursor + 1 {
            self.cursor = seq;
            return Some((shared.frame(), self.change(&shared.event)));
        }
        self.heard = self.heard.max(seq);
        if self.phase == Phase::Live && self.is_behind() {
            self.phase = Phase::Moving;
        }
        None
    }

    /// Something was lost on the way here: only the inbox knows what.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = true;
        if self.phase == Phase::Live {
            self.phase = Phase::Moving;
        }
    }

    /// A read was answered.
    pub(crate) fn answer(&mut self, events: Vec<InboxEvent>, head: u64) {
        self.phase = Phase::Moving;
        self.page_head = head;
        if head.saturating_sub(self.cursor) > self.gap_events {
            self.skip_to(head);
            self.reload = true;
            return;
        }
        self.page = events.into();
        if self.page.iter().any(|event| event.inbox_seq > self.cursor) {
            self.patience.restore();
        } else if self.is_behind() {
            self.patience.lose();
        }
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

    /// The memberships were loaded anew, as of this event.
    pub(crate) fn reloaded(&mut self, head: u64) {
        self.known = self.known.max(head);
    }

    /// What comes next. Asked again until it says to read or rest.
    pub(crate) fn next(&mut self) -> Next {
        if self.phase != Phase::Moving {
            return Next::Rest;
        }
        if let Some(gap) = self.gap.take() {
            return Next::Send { frame: frame(Frame::Gap(gap)), change: None, replayed: 0 };
        }
        if std::mem::take(&mut self.reload) {
            return Next::Reload;
        }
        if let Some(sent) = self.next_of_page() {
            return sent;
        }
        if self.doubtful || self.is_behind() {
            return self.next_read();
        }
        self.patience.restore();
        if !self.synced {
            self.synced = true;
            let synced = Synced { conversation_id: String::new(), seq: self.cursor };
            return Next::Send { frame: frame(Frame::Synced(synced)), change: None, replayed: 0 };
        }
        self.phase = Phase::Live;
        Next::Rest
    }

    fn next_of_page(&mut self) -> Option<Next> {
        loop {
            let Some(event) = self.page.pop_front() else {
                // What a long page took.
                self.page = VecDeque::new();
                return None;
            };
            if event.inbox_seq <= self.cursor {
                continue;
            }
            if event.inbox_seq > self.cursor + 1 {
                let head = self.page_head;
                self.skip_to(event.inbox_seq - 1);
                self.page_head = head;
                self.page.push_front(event);
                let gap = self.gap.take()?;
                return Some(Next::Send {
                    frame: frame(Frame::Gap(gap)),
                    change: None,
                    replayed: 0,
                });
            }
            self.cursor = event.inbox_seq;
            let change = self.change(&event);
            return Some(Next::Send { frame: inbox_frame(&event), change, replayed: 1 });
        }
    }

    fn next_read(&mut self) -> Next {
        if self.patience.pause() > 0 && self.patience.is_over() {
            tracing::warn!(cursor = self.cursor, "the inbox does not have what was heard of");
            self.heard = self.cursor;
            self.page_head = self.cursor;
            self.patience.restore();
            return self.next();
        }
        if self.patience.pause() > 0 {
            self.phase = Phase::Waiting;
            return Next::ReadLater { vain: self.patience.pause() };
        }
        self.phase = Phase::Reading;
        self.doubtful = false;
        Next::Read { after: self.cursor }
    }

    fn is_behind(&self) -> bool {
        self.cursor < self.page_head.max(self.heard)
    }

    fn skip_to(&mut self, seq: u64) {
        metrics::counter!("confab_gaps_total").increment(1);
        self.gap =
            Some(Gap { conversation_id: String::new(), from_seq: self.cursor + 1, to_seq: seq });
        self.cursor = seq;
    }

    /// Old events say nothing new of memberships: they were loaded later.
    fn change(&self, event: &InboxEvent) -> Option<Change> {
        if event.inbox_seq <= self.known {
            return None;
        }
        let joined = match event.kind.as_ref()? {
            Kind::Joined(_) => true,
            Kind::Left(_) => false,
            Kind::ReadCursorMoved(_)
            | Kind::SettingsChanged(_)
            | Kind::UserBlocked(_)
            | Kind::UserUnblocked(_) => return None,
        };
        Some(Change { conversation: event.conversation_id.clone(), joined })
    }
}
