//! The promises, as checks on what can be seen: rows of the store, answers,
//! published events. None of them looks into a node.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use confab_log::{
    Appender, Decision, Event, EventBody, Refusal, Request, Row, RowKey, Seq, appender::Outcome,
    decide, event::Kind, mutant, state::View,
};

use super::{
    history::History,
    node::Try,
    scenario::{Scenario, What, run_to_end},
    shared::{Fingerprint, fingerprint},
    store::{Store, Write},
    world::{Call, World},
};

/// A broken promise, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

type Verdict = Result<(), Violation>;

fn ensure(condition: bool, message: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(Violation(message())) }
}

/// Histories kept, at most.
const MAX_HISTORIES: usize = 20_000;

/// The promises, for one scenario.
#[derive(Debug)]
pub struct Law<'a> {
    /// What is asked.
    pub scenario: &'a Scenario,
    mutant: Option<&'static str>,
    journal: Option<RefCell<Vec<String>>>,
    histories: RefCell<HashMap<Fingerprint, Rc<History>>>,
    visits: RefCell<HashMap<Fingerprint, Verdict>>,
}

impl<'a> Law<'a> {
    /// For this scenario, run on this mutant of the code.
    pub fn new(scenario: &'a Scenario, mutant: Option<&'static str>) -> Self {
        Self {
            scenario,
            mutant,
            journal: None,
            histories: RefCell::default(),
            visits: RefCell::default(),
        }
    }

    /// The same, and every step is written down.
    pub fn with_journal(scenario: &'a Scenario, mutant: Option<&'static str>) -> Self {
        Self { journal: Some(RefCell::default()), ..Self::new(scenario, mutant) }
    }

