//! Writes that go wrong on purpose, the same way for the same seed.
//!
//! Wraps a port's writes in tests: fails before the write, fails after it took
//! effect, lets it land late, delays it. It owns no clock and spawns nothing: a
//! late write lands when the test says so, or before a later call, by the seed.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::StoreError;

/// How often what goes wrong: probabilities between 0 and 1. The sum of
/// `before`, `after` and `late` is at most 1; the rest succeeds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Fails without effect; every other time it does not say so
    /// ([`StoreError::OutcomeUnknown`] instead of [`StoreError::Unavailable`]).
    pub before: f64,
    /// Takes effect and answers [`StoreError::OutcomeUnknown`].
    pub after: f64,
    /// Answers [`StoreError::OutcomeUnknown`] at once and takes effect later.
    pub late: f64,
    /// Lets other tasks run first, for 1 to 16 turns of the scheduler.
    pub latency: f64,
    /// Before a call, lets one late write land. At 0 they land by
    /// [`Faults::release_late`] only.
    pub landing: f64,
}

type LateWrite = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of faults. Clones share it.
#[derive(Clone)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

struct State {
    random: SmallRng,
    rates: Rates,
    late: Vec<LateWrite>,
}

enum Fate {
    Before { admitted: bool },
    After,
    Late,
    Fine,
}

impl Faults {
    /// Faults at these rates, always the same for one seed and one order of calls.
    pub fn new(seed: u64, rates: Rates) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                random: SmallRng::seed_from_u64(seed),
                rates,
                late: Vec::new(),
            })),
        }
    }

    /// No faults, until [`Faults::set_rates`].
    pub fn none() -> Self {
        Self::new(0, Rates::default())
    }

    /// Other rates from now on; all zero heals the store.
    pub fn set_rates(&self, rates: Rates) {
        self.state().rates = rates;
    }

    /// Runs a write, or does what the seed has in store for it.
    ///
    /// `write` must own what it needs (clone the port's handle into it), for it
    /// may outlive the call.
    ///
    /// # Errors
    /// Those of `write`, and the injected ones.
    pub async fn wrap<T, E, F, Fut>(&self, write: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.wait_and_land().await;
        let fate = self.state().fate();
        match fate {
            Fate::Fine => write().await,
            Fate::Before { admitted: true } => {
                Err(StoreError::unavailable("injected before the write").into())
            }
            Fate::Before { admitted: false } => {
                Err(StoreError::outcome_unknown("injected before the write").into())
            }
            Fate::After => {
                write().await?;
                Err(StoreError::outcome_unknown("injected after the write").into())
            }
            Fate::Late => {
                let write = Box::pin(async move { drop(write().await) });
                self.state().late.push(write);
                Err(StoreError::outcome_unknown("injected, the write is late").into())
            }
        }
    }

    /// Runs a read, which fails without effect at the rate `before`.
    ///
    /// # Errors
    /// Those of `read`, and [`StoreError::Unavailable`].
    pub async fn wrap_read<T, E, Fut>(&self, read: impl FnOnce() -> Fut) -> Result<T, E>
    where
        E: From<StoreError>,
        Fut: Future<Output = Result<T, E>>,
    {
        self.wait_and_land().await;
        let fails = {
            let mut state = self.state();
            let rate = state.rates.before;
            state.chance(rate)
        };
        if fails {
            return Err(StoreError::unavailable("injected before the read").into());
        }
        read().await
    }

    /// How many writes are still to land.
    pub fn late(&self) -> usize {
        self.state().late.len()
    }

    /// Lets all late writes land, one after the other, in an order drawn by the
    /// seed; returns how many. Their results go nowhere, as in life.
    pub async fn release_late(&self) -> usize {
        let mut released = 0;
        while self.release_one().await {
            released += 1;
        }
        released
    }

    /// Lets one late write land, drawn by the seed; `false` if there is none.
    pub async fn release_one(&self) -> bool {
        let write = self.state().draw_late();
        match write {
            Some(write) => {
                write.await;
                true
            }
            None => false,
        }
    }

    async fn wait_and_land(&self) {
        let (turns, lands) = self.state().delay();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if lands {
            self.release_one().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn chance(&mut self, rate: f64) -> bool {
        self.random.random::<f64>() < rate
    }

    fn delay(&mut self) -> (u32, bool) {
        let rates = self.rates;
        let mut turns = 0;
        if self.chance(rates.latency) {
            turns = self.random.random_range(1..=16);
        }
        (turns, self.chance(rates.landing))
    }

    fn fate(&mut self) -> Fate {
        let Rates { before, after, late, .. } = self.rates;
        let drawn = self.random.random::<f64>();
        let admitted = self.random.random::<bool>();
        if drawn < before {
            return Fate::Before { admitted };
        }
        if drawn < before + after {
            return Fate::After;
        }
        if drawn < before + after + late {
            return Fate::Late;
        }
        Fate::Fine
    }

    fn draw_late(&mut self) -> Option<LateWrite> {
        if self.late.is_empty() {
            return None;
        }
        let drawn = self.random.random_range(0..self.late.len());
        Some(self.late.swap_remove(drawn))
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("Faults")
            .field("rates", &state.rates)
            .field("late", &state.late.len())
            .finish_non_exhaustive()
    }
}
