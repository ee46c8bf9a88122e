//! Which log lines are written, changeable while the process runs. Levels by
//! module only, no fields of spans: so each call site is asked once for each
//! change, and what is not written costs nothing.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tracing::{Metadata, Subscriber, callsite, subscriber::Interest};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, ParseError, Targets},
    layer::Context,
};

/// Of the process. `None` until it is set: everything is written.
static CURRENT: RwLock<Option<(String, Targets)>> = RwLock::new(None);

/// Sets the filter from its text, `info,confab_messages=debug`; the one before.
pub(super) fn set(text: &str) -> Result<String, ParseError> {
    let filter = (text.to_owned(), text.parse()?);
    let before = CURRENT.write().unwrap_or_else(PoisonError::into_inner).replace(filter);
    callsite::rebuild_interest_cache();
    Ok(before.map(|(text, _)| text).unwrap_or_default())
}

/// Asks the filter of the process.
pub(super) struct CurrentFilter;

fn current() -> RwLockReadGuard<'static, Option<(String, Targets)>> {
    CURRENT.read().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Subscriber> Layer<S> for CurrentFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match &*current() {
            Some((_, filter)) => Layer::<S>::register_callsite(filter, metadata),
            None => Interest::always(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        match &*current() {
            Some((_, filter)) => Layer::<S>::enabled(filter, metadata, context),
            None => true,
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        current().as_ref().and_then(|(_, filter)| Layer::<S>::max_level_hint(filter))
    }
}
