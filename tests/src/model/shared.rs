//! A part of a world that most steps leave alone: copied on change only, and
//! hashed once. It never changes in place while another world holds it.

use std::{
    cell::OnceCell,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// A value with its fingerprint.
#[derive(Clone, Debug)]
pub struct Shared<T> {
    value: Arc<T>,
    fingerprint: OnceCell<u64>,
}

impl<T: Clone + Hash> Shared<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self { value: Arc::new(value), fingerprint: OnceCell::new() }
    }

    /// The value, to be changed.
    pub fn edit(&mut self) -> &mut T {
        self.fingerprint = OnceCell::new();
        Arc::make_mut(&mut self.value)
    }

    /// The value's hash.
    pub fn fingerprint(&self) -> u64 {
        *self.fingerprint.get_or_init(|| fingerprint(&*self.value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone + Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint());
    }
}

/// 64 bits of a value. Among five million states, two share one with a chance of
/// less than one in a million.
pub fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
