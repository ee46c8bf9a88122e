//! The highest seq that this client has seen of each conversation: the
//! `after_seq` of its next command. Bounded; what is forgotten is asked for again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Conversations in one generation; two generations are kept.
const GENERATION: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, u64>,
    old: HashMap<String, u64>,
}

impl Heads {
    /// Remembers that the conversation has an event `seq`.
    pub(crate) fn note(&self, conversation_id: &str, seq: u64) {
        if conversation_id.is_empty() || seq == 0 {
            return;
        }
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = heads.young.get_mut(conversation_id) {
            *known = seq.max(*known);
            return;
        }
        let older = heads.old.get(conversation_id).copied().unwrap_or(0);
        if heads.young.len() >= GENERATION {
            heads.old = std::mem::take(&mut heads.young);
        }
        heads.young.insert(conversation_id.to_owned(), seq.max(older));
    }

    /// The server says that there is no such event.
    pub(crate) fn forget(&self, conversation_id: &str) {
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heads.young.remove(conversation_id);
        heads.old.remove(conversation_id);
    }

    /// The highest seq seen; `None` when none was, or it is forgotten.
    pub(crate) fn get(&self, conversation_id: &str) -> Option<u64> {
        let heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heads.young.get(conversation_id).or_else(|| heads.old.get(conversation_id)).copied()
    }
}
