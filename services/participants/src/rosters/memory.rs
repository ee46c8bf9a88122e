//! What one process remembers: so many lists and bytes, each for a time, the ones that
//! were not asked for the longest forgotten first. A state behind a lock; never waits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use confab_log::{ConversationId, Seq, TenantId};
use metrics::gauge;
use tokio::time::Instant;

use super::roster::Roster;

/// What an entry costs beside its list, about.
const ENTRY_BYTES: usize = 512;

/// Whose list.
pub(super) type Key = (TenantId, ConversationId);

/// A list that is remembered.
#[derive(Clone)]
pub(super) struct Known {
    /// `None`: it is too large, and read from the store.
    pub(super) roster: Option<Arc<Roster>>,
    /// A look at the log, up to which nothing else has changed it than its label says.
    pub(super) through: Seq,
}

/// See the module.
pub(super) struct Memory {
    most_bytes: usize,
    most: usize,
    time: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    enabled: bool,
    entries: HashMap<Key, Entry>,
    /// By when they were asked for last.
    order: BTreeMap<u64, Key>,
    turn: u64,
    bytes: usize,
}

struct Entry {
    known: Known,
    until: Instant,
    turn: u64,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(most_bytes: usize, most: usize, time: Duration, enabled: bool) -> Self {
        Self { most_bytes, most, time, state: Mutex::new(State { enabled, ..State::default() }) }
    }

    /// Switches it on or off; whether it was on. Off, it holds nothing, and takes nothing.
    pub(super) fn enable(&self, enabled: bool) -> bool {
        let mut state = self.lock();
        let before = state.enabled;
        if before != enabled {
            *state = State { enabled, ..State::default() };
            state.tell();
        }
        before
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.lock().enabled
    }

    /// What is remembered, unless its time is over.
    pub(super) fn get(&self, key: &Key) -> Option<Known> {
        let mut state = self.lock();
        let entry = state.entries.get(key)?;
        if entry.until <= Instant::now() {
            state.remove(key);
            return None;
        }
        let known = entry.known.clone();
        state.touch(key);
        Some(known)
    }

    /// Remembers a list that was found to be good through this look. Not in the place of
    /// one that is newer.
    pub(super) fn put(&self, key: Key, roster: Option<Arc<Roster>>, through: Seq) {
        let bytes = ENTRY_BYTES + roster.as_ref().map_or(0, |roster| roster.bytes());
        let mut state = self.lock();
        if !state.enabled {
            return;
        }
        if let Some(entry) = state.entries.get(&key)
            && let Some(stored) = &entry.known.roster
            && roster.as_ref().is_some_and(|roster| roster.seq < stored.seq)
        {
            return;
        }
        state.remove(&key);
        let turn = state.next_turn();
        let until = Instant::now() + self.time;
        state.order.insert(turn, key.clone());
        state.entries.insert(key, Entry { known: Known { roster, through }, until, turn, bytes });
        state.bytes += bytes;
        while state.bytes > self.most_bytes || state.entries.len() > self.most {
            let Some((_, oldest)) = state.order.pop_first() else { break };
            state.remove(&oldest);
        }
        state.tell();
    }

    /// The list that was remembered is good through this look, too.
    pub(super) fn confirm(&self, key: &Key, roster: &Arc<Roster>, through: Seq) {
        let mut state = self.lock();
        let Some(entry) = state.entries.get_mut(key) else { return };
        if entry.known.roster.as_ref().is_some_and(|stored| Arc::ptr_eq(stored, roster)) {
            entry.known.through = entry.known.through.max(through);
        }
    }

    pub(super) fn forget(&self, key: &Key) {
        let mut state = self.lock();
        state.remove(key);
        state.tell();
    }

