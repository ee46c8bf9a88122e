//! Verified tokens, remembered by their hash so that each is verified once.
//! A token is forgotten with the key that signed it, at once.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Caller, key::Key};

/// Tokens remembered in each of two generations.
const CACHED_TOKENS: usize = 16_384;

pub(super) type TokenHash = [u8; 32];

pub(super) fn hash(token: &str) -> TokenHash {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// Two generations: when the young one is full it becomes the old one, and
/// the old one is forgotten. Bounded, without a list to keep in order.
#[derive(Default)]
pub(super) struct TokenCache(RwLock<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<TokenHash, Remembered>,
    old: HashMap<TokenHash, Remembered>,
}

#[derive(Clone)]
struct Remembered {
    caller: Caller,
    key: Arc<Key>,
}

impl TokenCache {
    /// Whom the token speaks for, unless its key is retired.
    pub(super) fn recall(&self, hash: &TokenHash) -> Option<Caller> {
        let generations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(hash) {
            return found.is_good().then(|| found.caller.clone());
        }
        let found = generations.old.get(hash).filter(|found| found.is_good())?.clone();
        drop(generations);
        self.put(*hash, found.clone());
        Some(found.caller)
    }

    pub(super) fn remember(&self, hash: TokenHash, caller: Caller, key: Arc<Key>) {
        self.put(hash, Remembered { caller, key });
    }

    fn put(&self, hash: TokenHash, remembered: Remembered) {
        let mut generations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= CACHED_TOKENS {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert(hash, remembered);
    }
}

impl Remembered {
    /// The key says so itself: no list of tokens has to be cleaned when it is
    /// retired, and none can slip in behind it.
    fn is_good(&self) -> bool {
        !self.key.is_retired()
    }
}
