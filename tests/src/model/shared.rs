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

/// The hash of a value.
pub fn fingerprint(value: &impl Hash) -> Fingerprint {
    let mut lanes = Lanes::default();
    value.hash(&mut lanes);
    lanes.fingerprint()
}

/// Two 64-bit hashes of different constants, side by side, a word at a time (the
/// step is `FxHash`'s, the end is `MurmurHash3`'s). Tests are built without
/// optimisation, and there this is several times faster than what `std` has.
#[derive(Default)]
struct Lanes {
    one: u64,
    other: u64,
}

impl Lanes {
    fn word(&mut self, word: u64) {
        self.one = (self.one.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.other = (self.other.rotate_left(29) ^ word)
            .wrapping_add(0x6a09_e667_f3bc_c909)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn fingerprint(&self) -> Fingerprint {
        let (one, other) = (avalanche(self.one), avalanche(self.other));
        u128::from(one) << 64 | u128::from(other)
    }
}

/// Lets every bit of a hash depend on every other.
fn avalanche(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

impl Hasher for Lanes {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.word(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.word(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.word(number);
    }

    fn write_i64(&mut self, number: i64) {
        self.word(number.cast_unsigned());
    }

    fn write_usize(&mut self, number: usize) {
        self.word(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.word(number.cast_unsigned() as u64);
    }

    fn finish(&self) -> u64 {
        avalanche(self.one)
    }
}