    pub(super) fn clear(&self) {
        let mut state = self.lock();
        *state = State { enabled: state.enabled, ..State::default() };
        state.tell();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn touch(&mut self, key: &Key) {
        let turn = self.next_turn();
        let Some(entry) = self.entries.get_mut(key) else { return };
        self.order.remove(&entry.turn);
        entry.turn = turn;
        self.order.insert(turn, key.clone());
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.turn);
            self.bytes -= entry.bytes;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "metrics; exact to 2^52")]
    fn tell(&self) {
        gauge!("confab_participant_cache_conversations").set(self.entries.len() as f64);
        gauge!("confab_participant_cache_bytes").set(self.bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use confab_log::{UserId, event::Role, row::MemberRow};

    use super::*;

    const TIME: Duration = Duration::from_mins(5);

    fn key(number: u8) -> Key {
        (TenantId::parse("acme").expect("a tenant"), ConversationId::from_bytes([number; 16]))
    }

    fn roster(number: u8, seq: Seq, rows: usize) -> Arc<Roster> {
        let (tenant, conversation) = key(number);
        let row = MemberRow {
            role: Role::Member,
            intervals: Vec::new(),
            join_time: 0,
            leave_time: None,
            mute: None,
            ban: None,
            applied_seq: 1,
        };
        let user = |number| UserId::parse(&format!("u{number:05}")).expect("a user");
        let rows = (0..rows).map(|number| (user(number), row.clone())).collect();
        Arc::new(Roster { tenant, conversation, seq, rows })
    }

    fn held(memory: &Memory) -> Vec<u8> {
        let state = memory.lock();
        assert_eq!(state.order.len(), state.entries.len());
        assert_eq!(state.bytes, state.entries.values().map(|entry| entry.bytes).sum::<usize>());
        let mut held: Vec<u8> = state.entries.keys().map(|(_, id)| id.to_bytes()[0]).collect();
        held.sort_unstable();
        held
    }

    #[test]
    fn so_many_lists_and_those_that_were_used_last() {
        let memory = Memory::new(usize::MAX, 3, TIME, true);
        for number in 1..=3 {
            memory.put(key(number), Some(roster(number, 1, 1)), 1);
        }
        assert!(memory.get(&key(1)).is_some());
        memory.put(key(4), None, 1);
        assert_eq!(held(&memory), [1, 3, 4]);
        memory.forget(&key(3));
        memory.put(key(1), Some(roster(1, 2, 1)), 1);
        assert_eq!(held(&memory), [1, 4]);
        memory.clear();
        assert!(held(&memory).is_empty());
        memory.put(key(1), Some(roster(1, 2, 1)), 1);
        assert!(memory.enable(false));
        memory.put(key(2), Some(roster(2, 2, 1)), 1);
        assert!(held(&memory).is_empty(), "what was on its way when it was switched off");
    }

    #[test]
    fn so_many_bytes() {
        let one = ENTRY_BYTES + roster(1, 1, 100).bytes();
        let memory = Memory::new(3 * one, 100, TIME, true);
        for number in 1..=5 {
            memory.put(key(number), Some(roster(number, 1, 100)), 1);
        }
        assert_eq!(held(&memory), [3, 4, 5]);
        memory.put(key(6), Some(roster(6, 1, 1000)), 1);
        assert!(held(&memory).is_empty(), "it alone is too much");
    }

    #[test]
    fn the_newest_list_and_the_newest_look_stay() {
        let memory = Memory::new(usize::MAX, 3, TIME, true);
        let (old, new) = (roster(1, 4, 1), roster(1, 5, 2));
        memory.put(key(1), Some(Arc::clone(&new)), 10);
        memory.put(key(1), Some(Arc::clone(&old)), 9);
        let known = || memory.get(&key(1)).expect("known");
        assert_eq!(known().roster.expect("a list").seq, 5);
        memory.confirm(&key(1), &old, 20);
        assert_eq!(known().through, 10, "that was said of another list");
        memory.confirm(&key(1), &new, 12);
        memory.confirm(&key(1), &new, 11);
        assert_eq!(known().through, 12);
    }

    #[tokio::test(start_paused = true)]
    async fn for_a_time_however_often_it_is_used() {
        let memory = Memory::new(usize::MAX, 3, TIME, true);
        memory.put(key(1), Some(roster(1, 1, 1)), 1);
        for _ in 0..4 {
            tokio::time::advance(TIME / 5).await;
            assert!(memory.get(&key(1)).is_some());
        }
        tokio::time::advance(TIME / 5).await;
        assert!(memory.get(&key(1)).is_none());
        assert!(held(&memory).is_empty());
    }
}