    /// Writes a line down, if anybody wants to read it.
    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(journal) = &self.journal {
            journal.borrow_mut().push(line());
        }
    }

    /// What was written down.
    pub fn journal(self) -> Vec<String> {
        self.journal.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Runs code under test: the mutant is on here and nowhere else.
    pub(super) fn broken<T>(&self, run: impl FnOnce() -> T) -> T {
        mutant::set(self.mutant);
        let result = run();
        mutant::set(None);
        result
    }

    /// Under this mutant a write can come true after it could not.
    pub(super) fn keeps_all_late_writes(&self) -> bool {
        self.mutant == Some("inbox-tail-only")
    }

    fn history(&self, store: &Store) -> Rc<History> {
        let key = fingerprint(&store.log());
        let mut histories = self.histories.borrow_mut();
        if histories.len() > MAX_HISTORIES {
            histories.clear();
        }
        let history = histories.entry(key);
        Rc::clone(history.or_insert_with(|| Rc::new(History::of(store.log()))))
    }

    // ── what is written ─────────────────────────────────────────────────

    /// Before a write lands: every event has its effects before any later one has.
    pub(super) fn before(&self, store: &Store, write: &Write) -> Verdict {
        match write {
            Write::Append(events) => {
                let first = events.first().map_or(0, |event| event.seq);
                ensure(first <= store.head() + 1, || {
                    format!("an append at {first} leaves a hole after {}", store.head())
                })
            }
            Write::Raise(seq) => self.applied(store, *seq, "applied_through is raised"),
            effect => match effect.effect_of() {
                Some(seq) => self.applied(store, seq - 1, "a later effect is applied"),
                None => Ok(()),
            },
        }
    }

    /// After a write landed.
    pub(super) fn landed(
        &self,
        store: &Store,
        head: Seq,
        write: &Write,
        calls: &[Call],
    ) -> Verdict {
        match write {
            Write::Append(events) => {
                for (event, seq) in events.iter().zip(head + 1..) {
                    self.appended(store, event, seq, calls)?;
                }
                Ok(())
            }
            Write::Row(_, key, row) => self.exact_row(store, key, row),
            Write::Inbox(_, effect) => self.exact_inbox(store, effect),
            Write::Blank(..) | Write::Index(..) | Write::Raise(_) => Ok(()),
        }
    }

    /// P2, P3, P13: the event is what the rules say about its command, there.
    fn appended(&self, store: &Store, event: &Event, seq: Seq, calls: &[Call]) -> Verdict {
        ensure(event.seq == seq, || format!("event {} stands at {seq}", event.seq))?;
        let history = self.history(store);
        let before = history.at(seq - 1);
        let known = before.known(&event.actor, &event.request_id);
        ensure(known.is_none(), || format!("event {seq} repeats the request id of {known:?}"))?;
        if matches!(event.body, EventBody::MessageCreated(_)) {
            let may_write = before.people.may_write(&event.actor, event.time);
            ensure(may_write, || format!("event {seq}: {} may not write", event.actor))?;
        }
        let asked = self.scenario.asks.iter().zip(calls);
        let asked = asked.filter_map(|(ask, call)| match &ask.what {
            What::Command(request) => Some((request, call)),
            What::Read(_) => None,
        });
        let mut asked = asked.filter(|(request, _)| {
            request.actor == event.actor
                && request.request_id == event.request_id
                && request.digest == event.digest
        });
        let Some((request, call)) = asked.next() else {
            return Err(Violation(format!("nobody asked for event {seq}")));
        };
        let request = with_after_seq(request, call);
        let decision = decide(before, &request, None, event.time);
        ensure(decision == Decision::Append(Box::new(event.clone())), || {
            format!("event {seq} is {event:?}, but there the rules say {decision:?}")
        })
    }

    /// The event is in the log: no try that shared its append was told that it
    /// never would be, and not all of them were refused. (Of two copies in one
    /// group, the first may be refused and the second carried out.)
    pub(super) fn never_told_otherwise(&self, ask: usize, call: &Call) -> Verdict {
        let landed = call.landed;
        let denied = landed & call.settled != 0 || (landed != 0 && landed & !call.refused == 0);
        ensure(!denied, || format!("{} happened, but it was told otherwise", self.ask(ask)))?;
        // Where one node lives on, it knows of its open appends: a later try of
        // theirs is not refused while they may land.
        let later = landed.checked_ilog2().map_or(0, |last| call.refused >> (last + 1));
        let knew = self.scenario.nodes == 1 && self.scenario.crashes == 0;
        ensure(!knew || later == 0, || {
            format!("{} landed after a later try was refused", self.ask(ask))
        })
    }

    /// P5: a row is the fold of the events up to its `applied_seq`.
    fn exact_row(&self, store: &Store, key: &RowKey, row: &Row) -> Verdict {
        let history = self.history(store);
        ensure(row.applied_seq() <= store.head(), || {
            format!("{key:?} is of an event that is not in the log")
        })?;
        let folded = history.at(row.applied_seq()).rows.get(key);
        ensure(folded == Some(row), || {
            format!("{key:?} is {row:?}, but the log folds to {folded:?}")
        })
    }

    /// The inbox says each join and leave once, in order.
    fn exact_inbox(&self, store: &Store, effect: &confab_log::inbox::InboxEffect) -> Verdict {
        let history = self.history(store);
        let rows = store.inboxes().get(&effect.user).map(|inbox| &inbox.rows[..]);
        let (rows, none) = (rows.unwrap_or_default(), Vec::new());
        let said = history.inboxes.get(&effect.user).unwrap_or(&none);
        ensure(said.starts_with(rows), || {
            format!("{}'s inbox is {rows:?}, but the log says {said:?}", effect.user)
        })
    }

    /// Every effect of every event up to `through` is applied.
    fn applied(&self, store: &Store, through: Seq, when: &str) -> Verdict {
        let history = self.history(store);
        ensure(through <= store.head(), || format!("{when} to {through}, above the head"))?;
        for (key, row) in &history.at(through).rows {
            let stored = store.row(key).map_or(0, Row::applied_seq);
            ensure(stored >= row.applied_seq(), || {
                format!("{when} while {key:?} lacks event {}", row.applied_seq())
            })?;
        }
        for (user, said) in &history.inboxes {
            let due = said.iter().filter(|(seq, _)| *seq <= through).count();
            let rows = store.inboxes().get(user).map_or(0, |inbox| inbox.rows.len());
            ensure(rows >= due, || format!("{when} while {user}'s inbox lacks a row"))?;
        }
        let due = history.blanked.iter().filter(|(by, _)| *by <= through);
        for (by, edit) in due {
            ensure(store.blanked().contains(edit), || {
                format!("{when} while edit {edit}, deleted by {by}, is not blanked")
            })?;
        }
        let due = history.index.iter().filter(|(by, _)| *by <= through);
        for (by, entry) in due {
            ensure(store.index().contains(entry), || {
                format!("{when} while the index lacks {entry:?} of event {by}")
            })?;
        }
        Ok(())
    }

    // ── what is said ────────────────────────────────────────────────────

    /// Published events come in order, and after their effects.
    pub(super) fn published(&self, store: &Store, last: Option<Seq>, event: &Event) -> Verdict {
        let seq = event.seq;
        ensure(last.is_none_or(|last| seq == last + 1), || {
            format!("event {seq} is published after {last:?}")
        })?;
        let stands = in_log(store, seq);
        let same = stands.is_some_and(|stands| {
            (&stands.actor, &stands.request_id) == (&event.actor, &event.request_id)
        });
        ensure(same, || format!("event {seq} is published, the log has {stands:?}"))?;
        self.applied(store, seq, "an event is published")
    }

    /// P1, P2, P3, P5: an answer is true, when it is given and for ever.
    pub(super) fn answered(
        &self,
        store: &Store,
        call: &Call,
        asked: &Try,
        outcome: &Outcome,
    ) -> Verdict {
        match (outcome, &self.scenario.asks[asked.ask].what) {
            (Outcome::Committed { seq, event }, What::Command(request)) => {
                ensure(call.acked.is_none_or(|acked| acked == *seq), || {
                    format!("answered {seq}, before {:?}", call.acked)
                })?;
                self.committed(store, request, *seq, event.as_deref())
            }
            (Outcome::Refused(refusal), What::Command(request)) => {
                self.refused(store, &with_after_seq(request, call), asked, refusal)
            }
            (Outcome::Observed { as_of, rows }, What::Read(_)) => {
                self.observed(store, asked, *as_of, rows)
            }
            (Outcome::Unavailable { .. }, _) => Ok(()),
            _ => Err(Violation(format!("an answer to another question: {outcome:?}"))),
        }
    }

    fn committed(
        &self,
        store: &Store,
        request: &Request,
        seq: Seq,
        event: Option<&Event>,
    ) -> Verdict {
        self.applied(store, seq, "an event is acknowledged")?;
        let stands = in_log(store, seq);
        let own = stands.is_some_and(|stands| {
            stands.actor == request.actor
                && stands.request_id == request.request_id
                && stands.digest == request.digest
        });
        let same = event.is_none_or(|event| stands == Some(event));
        ensure((own && same) || existing_direct(store, request, seq), || {
            format!("{request:?} is acknowledged as {seq}: {stands:?}")
        })
    }

    /// There was a moment since the command arrived at which the rules refused it so.
    fn refused(&self, store: &Store, request: &Request, asked: &Try, refusal: &Refusal) -> Verdict {
        let history = self.history(store);
        let expected = Decision::Refuse(refusal.clone());
        let so_at = |seq: Seq| {
            let clocks = self.scenario.clocks.iter();
            clocks.into_iter().any(|now| decide(history.at(seq), request, None, *now) == expected)
        };
        ensure((asked.arrived..=store.head()).any(so_at), || {
            format!("{request:?} is refused: {refusal}; at no head since its arrival was it so")
        })
    }

    fn observed(
        &self,
        store: &Store,
        asked: &Try,
        as_of: Seq,
        rows: &[(RowKey, Option<Row>)],
    ) -> Verdict {
        ensure(as_of >= asked.acked && as_of <= store.head(), || {
            format!("a read as of {as_of} after {} was acknowledged", asked.acked)
        })?;
        self.applied(store, as_of, "a read is answered")?;
        let history = self.history(store);
        for (key, row) in rows {
            let folded = history.at(as_of).rows.get(key);
            ensure(row.as_ref() == folded, || {
                format!("as of {as_of} {key:?} reads {row:?}, but the log folds to {folded:?}")
            })?;
        }
        Ok(())
    }

    // ── the end ─────────────────────────────────────────────────────────

    /// Nothing moves any more: all is answered. One more visitor of a cold node
    /// finishes what was left, and whoever asks again gets the answer of before.
    pub fn quiescent(&self, world: &World) -> Verdict {
        for (index, node) in world.nodes.iter().enumerate() {
            let idle = node.tries.is_empty() && node.appender.is_idle();
            ensure(idle, || format!("node {index} is stuck: {node:?}"))?;
        }
        let key = fingerprint(&(&world.store, &world.calls));
        if let Some(verdict) = self.visits.borrow().get(&key) {
            return verdict.clone();
        }
        let verdict = self.visit(world);
        self.visits.borrow_mut().insert(key, verdict.clone());
        verdict
    }

    fn visit(&self, world: &World) -> Verdict {
        let mut store = (*world.store).clone();
        let mut node = Appender::new(self.scenario.options.clone());
        node.observe(vec![RowKey::Conversation]);
        let answers = self.broken(|| run_to_end(&mut node, &mut store, self.scenario));
        ensure(matches!(answers[..], [Outcome::Observed { .. }]), || {
            format!("a visitor is answered {answers:?}")
        })?;
        self.applied(&store, store.head(), "a visitor was there")?;
        for (ask, call) in self.scenario.asks.iter().zip(&world.calls) {
            if let What::Command(request) = &ask.what {
                self.ask_again(&mut store, &with_after_seq(request, call), call)?;
            }
        }
        Ok(())
    }

    fn ask_again(&self, store: &mut Store, request: &Request, call: &Call) -> Verdict {
        let history = self.history(store);
        let stands = history.at(Seq::MAX).known(&request.actor, &request.request_id);
        let Some((digest, seq)) = stands else {
            return Ok(());
        };
        let in_tail = seq + self.scenario.options.tail > store.head();
        if digest != request.digest || (call.after_seq.is_none() && !in_tail) {
            return Ok(());
        }
        let mut node = Appender::new(self.scenario.options.clone());
        node.submit(std::sync::Arc::new(request.clone()));
        let answers = self.broken(|| run_to_end(&mut node, store, self.scenario));
        let expected = Outcome::Committed { seq, event: None };
        ensure(answers == [expected], || {
            format!("{request:?} stands at {seq}; asked again, it is answered {answers:?}")
        })
    }
}

fn in_log(store: &Store, seq: Seq) -> Option<&Event> {
    let index = usize::try_from(seq.checked_sub(1)?).ok()?;
    store.log().get(index).map(|event| &**event)
}

fn with_after_seq(request: &Request, call: &Call) -> Request {
    Request { after_seq: call.after_seq, ..request.clone() }
}

/// Creating a direct conversation that exists answers with its first event.
fn existing_direct(store: &Store, request: &Request, seq: Seq) -> bool {
    let confab_log::Command::Create(creation) = &request.command else {
        return false;
    };
    seq == 1 && creation.kind == Kind::Direct && !store.log().is_empty()
}
