//! What one process knows of a user who has streams here, or has left and is still to
//! be told of. It tells nobody by itself.

use std::{sync::Arc, time::Duration};

use confab_kit::clock;
use confab_log::Micros;
use tokio::{sync::Notify, time::Instant};

use crate::store::{Said, Status, Word};

/// Somebody who stays is told so often: what a crash may take off the time that they
/// were last here.
pub(super) const STAY_INTERVAL: Duration = Duration::from_mins(15);

/// See the module.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) streams: usize,
    /// Counts arrivals: tells whether a user has come back since.
    pub(super) arrivals: u64,
    /// Since when they are gone; none of who is here.
    pub(super) gone: Option<Micros>,
    /// What they say, as far as is known here; none before an arrival is told.
    said: Option<Said>,
    /// That is to be told, too.
    says: bool,
    /// Something has changed that is not told.
    pub(super) untold: bool,
    /// A task is telling.
    pub(super) telling: bool,
    /// Notified when that task has told everything.
    settled: Arc<Notify>,
    /// When something was told last.
    told: Instant,
    /// When it was noted last that they are here.
    noted: Option<Instant>,
}

impl Here {
    /// Of whom nothing is known.
    pub(super) fn nowhere() -> Self {
        Self {
            streams: 0,
            arrivals: 0,
            gone: Some(0),
            said: None,
            says: false,
            untold: false,
            telling: false,
            settled: Arc::default(),
            told: Instant::now(),
            noted: None,
        }
    }

    /// One stream more; whether that is news.
    pub(super) fn arrive(&mut self) -> bool {
        self.streams += 1;
        self.arrivals += 1;
        let was_gone = self.gone.take().is_some();
        if was_gone {
            (self.said, self.says, self.noted) = (None, false, None);
        }
        was_gone
    }

    /// They say this; `false` where they are not here.
    pub(super) fn say(&mut self, said: &Said) -> bool {
        if self.gone.is_none() {
            (self.said, self.says) = (Some(said.clone()), true);
        }
        self.gone.is_none()
    }

    /// They have said this elsewhere.
    pub(super) fn hear(&mut self, status: Status, text: &str) {
        let same = self.said.as_ref().is_some_and(|own| own.status == status && own.text == text);
        if !same && !self.says {
            self.said = Some(Said { status, text: text.to_owned(), at: clock::now_micros() });
        }
    }

    /// After a word was told: what they say, by what all processes know, if that could
    /// be asked; none of who is gone.
    pub(super) fn learn(&mut self, all: Option<Said>) -> Option<Said> {
        if self.gone.is_some() {
            return all;
        }
        if !self.says {
            self.said = all.or(self.said.take());
        }
        let said = self.said.get_or_insert_with(Said::nothing);
        if said.at == 0 && !self.says {
            // Nobody else knows yet.
            said.at = clock::now_micros();
        }
        Some(said.clone())
    }

    /// Nothing more is to be told.
    pub(super) fn settle(&mut self) {
        self.telling = false;
        self.settled.notify_waiters();
    }

    /// Notified when that is so.
    pub(super) fn settled(&self) -> Arc<Notify> {
        Arc::clone(&self.settled)
    }

    /// What they say is told with the next word.
    pub(super) fn says_again(&mut self) {
        self.says = self.said.is_some();
    }

    /// What they say, given what all processes know; none of who is not here.
    pub(super) fn known(&self, all: Option<Said>) -> Option<Said> {
        let own = || self.said.clone().or_else(|| Some(Said::nothing()));
        match self.gone {
            None if self.says => own(),
            None => all.or_else(own),
            Some(_) => all,
        }
    }

    /// What is to be told now, if anything.
    pub(super) fn next_word(&mut self) -> Option<Word> {
        if !std::mem::take(&mut self.untold) {
            return None;
        }
        self.told = Instant::now();
        let says = std::mem::take(&mut self.says);
        match self.gone {
            Some(_) => Some(Word::Gone),
            None => Some(Word::Here(self.said.clone().filter(|_| says))),
        }
    }

    /// Whether they have been here for long since something was told.
    pub(super) fn is_to_be_told_again(&self) -> bool {
        self.gone.is_none() && self.told.elapsed() >= STAY_INTERVAL
    }

    /// Whether to note that they are here; it is then taken for done.
    pub(super) fn note_is_due(&mut self) -> bool {
        let due = self.noted.is_none_or(|noted| noted.elapsed() >= STAY_INTERVAL);
        if due {
            self.noted = Some(Instant::now());
        }
        due
    }
}
