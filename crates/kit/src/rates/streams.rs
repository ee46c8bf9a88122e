//! How many streams each user has open. Knows no stream: whoever opens one
//! holds a slot.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use confab_log::mutant;

use super::BudgetKey;
use crate::{
    config::Limits,
    error::{Error, Reason},
    random,
};

/// Unless configured, and not in dev mode.
const DEFAULT_STREAMS: u32 = 50;
/// About when one of the others may have ended.
const RETRY: Duration = Duration::from_secs(10);

pub(super) struct OpenStreams {
    /// 0 is no limit.
    limit: u32,
    open: Arc<Mutex<HashMap<BudgetKey, u32>>>,
}

/// A place among a user's streams; given back when dropped.
#[derive(Debug)]
pub struct StreamSlot {
    key: BudgetKey,
    open: Arc<Mutex<HashMap<BudgetKey, u32>>>,
}

impl OpenStreams {
    pub(super) fn new(limits: &Limits, dev_mode: bool) -> Self {
        let default = if dev_mode { 0 } else { DEFAULT_STREAMS };
        Self { limit: limits.streams_per_user.unwrap_or(default), open: Arc::default() }
    }

    pub(super) fn open(&self, key: BudgetKey) -> Result<StreamSlot, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key).or_default();
        if self.limit > 0 && *count >= self.limit && !mutant::is("no-stream-limit") {
            metrics::counter!("confab_streams_refused_total").increment(1);
            let message = format!("this user has {count} open streams, and no more may be");
            return Err(Error::new(Reason::TooManyStreams, message)
                .with("limit", self.limit)
                .retry_after(random::jitter(RETRY)));
        }
        *count += 1;
        Ok(StreamSlot { key, open: Arc::clone(&self.open) })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}
