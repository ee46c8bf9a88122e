//! Steps 1 and 2: load what a cold node lacks, fold what it has read, and apply
//! the effects, strictly in the log's order.

use std::sync::Arc;

use super::{Appender, Io, Reading};
use crate::{fold::names, mutant, state::View};

impl Appender {
    /// Step 1.
    pub(super) fn load(&mut self) -> Io {
        match self.base {
            None => Io::Look,
            Some(base) => {
                self.reading = Reading::Base;
                Io::Read { from: base, to: self.head.min(base + self.options.page) }
            }
        }
    }

    /// Step 2: `None` when the fold has reached the head and all is applied.
    pub(super) fn fold_on(&mut self) -> Option<Io> {
        let state = self.state.as_mut()?;
        loop {
            let hold = mutant::is("effects-out-of-order") && !self.fetched.is_empty();
            if let Some((event, effects)) = self.unapplied.last()
                && !hold
            {
                return Some(Io::Apply(event.clone(), Arc::clone(effects)));
            }
            let Some(event) = self.fetched.front() else {
                break;
            };
            let missing = state.missing(names(event));
            if !missing.is_empty() {
                return Some(Io::Load(missing));
            }
            let event = self.fetched.pop_front()?;
            let effects = state.fold(&event);
            if effects.is_empty() {
                self.published.push(event);
            } else {
                self.unapplied.push((Box::new(event), Arc::new(effects)));
            }
        }
        state.trim_tail(self.options.tail);
        if state.seq() < self.head {
            state.trim_rows();
            self.reading = Reading::Log;
            let to = self.head.min(state.seq() + self.options.page);
            return Some(Io::Read { from: state.seq() + 1, to });
        }
        // Not here: the group's rows may be more than the bound, and it needs them all.
        None
    }
}
