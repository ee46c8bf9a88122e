//! Which marks of this hour are known to be stored: each is written once, however many
//! appends it is for. What is forgotten is written again.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::LogKey;

/// The hour, and the logs that are marked in it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Marked(Arc<Mutex<(u64, HashSet<LogKey>)>>);

impl Marked {
    fn lock(&self) -> MutexGuard<'_, (u64, HashSet<LogKey>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, hour: u64, key: &LogKey) -> bool {
        let marked = self.lock();
        marked.0 == hour && marked.1.contains(key)
    }

    pub(super) fn remember(&self, hour: u64, key: &LogKey) {
        let mut marked = self.lock();
        if marked.0 != hour {
            *marked = (hour, HashSet::new());
        }
        marked.1.insert(key.clone());
    }
}
