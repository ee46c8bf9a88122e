//! The part of a conversation that a node holds in memory: where the fold
//! stands, the request ids of the newest events, and the rows that commands
//! have named so far. It is a cache that the log keeps exact.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
};

use crate::{
    Digest, Event, EventBody, Micros, RequestId, Row, RowKey, Seq, UserId,
    fold::{Effects, fold},
};

/// Rows kept beside the conversation's own; past it they are dropped and loaded again.
const MAX_CACHED_ROWS: usize = 4096;

/// Where a conversation stands: all that `decide` and `fold` look at.
pub trait View {
    /// The last event folded; 0 before the first.
    fn seq(&self) -> Seq;
    /// How many messages there are.
    fn ordinal(&self) -> u64;
    /// The newest message; 0 for none.
    fn last_message(&self) -> Seq;
    /// The time of the last event.
    fn time(&self) -> Micros;
    /// A row that was loaded before; `None` if it does not exist.
    fn row(&self, key: &RowKey) -> Option<&Row>;
    /// The event of a request id, if the tail holds it.
    fn known(&self, sender: &UserId, request: &RequestId) -> Option<(Digest, Seq)>;
}

type Id = (UserId, RequestId);

/// Asked for every command, more than once. Nothing iterates over it, and its
/// hasher has no random key, so it is as deterministic as a sorted map. Who
/// makes ids that collide makes the look-ups of one conversation slower, by no
/// more than the tail is long.
type Ids = HashMap<Id, (Digest, Seq), BuildHasherDefault<DefaultHasher>>;

/// The fold of a conversation up to `seq`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    seq: Seq,
    ordinal: u64,
    last_message: Seq,
    time: Micros,
    rows: BTreeMap<RowKey, Option<Row>>,
    tail: Tail,
}

impl State {
    /// The state after `base`, whose effects and all before it are applied; no
    /// rows and a tail of one.
    pub fn after(base: &Event) -> Self {
        let mut state =
            Self { tail: Tail { floor: base.seq - 1, ..Tail::default() }, ..Self::default() };
        state.step(base);
        state
    }

    /// Those of `keys` that are not in memory.
    pub fn missing(&self, keys: impl IntoIterator<Item = RowKey>) -> Vec<RowKey> {
        let mut missing: Vec<_> =
            keys.into_iter().filter(|key| !self.rows.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// A row that is in memory; `None` also where it was not loaded.
    pub fn loaded(&self, key: &RowKey) -> Option<&Row> {
        self.rows.get(key).and_then(Option::as_ref)
    }

    /// Takes rows from the store. A row that is already here is as new or newer.
    pub fn insert(&mut self, rows: Vec<(RowKey, Option<Row>)>) {
        for (key, row) in rows {
            self.rows.entry(key).or_insert(row);
        }
    }

    /// Folds the next event and returns its effects.
    pub fn fold(&mut self, event: &Event) -> Effects {
        let effects = fold(self, event);
        for (key, row) in &effects.rows {
            self.rows.insert(key.clone(), Some(row.clone()));
        }
        if let EventBody::MessageCreated(message) = &event.body
            && let Some(absent) = self.rows.get_mut(&RowKey::Message(event.seq))
        {
            // Somebody named the message before it was there.
            *absent = Some(Row::Message(message.clone()));
        }
        self.step(event);
        effects
    }

    fn step(&mut self, event: &Event) {
        self.seq = event.seq;
        self.ordinal = event.ordinal;
        self.last_message = event.last_message;
        self.time = event.time;
        self.tail.push(event);
    }

    /// Forgets all rows but the conversation's if there are too many. Not between
    /// the loading of a group's rows and its decision, which needs every one.
    pub fn trim_rows(&mut self) {
        if self.rows.len() > MAX_CACHED_ROWS {
            self.rows.retain(|key, _| *key == RowKey::Conversation);
        }
    }

    /// Forgets a row, so that it is loaded again when it is named.
    pub fn forget_row(&mut self, key: &RowKey) {
        self.rows.remove(key);
    }

    /// Forgets request ids of all but the newest events.
    pub fn trim_tail(&mut self, limit: u64) {
        self.tail.trim(self.seq.saturating_sub(limit));
    }

    /// Request ids of all events above this seq are in memory.
    pub fn tail_floor(&self) -> Seq {
        self.tail.floor
    }

    /// Takes older events, oldest first, that end where the tail begins.
    pub fn extend_tail(&mut self, older: &[Event]) {
        for event in older.iter().rev() {
            if event.seq == self.tail.floor {
                self.tail.push_older(event);
            }
        }
    }
}

impl View for State {
    fn seq(&self) -> Seq {
        self.seq
    }
    fn ordinal(&self) -> u64 {
        self.ordinal
    }
    fn last_message(&self) -> Seq {
        self.last_message
    }
    fn time(&self) -> Micros {
        self.time
    }
    fn row(&self, key: &RowKey) -> Option<&Row> {
        debug_assert!(self.rows.contains_key(key), "{key:?} was not loaded");
        self.rows.get(key).and_then(Option::as_ref)
    }
    fn known(&self, sender: &UserId, request: &RequestId) -> Option<(Digest, Seq)> {
        self.tail.ids.get(&(sender.clone(), request.clone())).copied()
    }
}

/// The request ids of the newest events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tail {
    floor: Seq,
    order: VecDeque<Id>,
    ids: Ids,
}

impl Hash for Tail {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.floor.hash(hasher);
        self.order.hash(hasher);
        // In the order of the log; a hash map has none of its own.
        for id in &self.order {
            self.ids.get(id).hash(hasher);
        }
    }
}

