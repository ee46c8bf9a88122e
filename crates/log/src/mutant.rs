//! Switches that break a promise on purpose.
//!
//! Every promise has a test, and every such test is run against a mutant that
//! breaks the promise and must fail there. The switches exist only with the
//! feature `mutants`, which no release enables; without it [`is`] is `false`
//! at compile time and the broken branches are gone from the program.

#[cfg(feature = "mutants")]
mod switch {
    use std::{cell::Cell, sync::OnceLock};

    thread_local! {
        static OF_THIS_THREAD: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Breaks the promise named so for the rest of this thread.
    pub fn set(name: Option<&'static str>) {
        OF_THIS_THREAD.set(name);
    }

    /// Whether the mutant is on: in this thread, or by `CONFAB_MUTANT` in the
    /// process, where several are separated by commas.
    pub fn is(name: &str) -> bool {
        static OF_THE_PROCESS: OnceLock<Option<String>> = OnceLock::new();
        let process = OF_THE_PROCESS.get_or_init(|| std::env::var("CONFAB_MUTANT").ok());
        let named = |names: &str| names.split(',').any(|other| other == name);
        OF_THIS_THREAD.get() == Some(name) || process.as_deref().is_some_and(named)
    }
}

#[cfg(feature = "mutants")]
pub use switch::{is, set};

/// Whether the mutant of this name is on: never, in this build.
#[cfg(not(feature = "mutants"))]
pub const fn is(_name: &str) -> bool {
    false
}
