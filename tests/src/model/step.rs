//! Taking a step: the appender is told, the store is written, and each thing that
//! somebody could see is held against the [`Law`]. It never decides what comes next.

use std::sync::Arc;

use confab_log::{
    Request, Seq,
    appender::{Done, Io, Outcome},
};

use super::{
    checks::{Law, Violation},
    node::{Flight, Node, Tries, Try, bit},
    scenario::What,
    shared::Shared,
    store::Write,
    world::{Late, Step, World},
};

type Verdict = Result<(), Violation>;

impl World {
    /// Takes a step that is possible here. What happened is told to the law's journal.
    pub fn take(&mut self, step: Step, law: &Law<'_>) -> Verdict {
        match step {
            Step::Submit(ask, node) => self.submit(ask, node, law),
            Step::Start(node) => self.poll(node, law),
            Step::Run(node) => self.run(node, law),
            Step::Deliver(node) => self.deliver(node, law),
            Step::Fail(node) => self.fail(node, law),
            Step::Crash(node) => {
                self.crash(node, law);
                Ok(())
            }
            Step::Jump(node) => {
                self.jumps -= 1;
                let node = self.nodes[node].edit();
                node.clock = 1 - node.clock;
                Ok(())
            }
            Step::Land(late) => {
                let late = self.late.remove(late);
                law.tell(|| format!("lands late: {}", law.name(&late.write)));
                self.write(&late.write, &late.tries, law)?;
                self.purge(law);
                Ok(())
            }
        }
    }

    fn submit(&mut self, ask: usize, index: usize, law: &Law<'_>) -> Verdict {
        let script = &law.scenario.asks[ask];
        let acked = self.acked(law.scenario);
        let known = script.after.iter().filter_map(|ask| self.calls[*ask].acked);
        let known = known.max().unwrap_or(0).max(law.scenario.setup.len() as Seq);
        let call = &mut self.calls[ask];
        call.tries += 1;
        call.outstanding += 1;
        if script.knows && call.tries == 1 {
            call.after_seq = Some(known);
        }
        let node = self.nodes[index].edit();
        node.used = true;
        let ticket = match &script.what {
            What::Read(keys) => node.appender.observe(keys.clone()),
            What::Command(request) => node
                .appender
                .submit(Arc::new(Request { after_seq: call.after_seq, ..(**request).clone() })),
        };
        node.tries.push(Try { ticket, ask, number: call.tries, arrived: self.store.head(), acked });
        law.tell(|| format!("node {index}: try {} of {}", call.tries, law.ask(ask)));
        if node.flight.is_none() && !law.scenario.gathers {
            self.poll(index, law)?;
        }
        Ok(())
    }

    /// Lets an appender say what is next, and hears what it has to say.
    fn poll(&mut self, index: usize, law: &Law<'_>) -> Verdict {
        let node = self.nodes[index].edit();
        let now = law.scenario.clocks[node.clock];
        let io = law.broken(|| node.appender.poll(now));
        let (events, answers) = (node.appender.take_published(), node.appender.take_answers());
        for event in events {
            let last = node.published.replace(event.seq);
            law.published(&self.store, last, &event)?;
        }
        for (ticket, outcome) in answers {
            let asked = node.tries.iter().position(|asked| asked.ticket == ticket);
            let Some(asked) = asked else {
                let message = format!("node {index} answers twice: {outcome:?}");
                return Err(Violation(message));
            };
            let asked = node.tries.remove(asked);
            law.tell(|| format!("node {index} answers {}: {outcome:?}", law.ask(asked.ask)));
            law.answered(&self.store, &self.calls[asked.ask], &asked, &outcome)?;
            self.calls[asked.ask].learn(&asked, &outcome);
            law.never_told_otherwise(asked.ask, &self.calls[asked.ask])?;
        }
        if let Some(io) = io {
            node.regroup(law.scenario.options.group);
            node.flight = Some(Flight {
                parts: Write::parts(&io),
                tries: tries_of(&io, node, law),
                loaded: Vec::new(),
                result: None,
                io,
            });
        }
        Ok(())
    }

    fn run(&mut self, index: usize, law: &Law<'_>) -> Verdict {
        let Some(mut flight) = self.nodes[index].edit().flight.take() else {
            return Ok(());
        };
        law.tell(|| format!("node {index}: {}", law.io(&flight.io)));
        let mut wrote = true;
        let stepwise = law.scenario.stepwise && flight.parts.len() > 1;
        let parts = if stepwise { 1 } else { flight.parts.len() };
        for part in flight.parts.drain(..parts) {
            wrote = self.write(&part, &flight.tries, law)?;
        }
        if !self.load_next(&mut flight, law) && flight.parts.is_empty() {
            flight.result = Some(match &flight.io {
                Io::Append(_) => Done::Appended(wrote),
                Io::Apply(..) => Done::Applied,
                Io::Raise(_) => Done::Raised,
                read => self.store.answer(read).unwrap_or(Done::Failed),
            });
        }
        let found = flight.result.is_some();
        self.nodes[index].edit().flight = Some(flight);
        if found && !law.scenario.split {
            self.deliver(index, law)?;
        }
        Ok(())
    }

