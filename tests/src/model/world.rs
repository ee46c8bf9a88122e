//! Everything at one moment: the store, the nodes, the writes that may yet land,
//! and what the clients know; and which steps can come next. Taking a step is in
//! `step`.

use std::hash::{Hash, Hasher};

use confab_log::Seq;

use super::{
    node::{Node, Tries},
    scenario::{Scenario, What},
    shared::{Fingerprint, Shared, fingerprint},
    store::{Store, Write},
};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A client sends an ask to a node.
    Submit(usize, usize),
    /// An idle node begins with what waits.
    Start(usize),
    /// A node's I/O, or the next part of it, works.
    Run(usize),
    /// A result reaches its node.
    Deliver(usize),
    /// A node's I/O times out; what it has not written may land later.
    Fail(usize),
    /// A node loses its memory; so does its I/O.
    Crash(usize),
    /// A node's clock jumps.
    Jump(usize),
    /// A late write lands.
    Land(usize),
}

/// What a client knows of one of its asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Call {
    /// Tries so far.
    pub tries: u8,
    /// Tries under way.
    pub outstanding: u8,
    /// Fixed at the first try.
    pub after_seq: Option<Seq>,
    /// Where its event stands, once it was told.
    pub acked: Option<Seq>,
    /// Whether it was answered at all, and not with "unavailable".
    pub answered: bool,
    /// The tries that were refused.
    pub refused: u8,
    /// The tries that were told that they have appended nothing and never will.
    pub settled: u8,
    /// The tries of the group whose append put the event into the log.
    pub landed: u8,
}

/// A write that timed out and may land at any time, or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Late {
    /// The write.
    pub write: Write,
    /// The tries whose events it carries.
    pub tries: Tries,
}

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// The store.
    pub store: Shared<Store>,
    /// The nodes.
    pub nodes: Vec<Shared<Node>>,
    /// The late writes, in an order that does not depend on how they came.
    pub late: Vec<Shared<Late>>,
    /// The clients.
    pub calls: Vec<Call>,
    /// Time-outs left.
    pub faults: u8,
    /// Crashes left.
    pub crashes: u8,
    /// Jumps of clocks left.
    pub jumps: u8,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.store.hash(state);
        self.nodes.hash(state);
        self.late.hash(state);
        self.calls.hash(state);
        [self.faults, self.crashes, self.jumps].hash(state);
    }
}

impl World {
    /// The world before the first step.
    pub fn new(scenario: &Scenario) -> Self {
        let node = Shared::new(Node::cold(&scenario.options));
        Self {
            store: Shared::new(scenario.store()),
            nodes: vec![node; scenario.nodes],
            late: Vec::new(),
            calls: vec![Call::default(); scenario.asks.len()],
            faults: scenario.faults,
            crashes: scenario.crashes,
            jumps: scenario.jumps,
        }
    }

    /// Names this world among all others.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(self)
    }

    /// The newest event that anybody was told of; the set-up's are known to all.
    pub fn acked(&self, scenario: &Scenario) -> Seq {
        let told = self.calls.iter().filter_map(|call| call.acked).max();
        told.unwrap_or(0).max(scenario.setup.len() as Seq)
    }

    /// Steps that lead on. Where there is none, all is answered.
    pub fn progress(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps = Vec::new();
        for ask in 0..self.calls.len() {
            for node in self.targets(ask, scenario) {
                steps.push(Step::Submit(ask, node));
            }
        }
        for (index, node) in self.nodes.iter().enumerate() {
            match &node.flight {
                Some(flight) if flight.result.is_some() => steps.push(Step::Deliver(index)),
                Some(_) => steps.push(Step::Run(index)),
                None if !node.appender.is_idle() => steps.push(Step::Start(index)),
                None => {}
            }
        }
        steps
    }

    /// Steps that make trouble: faults as far as they are left, and late writes.
    pub fn trouble(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps: Vec<_> = (0..self.late.len()).map(Step::Land).collect();
        for (index, node) in self.nodes.iter().enumerate() {
            if self.jumps > 0 {
                steps.push(Step::Jump(index));
            }
            if self.crashes > 0 && node.used {
                steps.push(Step::Crash(index));
            }
            if let Some(flight) = &node.flight
                && self.faults > 0
                && flight.result.is_none()
                && (scenario.read_faults || !flight.parts.is_empty())
            {
                steps.push(Step::Fail(index));
            }
        }
        steps
    }

    /// Where the next try of an ask may go now.
    fn targets(&self, ask: usize, scenario: &Scenario) -> Vec<usize> {
        let (call, script) = (&self.calls[ask], &scenario.asks[ask]);
        let answered = |ask: &usize| match &scenario.asks[*ask].what {
            What::Command(_) => self.calls[*ask].acked.is_some(),
            What::Read(_) => self.calls[*ask].answered,
        };
        let due = call.tries < script.tries
            && (call.outstanding == 0 || script.racing)
            && (!call.answered || script.again)
            && script.after.iter().all(answered);
        match (due, call.tries) {
            (false, _) => Vec::new(),
            (true, 0) => script.first.clone(),
            (true, _) => script.retry.clone(),
        }
    }
}
