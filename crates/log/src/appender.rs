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

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::{
    Decision, Digest, Effects, Event, Micros, Refusal, Request, Row, RowKey, Seq, State, decide,
    fold::names,
    mutant,
    state::{Draft, View},
};

/// How an appender is tuned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Events whose request ids are looked through without `after_seq`.
    pub tail: u64,
    /// Commands and reads of one group, at most.
    pub group: usize,
    /// Rows of one read, at most.
    pub page: u64,
    /// `applied_through` is raised when it is this far behind.
    pub raise_every: u64,
    /// Tries of a group before it is answered with [`Outcome::Unavailable`].
    pub tries: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tail: 1000,
            group: 256,
            page: 256,
            raise_every: 256,
            tries: 3,
        }
    }
}

/// Names a command or a read towards its sender.
pub type Ticket = u64;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Io {
    /// Find the newest row and `applied_through`.
    Look,
    /// Read the rows `from..=to`, without a hole.
    Read {
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
    },
    /// Read rows of the state.
    Load(Vec<RowKey>),
    /// Append these rows if the first does not exist; all or none.
    Append(Vec<Event>),
    /// Apply an event's effects, each unless it was applied before.
    Apply(Box<Event>, Arc<Effects>),
    /// Raise `applied_through` to this, unless it is higher.
    Raise(Seq),
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Done {
    /// The head and `applied_through`; both 0 for no conversation.
    Looked {
        /// The newest row.
        head: Seq,
        /// The effects of every event up to here are applied.
        applied_through: Seq,
    },
    /// The rows, from the first one asked for, without a hole.
    Read(Vec<Event>),
    /// Each row asked for.
    Loaded(Vec<(RowKey, Option<Row>)>),
    /// Whether the first row did not exist.
    Appended(bool),
    /// The effects are applied.
    Applied,
    /// `applied_through` is raised.
    Raised,
    /// It did not work; of a write, it is unclear whether it did or will.
    Failed,
}

/// The end of a command or a read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The command's event stands in the log, its effects are applied.
    Committed {
        /// Its position.
        seq: Seq,
        /// The event; `None` where an older try had appended it.
        event: Option<Box<Event>>,
    },
    /// The command was refused at the head of the log.
    Refused(Refusal),
    /// The rows asked for, with every event up to `as_of` folded and applied.
    Observed {
        /// The head that the look found.
        as_of: Seq,
        /// The rows.
        rows: Vec<(RowKey, Option<Row>)>,
    },
    /// The store did not work. `settled` says that the command has not happened
    /// and never will; otherwise a retry with the same request id settles it.
    Unavailable {
        /// Whether nothing was, or will be, appended.
        settled: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    Command(Arc<Request>),
    Observe(Vec<RowKey>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    ticket: Ticket,
    work: Work,
    /// Request ids at or below this are not looked for: fixed at the first decision.
    pinned: Option<Seq>,
    /// Rows from the pin to here were scanned for the request id.
    scanned: Option<Seq>,
    found: Option<(Digest, Seq)>,
    /// An append with this command's event may have worked.
    unclear: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reading {
    Base,
    Log,
    Tail,
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
        let ticket = self.next_ticket;
        self.queue.push_back(Waiting {
            ticket,
            work,
            pinned: None,
            scanned: None,
            found: None,
            unclear: false,
        });
        ticket
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

    fn form_group(&mut self) {
        if self.group.is_empty() && !self.queue.is_empty() {
            let size = self.queue.len().min(self.options.group);
            self.group.extend(self.queue.drain(..size));
            self.look = None;
            self.failures = 0;
        }
    }

    /// Step 1.
    fn load(&mut self) -> Io {
        match self.base {
            None => Io::Look,
            Some(base) => {
                self.reading = Reading::Base;
                Io::Read {
                    from: base,
                    to: self.head.min(base + self.options.page),
                }
            }
        }
    }

    /// Step 2: `None` when the fold has reached the head and all is applied.
    fn fold_on(&mut self) -> Option<Io> {
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
        if state.seq() < self.head {
            self.reading = Reading::Log;
            let to = self.head.min(state.seq() + self.options.page);
            return Some(Io::Read {
                from: state.seq() + 1,
                to,
            });
        }
        state.trim(self.options.tail);
        None
    }

    /// Step 3: what the group needs before it can be decided.
    fn gather(&mut self) -> Option<Io> {
        let state = self.state.as_ref()?;
        let named = self.group.iter().flat_map(|waiting| match &waiting.work {
            Work::Command(request) => request.command.names(&request.actor),
            Work::Observe(keys) => keys.clone(),
        });
        let missing = state.missing(named);
        if !missing.is_empty() {
            return Some(Io::Load(missing));
        }
        let ahead = |request: &Request| request.after_seq.is_some_and(|seq| seq > state.seq());
        let any_ahead = self.group.iter().any(|waiting| match &waiting.work {
            Work::Command(request) => ahead(request),
            Work::Observe(_) => false,
        });
        if any_ahead && self.look.is_none() {
            return Some(Io::Look);
        }
        self.older_ids()
    }

    /// The request ids that lie below the tail in memory.
    fn older_ids(&mut self) -> Option<Io> {
        let state = self.state.as_ref()?;
        let (seq, floor) = (state.seq(), state.tail_floor());
        let lowest_tail = seq.saturating_sub(self.options.tail);
        for waiting in &mut self.group {
            let Work::Command(request) = &waiting.work else {
                continue;
            };
            if matches!(request.command, crate::Command::Create(_)) {
                continue; // compared with event 1 instead
            }
            if waiting.pinned.is_some() && mutant::is("absent-remembered") {
                continue;
            }
            let pinned = *waiting
                .pinned
                .get_or_insert(request.after_seq.unwrap_or(lowest_tail));
            if waiting.found.is_some() || pinned >= floor {
                continue;
            }
            if floor > lowest_tail {
                self.reading = Reading::Tail;
                let from = floor.saturating_sub(self.options.page).max(lowest_tail);
                return Some(Io::Read {
                    from: from + 1,
                    to: floor,
                });
            }
            let scanned = waiting.scanned.unwrap_or(pinned);
            if scanned < floor && !mutant::is("no-scan") {
                self.reading = Reading::Scan(waiting.ticket);
                let to = floor.min(scanned + self.options.page);
                return Some(Io::Read {
                    from: scanned + 1,
                    to,
                });
            }
        }
        None
    }

    /// Steps 4 to 6. `None`: the group is answered, or must be decided again.
    fn decide_group(&mut self, now: Micros) -> Option<Io> {
        let state = self.state.as_ref()?;
        if mutant::is("no-second-decision") && !self.deciding.is_empty() {
            return Some(Io::Append(self.renumbered()));
        }
        let mut draft = Draft::new(state);
        let mut outcomes = Vec::with_capacity(self.group.len());
        for waiting in &self.group {
            outcomes.push(match &waiting.work {
                Work::Observe(keys) => observed(state, keys),
                Work::Command(request) => match decide(&draft, request, waiting.found, now) {
                    Decision::Append(event) => {
                        draft.push((*event).clone());
                        Outcome::Committed {
                            seq: event.seq,
                            event: Some(event),
                        }
                    }
                    Decision::Known(seq) => Outcome::Committed { seq, event: None },
                    Decision::Refuse(refusal) => Outcome::Refused(refusal),
                },
            });
        }
        let events = draft.into_events();
        if !events.is_empty() {
            if mutant::is("refusal-on-rows-in-flight") {
                self.answer_refusals_early(&outcomes);
            }
            self.deciding = outcomes;
            return Some(Io::Append(events));
        }
        let proven = self.look.is_some_and(|look| state.seq() >= look) || may_skip_look(&outcomes);
        if !proven {
            return Some(Io::Look);
        }
        self.answer(outcomes);
        None
    }

    /// The events of the last decision, moved to the new head undecided: a mutant.
    fn renumbered(&mut self) -> Vec<Event> {
        let (mut events, mut seq) = (Vec::new(), self.head);
        for outcome in &mut self.deciding {
            if let Outcome::Committed {
                seq: at,
                event: Some(event),
            } = outcome
            {
                seq += 1;
                (*at, event.seq) = (seq, seq);
                events.push((**event).clone());
            }
        }
        events
    }

    fn answer_refusals_early(&mut self, outcomes: &[Outcome]) {
        for (waiting, outcome) in self.group.iter().zip(outcomes) {
            if matches!(
                outcome,
                Outcome::Refused(_) | Outcome::Committed { event: None, .. }
            ) {
                self.answers.push((waiting.ticket, outcome.clone()));
            }
        }
    }

    fn answer(&mut self, outcomes: Vec<Outcome>) {
        for (waiting, mut outcome) in self.group.drain(..).zip(outcomes) {
            if let (Outcome::Observed { rows, as_of }, Some(state)) = (&mut outcome, &self.state) {
                // The group's own events are folded by now: show the rows as they are.
                let keys: Vec<_> = rows.drain(..).map(|(key, _)| key).collect();
                *as_of = state.seq();
                *rows = rows_of(state, &keys);
            }
            self.answers.push((waiting.ticket, outcome));
        }
        self.look = None;
        self.failures = 0;
    }

    /// Takes the result of the I/O that [`Self::poll`] asked for.
    pub fn complete(&mut self, done: Done) {
        let Some(io) = self.in_flight.take() else {
            return;
        };
        match (io, done) {
            (
                Io::Look,
                Done::Looked {
                    head,
                    applied_through,
                },
            ) => {
                self.looked(head, applied_through);
            }
            (Io::Read { .. }, Done::Read(rows)) if !rows.is_empty() => self.read(rows),
            (Io::Load(_), Done::Loaded(rows)) => self.loaded(rows),
            (Io::Append(events), Done::Appended(true)) => {
                self.head = events.last().map_or(self.head, |event| event.seq);
                self.fetched.extend(events);
                self.settled = Some(std::mem::take(&mut self.deciding));
            }
            (Io::Append(events), Done::Appended(false)) => self.lost_race(&events),
            (Io::Apply(event, _), Done::Applied) => {
                self.unapplied.pop();
                self.published.push(*event);
            }
            (Io::Raise(through), Done::Raised) => self.raised = through,
            (io, _) => self.failed(&io),
        }
    }

    fn looked(&mut self, head: Seq, applied_through: Seq) {
        self.look = Some(head);
        self.head = self.head.max(head);
        if self.state.is_some() {
            return;
        }
        let applied_through = if mutant::is("no-finish-on-load") {
            head
        } else {
            applied_through.min(head)
        };
        self.raised = applied_through;
        if applied_through == 0 {
            self.state = Some(State::default());
        } else {
            self.base = Some(applied_through);
        }
    }

    fn read(&mut self, rows: Vec<Event>) {
        match std::mem::replace(&mut self.reading, Reading::Log) {
            Reading::Base => {
                let mut rows = rows.into_iter();
                self.state = rows.next().map(|base| State::after(&base));
                self.base = None;
                self.fetched = rows.collect();
            }
            Reading::Log => self.fetched.extend(rows),
            Reading::Tail => {
                if let Some(state) = &mut self.state {
                    state.extend_tail(&rows);
                }
            }
            Reading::Scan(ticket) => {
                let waiting = self
                    .group
                    .iter_mut()
                    .find(|waiting| waiting.ticket == ticket);
                let Some(waiting) = waiting else { return };
                let Work::Command(request) = &waiting.work else {
                    return;
                };
                waiting.scanned = rows.last().map(|event| event.seq);
                waiting.found = rows
                    .iter()
                    .find(|e| e.actor == request.actor && e.request_id == request.request_id)
                    .map(|event| (event.digest, event.seq));
            }
        }
    }

    fn loaded(&mut self, rows: Vec<(RowKey, Option<Row>)>) {
        let Some(state) = &mut self.state else { return };
        let newest = rows
            .iter()
            .filter_map(|(_, row)| row.as_ref().map(Row::applied_seq))
            .max();
        state.insert(rows);
        // A row from the future: another node has appended. Fold on.
        self.head = self.head.max(newest.unwrap_or(0));
    }

    /// Another node's row stands where ours should.
    fn lost_race(&mut self, events: &[Event]) {
        self.head = self.head.max(events.first().map_or(0, |event| event.seq));
        if !mutant::is("no-second-decision") {
            self.deciding.clear();
        }
    }

    /// An I/O failed, or it is unclear whether it did: nothing in memory counts.
    fn failed(&mut self, io: &Io) {
        self.failures += 1;
        let unclear = matches!(io, Io::Append(_));
        for (waiting, outcome) in self.group.iter_mut().zip(&self.deciding) {
            waiting.unclear |=
                unclear && matches!(outcome, Outcome::Committed { event: Some(_), .. });
        }
        for waiting in &mut self.group {
            waiting.scanned = None;
            waiting.found = None;
        }
        // The group's own event may stand already even when what failed came later.
        if let Some(outcomes) = &self.settled {
            for (waiting, outcome) in self.group.iter_mut().zip(outcomes) {
                waiting.unclear |= matches!(outcome, Outcome::Committed { event: Some(_), .. });
            }
        }
        self.forget();
        if self.failures >= self.options.tries {
            for waiting in self.group.drain(..) {
                let outcome = Outcome::Unavailable {
                    settled: !waiting.unclear,
                };
                self.answers.push((waiting.ticket, outcome));
            }
        }
    }

    fn forget(&mut self) {
        self.look = None;
        self.settled = None;
        self.deciding.clear();
        self.state = None;
        self.base = None;
        self.head = 0;
        self.raised = 0;
        self.fetched.clear();
        self.unapplied.clear();
        self.reading = Reading::Log;
    }
}

/// What the mutants leave out.
fn may_skip_look(outcomes: &[Outcome]) -> bool {
    let reads = outcomes
        .iter()
        .all(|outcome| matches!(outcome, Outcome::Observed { .. }));
    (reads && mutant::is("read-without-look")) || (!reads && mutant::is("refusal-without-look"))
}

fn observed(state: &State, keys: &[RowKey]) -> Outcome {
    Outcome::Observed {
        as_of: state.seq(),
        rows: rows_of(state, keys),
    }
}

fn rows_of(state: &State, keys: &[RowKey]) -> Vec<(RowKey, Option<Row>)> {
    let unique: BTreeMap<&RowKey, Option<&Row>> =
        keys.iter().map(|key| (key, state.row(key))).collect();
    unique
        .into_iter()
        .map(|(key, row)| (key.clone(), row.cloned()))
        .collect()
}
