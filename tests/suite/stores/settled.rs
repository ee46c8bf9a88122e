//! Stores as their callers use them: a call that failed, or of which nobody knows
//! what it did, is made again until it is settled. The faults are below, in single
//! statements: some fail, some take effect and do not say so, some take effect in
//! the middle of what comes later.

mod conversations;
mod messages;
mod participants;

use std::sync::Arc;

use confab_store::fault::{Faults, Rates};
use confab_tests::harness::Seed;
use rand::Rng as _;

/// A store, and the faults in it.
pub(super) struct Settled<S> {
    store: Arc<S>,
    faults: Faults,
}

impl<S> Settled<S> {
    /// From now on nearly every third write goes wrong.
    pub(super) fn new(store: S, faults: Faults) -> Self {
        // A page of a list is many reads: of `before` there must be little.
        let (before, after, late) = (0.03, 0.12, 0.15);
        faults.set_rates(Rates { before, after, late, latency: 0.2, landing: 0.4 });
        Self { store: Arc::new(store), faults }
    }

    /// The store itself: what goes wrong is not tried again.
    pub(super) fn cut_off(&self) -> &S {
        &self.store
    }
}

/// None yet, and another sequence for each part of a test.
pub(super) fn faults(seed: Seed, part: u64) -> Faults {
    Faults::new(seed.part(part).random(), Rates::default())
}

/// Tries of one call: more mean that it never gets through.
const TRIES: u32 = 500;

/// The outcome of a call, and whether it is that of its only try.
macro_rules! settled {
    ($call:expr) => {{
        let mut tries = 0;
        loop {
            match $call.await {
                Err(StoreError::Unavailable { .. } | StoreError::OutcomeUnknown { .. })
                    if tries < super::TRIES =>
                {
                    tries += 1;
                }
                outcome => break outcome.map(|value| (value, tries == 0)),
            }
        }
    }};
}
use settled;
