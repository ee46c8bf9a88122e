//! Keeps the issuer's keys fresh: fetches its key set at the start, every few
//! minutes, and when a token names a key that nobody knows. One fetch at a
//! time, shared by all who wait for it; a fetch that fails changes no key.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    VerifierOptions,
    fetch::{FetchError, Fetcher, UrlError},
    jwk_set::{self, KeySet, SetError},
    key_ring::KeyRing,
};
use crate::{backoff::doubled, clock, random};

/// How much longer than one fetch can take anybody waits for one.
const MARGIN: Duration = Duration::from_secs(1);
/// After the first fetch that fails; doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Where an issuer's keys are, and how often they are looked at.
#[derive(Clone, Debug)]
pub struct JwksOptions {
    /// `https`, or `http` on a loopback address.
    pub url: String,
    /// The authorities' certificates in PEM; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// Between two regular fetches; drawn between half and one and a half of it.
    pub refresh: Duration,
    /// The least time between the begins of two fetches, once one has succeeded.
    pub min_interval: Duration,
    /// The longest that one fetch may take.
    pub timeout: Duration,
}

/// An issuer's keys; cheap to clone.
#[derive(Clone)]
pub struct Jwks(Arc<Shared>);

struct Shared {
    fetcher: Fetcher,
    options: JwksOptions,
    flights: watch::Sender<Flights>,
    wanted: Notify,
}

/// The fetches so far.
#[derive(Clone, Copy, Default)]
struct Flights {
    running: bool,
    ended: u64,
    began: Option<Instant>,
    /// Whether the last one that ended has succeeded.
    fresh: bool,
    /// Whether any has.
    ever: bool,
}

/// Why a fetch changed nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Set(#[from] SetError),
}

impl Jwks {
    /// Checks the URL and reads the certificates; fetches nothing yet.
    pub fn new(options: JwksOptions) -> Result<Self, UrlError> {
        let fetcher = Fetcher::new(&options.url, options.ca_file.as_deref(), options.timeout)?;
        let (flights, wanted) = (watch::Sender::default(), Notify::new());
        Ok(Self(Arc::new(Shared { fetcher, options, flights, wanted })))
    }

    /// Whether keys have been fetched at all.
    pub(super) fn is_ready(&self) -> bool {
        self.0.flights.borrow().ever
    }

    /// Looks for a key that is not known: waits for the fetch that is under
    /// way, or for another one unless the last was just now. Whether the keys
    /// that are known now are those of the issuer.
    pub(super) async fn look_again(&self) -> bool {
        let mut flights = self.0.flights.subscribe();
        let seen = *flights.borrow_and_update();
        if !seen.running && self.is_due(&seen) {
            self.0.wanted.notify_one();
        } else if !seen.running {
            return seen.fresh;
        }
        let ended = flights.wait_for(|now| now.ended > seen.ended);
        let patience = self.0.options.timeout + MARGIN;
        timeout(patience, ended).await.is_ok_and(|now| now.is_ok_and(|now| now.fresh))
    }

    /// Fetches for ever.
    pub(super) async fn run(&self, ring: &KeyRing, options: &VerifierOptions) {
        let mut failures = 0;
        loop {
            let before = *self.0.flights.borrow();
            let begun = Instant::now();
            self.0.flights.send_modify(|flights| {
                flights.running = true;
                flights.began = Some(begun);
            });
            let fetched = self.fetch(options).await;
            record(before, &fetched);
            let fresh = fetched.is_ok();
            failures = if fresh { 0 } else { failures + 1 };
            if let Ok(set) = fetched {
                ring.replace_fetched(set.keys);
            }
            self.0.flights.send_modify(|flights| {
                flights.running = false;
                flights.ended += 1;
                flights.fresh = fresh;
                flights.ever |= fresh;
            });
            self.pause(begun, failures).await;
        }
    }

    async fn fetch(&self, options: &VerifierOptions) -> Result<KeySet, Failure> {
        let document = self.0.fetcher.fetch().await?;
        Ok(jwk_set::read(&document, options)?)
    }

    /// Until the next fetch: the regular one, another try, or one that is wanted.
    async fn pause(&self, begun: Instant, failures: u32) {
        let delay = match failures {
            0 => random::jitter(self.0.options.refresh),
            _ => random::jitter(doubled(FIRST_RETRY, failures - 1, self.0.options.refresh)),
        };
        let floor = if self.is_ready() { self.0.options.min_interval } else { Duration::ZERO };
        let wanted = async {
            loop {
                self.0.wanted.notified().await;
                // Whoever asked while the last fetch began has got its answer.
                if self.is_due(&self.0.flights.borrow()) {
                    return;
                }
            }
        };
        tokio::select! {
            () = sleep_until(begun + delay.max(floor)) => {}
            () = wanted => {}
        }
    }

    fn is_due(&self, flights: &Flights) -> bool {
        flights.began.is_none_or(|began| began.elapsed() >= self.0.options.min_interval)
    }
}

impl Failure {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Fetch(FetchError::Unreachable(_)) => "unreachable",
            Self::Fetch(FetchError::Broken(_) | FetchError::Body(_)) => "broken",
            Self::Fetch(FetchError::Slow(_)) => "slow",
            Self::Fetch(FetchError::Status(_)) => "status",
            Self::Fetch(FetchError::TooLarge) => "too_large",
            Self::Set(SetError::Malformed(_)) => "malformed",
            Self::Set(SetError::NoKeys(_)) => "no_keys",
        }
    }
}

/// Counts every fetch, and says in the log when it begins or ceases to work.
fn record(before: Flights, fetched: &Result<KeySet, Failure>) {
    let failed_before = before.ended > 0 && !before.fresh;
    let outcome = match fetched {
        Ok(set) => {
            let (keys, ignored) = (set.keys.len(), set.ignored);
            if failed_before || before.ended == 0 {
                tracing::info!(keys, ignored, "the issuer's keys are fetched");
            }
            gauge("confab_jwks_keys", keys);
            gauge("confab_jwks_ignored_keys", ignored);
            let now = u32::try_from(clock::now_seconds()).unwrap_or(u32::MAX);
            metrics::gauge!("confab_jwks_fetched_timestamp_seconds").set(f64::from(now));
            "ok"
        }
        Err(error) => {
            if !failed_before {
                let known = before.ever;
                tracing::warn!(%error, known, "the issuer's keys cannot be fetched");
            }
            error.outcome()
        }
    };
    metrics::counter!("confab_jwks_fetches_total", "outcome" => outcome).increment(1);
}

fn gauge(name: &'static str, number: usize) {
    metrics::gauge!(name).set(f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jwks").field(&self.0.fetcher).finish()
    }
}

#[cfg(test)]
mod issuer;
#[cfg(test)]
mod tests;