impl Tail {
    fn push(&mut self, event: &Event) {
        let id = (event.actor.clone(), event.request_id.clone());
        self.ids.insert(id.clone(), (event.digest, event.seq));
        self.order.push_back(id);
    }

    fn push_older(&mut self, event: &Event) {
        let id = (event.actor.clone(), event.request_id.clone());
        self.ids.insert(id.clone(), (event.digest, event.seq));
        self.order.push_front(id);
        self.floor = event.seq - 1;
    }

    fn trim(&mut self, floor: Seq) {
        while self.floor < floor {
            let Some(id) = self.order.pop_front() else {
                break;
            };
            self.ids.remove(&id);
            self.floor += 1;
        }
    }
}

/// A state with events on top that are decided but not appended: what the next
/// command of the same group is decided against.
#[derive(Debug)]
pub struct Draft<'a> {
    base: &'a State,
    rows: BTreeMap<RowKey, Row>,
    ids: Ids,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    /// Nothing on top yet.
    pub fn new(base: &'a State) -> Self {
        Self { base, rows: BTreeMap::new(), ids: Ids::default(), events: Vec::new() }
    }

    /// Puts a decided event on top.
    pub fn push(&mut self, event: Event) {
        let effects = fold(self, &event);
        self.rows.extend(effects.rows);
        if let EventBody::MessageCreated(message) = &event.body {
            self.rows.insert(RowKey::Message(event.seq), Row::Message(message.clone()));
        }
        let id = (event.actor.clone(), event.request_id.clone());
        self.ids.insert(id, (event.digest, event.seq));
        self.events.push(event);
    }

    /// The events on top, in order.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}

impl View for Draft<'_> {
    fn seq(&self) -> Seq {
        self.events.last().map_or(self.base.seq, |event| event.seq)
    }
    fn ordinal(&self) -> u64 {
        self.events.last().map_or(self.base.ordinal, |event| event.ordinal)
    }
    fn last_message(&self) -> Seq {
        self.events.last().map_or(self.base.last_message, |event| event.last_message)
    }
    fn time(&self) -> Micros {
        self.events.last().map_or(self.base.time, |event| event.time)
    }
    fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.get(key).or_else(|| self.base.row(key))
    }
    fn known(&self, sender: &UserId, request: &RequestId) -> Option<(Digest, Seq)> {
        let id = (sender.clone(), request.clone());
        self.ids.get(&id).copied().or_else(|| self.base.known(sender, request))
    }
}
