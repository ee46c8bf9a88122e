//! The simulated store: one conversation's log, its projections, its users'
//! inboxes. Each write takes effect at one moment, under the condition that the
//! real store puts on it, whenever it lands. It never fails by itself.

use std::collections::{BTreeMap, BTreeSet};

use confab_log::{
    Event, EventBody, Index, Row, RowKey, Seq, UserId,
    appender::{Done, Io},
    inbox::{Change, Entry, InboxEffect, admit},
};

use super::shared::Shared;

/// One write, with its condition. An `Apply` is several, in any state of ruin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// These rows if the first does not exist; all or none.
    Append(Vec<Event>),
    /// A row of a projection, for this event, unless the stored one is as new.
    Row(Seq, RowKey, Box<Row>),
    /// Content of an edit, for this event.
    Blank(Seq, Seq),
    /// A row of an inbox, for this event, unless it was taken before.
    Inbox(Seq, InboxEffect),
    /// An entry of an index, for this event.
    Index(Seq, Index),
    /// `applied_through`, unless it is higher.
    Raise(Seq),
}

impl Write {
    /// The writes that an I/O is made of; none for a read.
    pub fn parts(io: &Io) -> Vec<Self> {
        match io {
            Io::Look | Io::Read { .. } | Io::Load(_) => Vec::new(),
            Io::Append(events) => vec![Self::Append(events.clone())],
            Io::Raise(seq) => vec![Self::Raise(*seq)],
            Io::Apply(event, effects) => {
                let rows = effects.rows.iter().cloned();
                let rows = rows.map(|(key, row)| Self::Row(event.seq, key, Box::new(row)));
                let blanked = effects.blanked.iter();
                let blanked = blanked.map(|seq| Self::Blank(event.seq, *seq));
                let inbox = effects.inbox.iter().cloned();
                let inbox = inbox.map(|effect| Self::Inbox(event.seq, effect));
                let index = effects.index.iter().cloned();
                let index = index.map(|entry| Self::Index(event.seq, entry));
                rows.chain(blanked).chain(inbox).chain(index).collect()
            }
        }
    }

    /// The event whose effect it is a part of.
    pub fn effect_of(&self) -> Option<Seq> {
        match self {
            Self::Row(seq, ..)
            | Self::Blank(seq, _)
            | Self::Inbox(seq, _)
            | Self::Index(seq, _) => Some(*seq),
            Self::Append(_) | Self::Raise(_) => None,
        }
    }
}

/// One user's inbox, as far as this conversation is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Inbox {
    /// What it keeps for ever.
    pub entry: Entry,
    /// Its rows, dense.
    pub rows: Vec<(Seq, Change)>,
}

/// The store.
#[derive(Clone, Debug, Default, Hash)]
pub struct Store {
    log: Vec<Shared<Event>>,
    rows: BTreeMap<RowKey, Row>,
    blanked: BTreeSet<Seq>,
    inboxes: BTreeMap<UserId, Inbox>,
    index: BTreeSet<Index>,
    applied_through: Seq,
}

impl Store {
    /// The events as they were appended, the first one first.
    pub fn log(&self) -> &[Shared<Event>] {
        &self.log
    }

    /// The newest event.
    pub fn head(&self) -> Seq {
        self.log.len() as Seq
    }

    /// What the head row says.
    pub fn applied_through(&self) -> Seq {
        self.applied_through
    }

    /// The edits whose content is gone.
    pub fn blanked(&self) -> &BTreeSet<Seq> {
        &self.blanked
    }

    /// The inboxes that hold anything.
    pub fn inboxes(&self) -> &BTreeMap<UserId, Inbox> {
        &self.inboxes
    }

    /// By what messages are found.
    pub fn index(&self) -> &BTreeSet<Index> {
        &self.index
    }

    /// A row as it is now. A message lives in its event's row.
    pub fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.get(key)
    }

    /// The events `from..=to`, with the content that they have now.
    fn read(&self, from: Seq, to: Seq) -> Vec<Event> {
        let range = (from..=to).filter_map(|seq| self.log.get(usize::try_from(seq - 1).ok()?));
        range.map(|event| self.current(event)).collect()
    }

    fn current(&self, event: &Event) -> Event {
        let mut event = event.clone();
        match &mut event.body {
            EventBody::MessageCreated(message) => {
                if let Some(Row::Message(row)) = self.rows.get(&RowKey::Message(event.seq)) {
                    message.clone_from(row);
                }
            }
            EventBody::MessageEdited { content, .. } if self.blanked.contains(&event.seq) => {
                *content = None;
            }
            _ => {}
        }
        event
    }

    /// What a read finds now; `None` for a write.
    pub fn answer(&self, io: &Io) -> Option<Done> {
        match io {
            Io::Look => {
                Some(Done::Looked { head: self.head(), applied_through: self.applied_through })
            }
            Io::Read { from, to } => Some(Done::Read(self.read(*from, *to))),
            Io::Load(keys) => {
                let rows = keys.iter();
                let rows = rows.map(|key| (key.clone(), self.row(key).cloned()));
                Some(Done::Loaded(rows.collect()))
            }
            Io::Append(_) | Io::Apply(..) | Io::Raise(_) => None,
        }
    }

    /// Lands a write: whether its condition held.
    pub fn write(&mut self, write: &Write, inbox_tail: usize) -> bool {
        let wanted = self.wants(write);
        match write {
            Write::Append(events) if wanted => self.append(events),
            Write::Row(_, key, row) if wanted => {
                self.rows.insert(key.clone(), (**row).clone());
            }
            Write::Blank(_, seq) => {
                self.blanked.insert(*seq);
            }
            Write::Inbox(seq, effect) => return self.tell(*seq, effect, inbox_tail),
            Write::Index(_, entry) => {
                self.index.insert(entry.clone());
            }
            Write::Raise(seq) if wanted => self.applied_through = *seq,
            _ => {}
        }
        wanted
    }

    /// Whether a write's condition holds now. Once it does not, it never will.
    pub fn wants(&self, write: &Write) -> bool {
        match write {
            Write::Append(events) => events.first().is_some_and(|event| event.seq > self.head()),
            Write::Row(_, key, row) => {
                let stored = self.rows.get(key).map_or(0, Row::applied_seq);
                stored < row.applied_seq()
            }
            Write::Blank(_, seq) => !self.blanked.contains(seq),
            Write::Inbox(seq, effect) => {
                let inbox = self.inboxes.get(&effect.user);
                inbox.is_none_or(|inbox| inbox.entry.last_effect < *seq)
            }
            Write::Index(_, entry) => !self.index.contains(entry),
            Write::Raise(seq) => self.applied_through < *seq,
        }
    }

    fn append(&mut self, events: &[Event]) {
        for event in events {
            if let EventBody::MessageCreated(message) = &event.body {
                let row = Row::Message(message.clone());
                self.rows.insert(RowKey::Message(event.seq), row);
            }
            self.log.push(Shared::new(event.clone()));
        }
    }

    fn tell(&mut self, seq: Seq, effect: &InboxEffect, inbox_tail: usize) -> bool {
        let inbox = self.inboxes.entry(effect.user.clone()).or_default();
        let newest = inbox.rows.iter().rev().take(inbox_tail);
        let in_tail = newest.into_iter().any(|(known, _)| *known == seq);
        let taken = admit(&mut inbox.entry, seq, effect.change, in_tail);
        if taken {
            inbox.rows.push((seq, effect.change));
        }
        taken
    }
}
