//! How an I/O went, and what follows from it: the only place where an appender
//! learns anything about the world. It never asks for the next I/O.

use super::{Appender, Done, Io, Outcome, Reading, group::Work};
use crate::{Event, EventBody, Row, RowKey, Seq, State, mutant};

/// Open requests remembered after their answer; of more, the oldest are forgotten.
const MAX_OPEN: usize = 4096;

impl Appender {
    /// Takes the result of the I/O that [`Self::poll`] asked for.
    pub fn complete(&mut self, done: Done) {
        let Some(io) = self.in_flight.take() else {
            return;
        };
        match (io, done) {
            (Io::Look, Done::Looked { head, applied_through }) => {
                self.looked(head, applied_through);
            }
            (Io::Read { to, .. }, Done::Read(rows)) if self.is_enough(to, &rows) => self.read(rows),
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
        let applied_through =
            if mutant::is("no-finish-on-load") { head } else { applied_through.min(head) };
        self.raised = applied_through;
        if applied_through == 0 {
            self.state = Some(State::default());
        } else {
            self.base = Some(applied_through);
        }
    }

    /// A page that ends early is as good as a smaller page, except where the rows
    /// have to join those that are in memory already.
    fn is_enough(&self, to: Seq, rows: &[Event]) -> bool {
        let last = rows.last().map(|event| event.seq);
        last.is_some_and(|last| last == to || self.reading != Reading::Tail)
    }

    fn read(&mut self, rows: Vec<Event>) {
        // A message is its row: one from the future says that there is more to fold.
        let newest = rows.iter().map(|event| match &event.body {
            EventBody::MessageCreated(message) => message.applied_seq,
            _ => event.seq,
        });
        self.head = self.head.max(newest.max().unwrap_or(0));
        match std::mem::replace(&mut self.reading, Reading::Log) {
            Reading::Base => {
                let mut rows = rows.into_iter();
                self.state = rows.next().map(|base| State::after(&base));
                self.base = None;
                self.fetched = rows.collect();
            }
            Reading::Log => {
                self.reload_blanked(&rows);
                self.fetched.extend(rows);
            }
            Reading::Tail => {
                if let Some(state) = &mut self.state {
                    state.extend_tail(&rows);
                }
            }
            Reading::Scan(ticket) => {
                let waiting = self.group.iter_mut().find(|waiting| waiting.ticket == ticket);
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

    /// An edit without its content cannot be folded: its message has been deleted
    /// since. The stored row holds the edit already; it is loaded in its place.
    fn reload_blanked(&mut self, rows: &[Event]) {
        let Some(state) = &mut self.state else { return };
        for event in rows {
            if let EventBody::MessageEdited { target, content: None, .. } = event.body {
                state.forget_row(&RowKey::Message(target));
            }
        }
    }

    fn loaded(&mut self, rows: Vec<(RowKey, Option<Row>)>) {
        let Some(state) = &mut self.state else { return };
        let newest = rows.iter().filter_map(|(_, row)| row.as_ref().map(Row::applied_seq)).max();
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
        match (io, self.settled.take()) {
            (Io::Append(_), _) if mutant::is("unclear-is-failed") => {}
            (Io::Append(events), _) => self.may_stand(events),
            // Appended before; it was a later I/O that failed.
            (_, Some(outcomes)) => self.may_stand(&appended(outcomes)),
            _ => {}
        }
        for waiting in &mut self.group {
            waiting.scanned = None;
            waiting.found = None;
        }
        self.forget();
        if self.failures >= self.options.tries {
            for waiting in self.group.drain(..) {
                let outcome = Outcome::Unavailable { settled: waiting.may_stand_at.is_none() };
                self.answers.push((waiting.ticket, outcome));
            }
        }
    }

    /// These events stand, or may come to stand, together: whoever asked for one
    /// of them, every copy of a request alike, must not be told otherwise.
    fn may_stand(&mut self, events: &[Event]) {
        let Some(first) = events.first().map(|event| event.seq) else { return };
        for event in events {
            self.open.retain(|(actor, id, _)| (actor, id) != (&event.actor, &event.request_id));
            self.open.push_back((event.actor.clone(), event.request_id.clone(), first));
        }
        while self.open.len() > MAX_OPEN {
            self.open.pop_front();
        }
        for waiting in &mut self.group {
            let Work::Command(request) = &waiting.work else { continue };
            let asked = |event: &Event| {
                event.actor == request.actor && event.request_id == request.request_id
            };
            if events.iter().any(asked) {
                waiting.stands_at(first);
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

fn appended(outcomes: Vec<Outcome>) -> Vec<Event> {
    let events = outcomes.into_iter().filter_map(|outcome| match outcome {
        Outcome::Committed { event, .. } => event.map(|event| *event),
        _ => None,
    });
    events.collect()
}
