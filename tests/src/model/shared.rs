//! A part of a world that most steps leave alone: copied on change only, and
//! hashed once. It never changes in place while another world holds it.

use std::{
    cell::OnceCell,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// Names a value among all others: two values share one with no chance that matters.
pub type Fingerprint = u128;

/// A value with its fingerprint.
#[derive(Clone, Debug)]
pub struct Shared<T> {
    value: Arc<T>,
    fingerprint: OnceCell<Fingerprint>,
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
    pub fn fingerprint(&self) -> Fingerprint {
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
        state.write_u128(self.fingerprint());
    }
}

/// Takes what a value feeds to its hash as it comes; one fast hash over all of it
/// costs less, without optimisation, than a little arithmetic at each piece.
struct Buffer(Vec<u8>);

impl Hasher for Buffer {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        u64::try_from(self.fingerprint() >> 64).unwrap_or_default()
    }
}

impl Buffer {
    fn fingerprint(&self) -> Fingerprint {
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::hash(&self.0).as_bytes()[..16]);
        u128::from_le_bytes(half)
    }
}

/// The hash of a value.
pub fn fingerprint(value: &impl Hash) -> Fingerprint {
    let mut buffer = Buffer(Vec::with_capacity(4096));
    value.hash(&mut buffer);
    buffer.fingerprint()
}