    /// Reads one row more of a load that has others to come.
    fn load_next(&self, flight: &mut Flight, law: &Law<'_>) -> bool {
        let Io::Load(keys) = &flight.io else { return false };
        let Some(key) = keys.get(flight.loaded.len()) else { return false };
        if !law.scenario.stepwise {
            return false;
        }
        flight.loaded.push((key.clone(), self.store.row(key).cloned()));
        let more = flight.loaded.len() < keys.len();
        if !more {
            flight.result = Some(Done::Loaded(std::mem::take(&mut flight.loaded)));
        }
        true
    }

    fn deliver(&mut self, index: usize, law: &Law<'_>) -> Verdict {
        let node = self.nodes[index].edit();
        if let Some(Flight { result: Some(done), .. }) = node.flight.take() {
            law.tell(|| format!("node {index} hears {}", law.done(&done)));
            law.broken(|| node.appender.complete(done));
        }
        self.poll(index, law)
    }

    fn fail(&mut self, index: usize, law: &Law<'_>) -> Verdict {
        self.faults -= 1;
        let node = self.nodes[index].edit();
        node.published = None;
        if let Some(flight) = node.flight.take() {
            law.tell(|| format!("node {index}: {} times out", law.io(&flight.io)));
            law.broken(|| node.appender.complete(Done::Failed));
            self.delay(flight, law);
        }
        self.poll(index, law)
    }

    fn crash(&mut self, index: usize, law: &Law<'_>) {
        self.crashes -= 1;
        law.tell(|| format!("node {index} crashes"));
        let node = self.nodes[index].edit();
        let clock = node.clock;
        let dead = std::mem::replace(node, Node::cold(&law.scenario.options));
        node.clock = clock;
        for lost in dead.tries {
            self.calls[lost.ask].outstanding -= 1;
        }
        if let Some(flight) = dead.flight {
            self.delay(flight, law);
        }
    }

    /// What has not landed may land later.
    fn delay(&mut self, flight: Flight, law: &Law<'_>) {
        for write in flight.parts {
            let tries = flight.tries.clone();
            self.late.push(Shared::new(Late { write, tries }));
        }
        self.purge(law);
        self.late.sort_by_key(Shared::fingerprint);
    }

    /// Drops the late writes that can change nothing any more.
    fn purge(&mut self, law: &Law<'_>) {
        let store = &self.store;
        self.late.retain(|late| law.keeps_all_late_writes() || store.wants(&late.write));
    }

    fn write(&mut self, part: &Write, tries: &Tries, law: &Law<'_>) -> Result<bool, Violation> {
        let head = self.store.head();
        law.before(&self.store, part)?;
        let store = self.store.edit();
        let wrote = law.broken(|| store.write(part, law.scenario.inbox_tail));
        if wrote {
            law.landed(&self.store, head, part, &self.calls)?;
        }
        if wrote && matches!(part, Write::Append(_)) {
            for (ask, tries) in tries {
                self.calls[*ask].landed |= tries;
                law.never_told_otherwise(*ask, &self.calls[*ask])?;
            }
            self.purge(law);
        }
        Ok(wrote)
    }
}

impl super::world::Call {
    fn learn(&mut self, asked: &Try, outcome: &Outcome) {
        self.outstanding -= 1;
        match outcome {
            Outcome::Committed { seq, .. } => {
                self.acked = Some(*seq);
                self.answered = true;
            }
            Outcome::Refused(_) => {
                self.answered = true;
                self.refused |= bit(asked.number);
            }
            Outcome::Observed { .. } => self.answered = true,
            Outcome::Unavailable { settled: true } => self.settled |= bit(asked.number),
            Outcome::Unavailable { settled: false } => {}
        }
    }
}

/// The tries whose events an append carries.
fn tries_of(io: &Io, node: &Node, law: &Law<'_>) -> Tries {
    let Io::Append(events) = io else {
        return Vec::new();
    };
    let carries = |asked: &&Try| match &law.scenario.asks[asked.ask].what {
        What::Command(request) => events.iter().any(|event| {
            event.actor == request.actor
                && event.request_id == request.request_id
                && event.digest == request.digest
        }),
        What::Read(_) => false,
    };
    let group = node.tries.iter();
    let group = group.filter(|asked| node.group.contains(&asked.ticket));
    let asked = group.filter(carries);
    asked.map(|asked| (asked.ask, bit(asked.number))).collect()
}
