//! Steps 3, 4 and 6: what a group of commands and reads needs, how it is
//! decided, and what it is answered. It never touches the log's rows itself.

use std::{collections::BTreeMap, sync::Arc};

use super::{Appender, Io, Outcome, Reading, Ticket, bounds::Filling};
use crate::{
    Decision, Digest, Event, Micros, Request, Row, RowKey, Seq, State, decide,
    decide::is_first_event,
    mutant,
    state::{Draft, View},
};

/// A command or a read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// To be decided.
    Command(Arc<Request>),
    /// To be shown these rows.
    Observe(Vec<RowKey>),
}

/// A command or a read that is not answered yet, and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    /// Towards its sender.
    pub(super) ticket: Ticket,
    /// What is asked.
    pub(super) work: Work,
    /// Request ids at or below this are not looked for: fixed at the first decision.
    pub(super) pinned: Option<Seq>,
    /// Rows from the pin to here were scanned for the request id.
    pub(super) scanned: Option<Seq>,
    /// What the scan found: the event of the request id.
    pub(super) found: Option<(Digest, Seq)>,
    /// Its event stands at this row; or an append that begins at this row, and
    /// carries it, may have worked or may yet. Until the fold has reached the row,
    /// nobody may be told that the command is refused.
    pub(super) may_stand_at: Option<Seq>,
}

impl Waiting {
    /// New: nothing is known about it.
    pub(super) fn new(ticket: Ticket, work: Work) -> Self {
        Self { ticket, work, pinned: None, scanned: None, found: None, may_stand_at: None }
    }

    /// Its event stands, or may come to stand, at this row or above.
    pub(super) fn stands_at(&mut self, seq: Seq) {
        self.may_stand_at = self.may_stand_at.max(Some(seq));
    }
}

impl Appender {
    pub(super) fn form_group(&mut self) {
        if self.group.is_empty() && !self.queue.is_empty() {
            if let Some(state) = &mut self.state {
                state.trim_rows();
            }
            let size = self.queue.len().min(self.options.group);
            self.group.extend(self.queue.drain(..size));
            self.look = None;
            self.failures = 0;
            self.recall_open();
        }
    }

    /// A retry of what may yet land is open too.
    fn recall_open(&mut self) {
        for (actor, request_id, at) in &self.open {
            for waiting in &mut self.group {
                if let Work::Command(request) = &waiting.work
                    && request.actor == *actor
                    && request.request_id == *request_id
                {
                    waiting.stands_at(*at);
                }
            }
        }
    }

    /// Step 3: what the group needs before it can be decided.
    pub(super) fn gather(&mut self) -> Option<Io> {
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
            if is_first_event(state, request) {
                continue; // however old it is
            }
            if waiting.pinned.is_some() && mutant::is("absent-remembered") {
                continue;
            }
            let pinned = *waiting.pinned.get_or_insert(request.after_seq.unwrap_or(lowest_tail));
            if waiting.found.is_some() || pinned >= floor {
                continue;
            }
            if floor > lowest_tail {
                self.reading = Reading::Tail;
                let from = floor.saturating_sub(self.options.page).max(lowest_tail);
                return Some(Io::Read { from: from + 1, to: floor });
            }
            let scanned = waiting.scanned.unwrap_or(pinned);
            if scanned < floor && !mutant::is("no-scan") {
                self.reading = Reading::Scan(waiting.ticket);
                let to = floor.min(scanned + self.options.page);
                return Some(Io::Read { from: scanned + 1, to });
            }
        }
        None
    }

    /// Steps 4 to 6. `None`: the group is answered, or must be decided again.
    pub(super) fn decide_group(&mut self, now: Micros) -> Option<Io> {
        let state = self.state.as_ref()?;
        if mutant::is("no-second-decision") && !self.deciding.is_empty() {
            return Some(Io::Append(self.renumbered()));
        }
        // Where a row stands, no other append can land.
        self.open.retain(|(_, _, at)| *at > state.seq());
        let mut draft = Draft::new(state);
        let mut outcomes = Vec::with_capacity(self.group.len());
        let mut filling = Filling::default();
        for waiting in &mut self.group {
            outcomes.push(match &waiting.work {
                Work::Observe(keys) => observed(state, keys),
                Work::Command(request) => match decide(&draft, request, waiting.found, now) {
                    Decision::Append(event) if !filling.takes(&self.options.append, &event) => {
                        break;
                    }
                    Decision::Append(event) => {
                        draft.push((*event).clone());
                        Outcome::Committed { seq: event.seq, event: Some(event) }
                    }
                    Decision::Known(seq) => {
                        if seq <= state.seq() {
                            waiting.stands_at(seq);
                        }
                        Outcome::Committed { seq, event: None }
                    }
                    Decision::Refuse(refusal) => Outcome::Refused(refusal),
                },
            });
        }
        let events = draft.into_events();
        if !events.is_empty() {
            self.cut_group(outcomes.len());
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
        let seq = state.seq();
        for (waiting, outcome) in self.group.iter().zip(&mut outcomes) {
            // Refused now, by a clock that went back; but our own append may yet land.
            let open = waiting.may_stand_at.is_some_and(|at| at > seq);
            if open && matches!(outcome, Outcome::Refused(_)) {
                *outcome = Outcome::Unavailable { settled: false };
            }
        }
        self.answer(outcomes);
        None
    }

    /// The events of the last decision, moved to the new head undecided: a mutant.
    fn renumbered(&mut self) -> Vec<Event> {
        let (mut events, mut seq) = (Vec::new(), self.head);
        for outcome in &mut self.deciding {
            if let Outcome::Committed { seq: at, event: Some(event) } = outcome {
                seq += 1;
                (*at, event.seq) = (seq, seq);
                events.push((**event).clone());
            }
        }
        events
    }

    fn answer_refusals_early(&mut self, outcomes: &[Outcome]) {
        for (waiting, outcome) in self.group.iter().zip(outcomes) {
            if matches!(outcome, Outcome::Refused(_) | Outcome::Committed { event: None, .. }) {
                self.answers.push((waiting.ticket, outcome.clone()));
            }
        }
    }

    pub(super) fn answer(&mut self, outcomes: Vec<Outcome>) {
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
}

/// What the mutants leave out.
fn may_skip_look(outcomes: &[Outcome]) -> bool {
    let reads = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Observed { .. }));
    (reads && mutant::is("read-without-look")) || (!reads && mutant::is("refusal-without-look"))
}

fn observed(state: &State, keys: &[RowKey]) -> Outcome {
    Outcome::Observed { as_of: state.seq(), rows: rows_of(state, keys) }
}

fn rows_of(state: &State, keys: &[RowKey]) -> Vec<(RowKey, Option<Row>)> {
    let unique: BTreeMap<&RowKey, Option<&Row>> =
        keys.iter().map(|key| (key, state.row(key))).collect();
    unique.into_iter().map(|(key, row)| (key.clone(), row.cloned())).collect()
}
