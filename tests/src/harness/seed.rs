//! Chance that can be repeated: every test prints the seed it ran with, and
//! `CONFAB_TEST_SEED` runs it again.

use std::env;

use rand::{SeedableRng as _, rngs::StdRng};

/// The seed of one test.
#[derive(Clone, Copy, Debug)]
pub struct Seed(u64);

impl Seed {
    /// From `CONFAB_TEST_SEED`: a number, or `random`. Otherwise always the same.
    ///
    /// # Panics
    /// When the variable is neither.
    pub fn of(test: &str) -> Self {
        let seed = match env::var("CONFAB_TEST_SEED").as_deref() {
            Err(_) => 1,
            Ok("random") => rand::random(),
            Ok(number) => number.parse().expect("CONFAB_TEST_SEED is a number or `random`"),
        };
        println!("{test}: CONFAB_TEST_SEED={seed}");
        Self(seed)
    }

    /// Randomness of its own for one part of the test.
    pub fn part(self, part: u64) -> StdRng {
        StdRng::seed_from_u64(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(part))
    }
}

/// How much longer than usual tests run: `CONFAB_TEST_EFFORT`, 1 unless set.
///
/// # Panics
/// When the variable is not a number.
pub fn effort() -> u32 {
    env::var("CONFAB_TEST_EFFORT")
        .map_or(1, |text| text.parse().expect("CONFAB_TEST_EFFORT is a number"))
}
