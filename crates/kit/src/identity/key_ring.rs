//! The keys that are believed now: those of the configuration for ever, those
//! that were fetched until a fetch no longer finds them.

use std::sync::{Arc, PoisonError, RwLock};

use super::key::Key;

pub(super) struct KeyRing {
    configured: Vec<Arc<Key>>,
    fetched: RwLock<Arc<[Arc<Key>]>>,
}

/// What a token's header leads to.
pub(super) enum Found {
    Key(Arc<Key>),
    /// There is such a key, for another algorithm.
    OtherAlgorithm,
    Nothing,
}

impl KeyRing {
    pub(super) fn new(configured: Vec<Key>) -> Self {
        let configured = configured.into_iter().map(Arc::new).collect();
        Self { configured, fetched: RwLock::new(Arc::from([])) }
    }

    /// The key of this name, a configured one first; without a name the only
    /// key that there is.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: jsonwebtoken::Algorithm) -> Found {
        let fetched = self.fetched();
        let all = || self.configured.iter().chain(fetched.iter());
        let named = |key: &&Arc<Key>| match kid {
            Some(kid) => key.kid() == Some(kid),
            None => self.configured.len() + fetched.len() == 1,
        };
        match all().filter(named).find(|key| key.algorithm().is(algorithm)) {
            Some(key) => Found::Key(Arc::clone(key)),
            None if all().any(|key| named(&key)) => Found::OtherAlgorithm,
            None => Found::Nothing,
        }
    }

    /// Takes these for the ones that were fetched before. A key that is among
    /// both goes on; one that is not is retired, with all that it signed.
    pub(super) fn replace_fetched(&self, keys: Vec<Key>) {
        let before = self.fetched();
        let now: Arc<[Arc<Key>]> = keys
            .into_iter()
            .map(|key| match before.iter().find(|other| other.is_same(&key)) {
                Some(other) => Arc::clone(other),
                None => Arc::new(key),
            })
            .collect();
        *self.fetched.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&now);
        for key in before.iter().filter(|key| !now.iter().any(|other| Arc::ptr_eq(key, other))) {
            key.retire();
        }
    }

    fn fetched(&self) -> Arc<[Arc<Key>]> {
        Arc::clone(&self.fetched.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fetched = self.fetched();
        let all = self.configured.iter().chain(fetched.iter());
        f.debug_list().entries(all.map(|key| key.kid())).finish()
    }
}
