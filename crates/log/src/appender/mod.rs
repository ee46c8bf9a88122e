//! The protocol that puts decided events at the end of a conversation's log.
//!
//! One `Appender` is one node's view of one conversation. It does no I/O: it
//! says what to do next ([`Appender::poll`]), is told how that went
//! ([`Appender::complete`]), and hands out answers ([`Appender::take_answers`]).
//! There is one I/O at a time. What comes next follows from what is missing,
//! in this order:
//!
//! 1. *Load*, when cold: a look at the head, then the rows from `applied_through`
//!    on, whose effects a crash may have left open.
//! 2. *Fold on*, while the head is above the fold: read, load the rows that the
//!    next event names, fold it, apply its effects. Strictly in order.
//! 3. *Group*: all waiting commands and reads together. Load the rows they name,
//!    and the older request ids that idempotency needs.
//! 4. *Decide* each against the state after those before it.
//! 5. *Append* what they decided, if row `n + 1` does not exist.
//!    - Applied: everything decided in the group is proven. Fold it, apply its
//!      effects, answer.
//!    - Not applied: another node was faster. Fold what it wrote, decide again.
//!    - Unclear: forget everything, load, decide again. Either our event is there,
//!      and its request id is found, or the next append settles that it never
//!      will be.
//! 6. Nothing to append: a *look* at the head that began after the group formed
//!    proves refusals, old answers and reads alike. If it finds a newer head,
//!    fold on and decide again.
//!
//! This file owns the state and the order of the steps. `fold_on` has steps 1 and
//! 2, `group` has 3 to 6, `bounds` what an append may hold, `complete` takes the
//! results, `io` has the words.

mod bounds;
mod complete;
mod fold_on;
mod group;
mod io;

use std::{collections::VecDeque, sync::Arc};

use self::group::{Waiting, Work};
pub use self::{
    bounds::AppendBounds,
    io::{Done, Io, Options, Outcome, Ticket},
};
use crate::{Effects, Event, Micros, Request, RequestId, Row, RowKey, Seq, State, UserId, mutant};

/// What the read under way is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reading {
    /// A cold load: the first row is the base, its effects are applied.
    Base,
    /// The rows above the fold.
    Log,
    /// Older rows, for the request ids in memory.
    Tail,
    /// Older rows still, for the request id of this command.
    Scan(Ticket),
}

/// One node's view of one conversation. See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Appender {
    options: Options,
    next_ticket: Ticket,
    queue: VecDeque<Waiting>,
    group: Vec<Waiting>,
    /// The head that a look found since the group formed.
    look: Option<Seq>,
    /// Decided, proven, and to be answered when everything decided is folded.
    settled: Option<Vec<Outcome>>,
    deciding: Vec<Outcome>,
    state: Option<State>,
    /// Where a cold load begins.
    base: Option<Seq>,
    head: Seq,
    raised: Seq,
    fetched: VecDeque<Event>,
    /// Folded, not yet applied: at most one, or the order would be lost.
    unapplied: Vec<(Box<Event>, Arc<Effects>)>,
    /// Requests whose events may yet land, by appends that begin at these rows. It
    /// outlives the answer "unavailable": whoever comes back must not be refused
    /// before it is settled.
    open: VecDeque<(UserId, RequestId, Seq)>,
    in_flight: Option<Io>,
    reading: Reading,
    failures: u32,
    answers: Vec<(Ticket, Outcome)>,
    published: Vec<Event>,
}

impl Appender {
    /// A cold appender.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            next_ticket: 0,
            queue: VecDeque::new(),
            group: Vec::new(),
            look: None,
            settled: None,
            deciding: Vec::new(),
            state: None,
            base: None,
            head: 0,
            raised: 0,
            fetched: VecDeque::new(),
            unapplied: Vec::new(),
            open: VecDeque::new(),
            in_flight: None,
            reading: Reading::Log,
            failures: 0,
            answers: Vec::new(),
            published: Vec::new(),
        }
    }

    /// Takes a command.
    pub fn submit(&mut self, request: Arc<Request>) -> Ticket {
        self.wait(Work::Command(request))
    }

    /// Takes a read: it is answered with these rows, after a look at the head.
    pub fn observe(&mut self, keys: Vec<RowKey>) -> Ticket {
        self.wait(Work::Observe(keys))
    }

    fn wait(&mut self, work: Work) -> Ticket {
        self.next_ticket += 1;
        self.queue.push_back(Waiting::new(self.next_ticket, work));
        self.next_ticket
    }

    /// Answers that are due.
    pub fn take_answers(&mut self) -> Vec<(Ticket, Outcome)> {
        std::mem::take(&mut self.answers)
    }

    /// Events whose effects, and those of all before them, are applied: to be
    /// shown, in this order. After a failure some may come twice.
    pub fn take_published(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.published)
    }

    /// The head of the fold, if every effect up to it is applied; `None` when cold.
    pub fn folded_through(&self) -> Option<Seq> {
        let settled = self.unapplied.is_empty() && self.fetched.is_empty();
        self.state.as_ref().filter(|_| settled).map(crate::state::View::seq)
    }

    /// How many participants there are at the head of the fold; `None` while the
    /// conversation's row is not in memory. Every command loads it.
    pub fn participant_count(&self) -> Option<u32> {
        match self.state.as_ref()?.loaded(&RowKey::Conversation)? {
            Row::Conversation(row) => Some(row.participant_count),
            _ => None,
        }
    }

    /// Whether there is nothing to do and nothing under way.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.group.is_empty() && self.queue.is_empty()
    }

    /// The next I/O, or `None`: one is under way, or there is nothing to do.
    pub fn poll(&mut self, now: Micros) -> Option<Io> {
        if self.in_flight.is_some() {
            return None;
        }
        let io = self.next(now)?;
        self.in_flight = Some(io.clone());
        Some(io)
    }

    fn next(&mut self, now: Micros) -> Option<Io> {
        loop {
            self.form_group();
            if self.group.is_empty() {
                return None;
            }
            if self.state.is_none() {
                return Some(self.load());
            }
            if mutant::is("raise-early") && self.head - self.raised >= self.options.raise_every {
                return Some(Io::Raise(self.head));
            }
            if mutant::is("ack-before-effects")
                && let Some(outcomes) = self.settled.take()
            {
                self.answer(outcomes);
                continue;
            }
            if let Some(io) = self.fold_on() {
                return Some(io);
            }
            if let Some(outcomes) = self.settled.take() {
                self.answer(outcomes);
                continue;
            }
            if self.head - self.raised >= self.options.raise_every {
                return Some(Io::Raise(self.head));
            }
            if let Some(io) = self.gather() {
                return Some(io);
            }
            if let Some(io) = self.decide_group(now) {
                return Some(io);
            }
        }
    }
}
