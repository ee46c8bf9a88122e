//! What is asked of the nodes in one run of the model, and what may go wrong.
//! Only data: the worlds are in `world`, the scenarios themselves in `scenarios`.

use std::sync::Arc;

use confab_log::{
    Appender, Micros, Request, RowKey,
    appender::{Done, Options, Outcome},
};

use super::store::{Store, Write};

/// One scenario.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Scenario {
    /// Its name, for people.
    pub name: String,
    /// Carried out before the run, without faults.
    pub setup: Vec<Request>,
    /// What clients ask for during the run.
    pub asks: Vec<Ask>,
    /// How many nodes there are.
    pub nodes: usize,
    /// How their appenders are tuned.
    pub options: Options,
    /// I/Os that may time out. A write that does may land later, or never.
    pub faults: u8,
    /// Whether reads time out too.
    pub read_faults: bool,
    /// Crashes of nodes.
    pub crashes: u8,
    /// The times that a node's clock may show; it starts at the first.
    pub clocks: [Micros; 2],
    /// How often a clock may jump to the other.
    pub jumps: u8,
    /// The rows at an inbox's end that the mutant looks at.
    pub inbox_tail: usize,
    /// An idle node may wait for more commands before it begins.
    pub gathers: bool,
    /// A result may reach a node later than it was found.
    pub split: bool,
    /// Effects are applied, and rows are loaded, one at a time; others see what is
    /// between, and may come between.
    pub stepwise: bool,
}

/// One thing that a client wants, under one request id.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What.
    pub what: What,
    /// Whether it carries `after_seq`.
    pub knows: bool,
    /// These must have been answered, and not with a refusal, before the first try.
    pub after: Vec<usize>,
    /// Where the first try may go.
    pub first: Vec<usize>,
    /// Where the others may go.
    pub retry: Vec<usize>,
    /// Tries, at most.
    pub tries: u8,
    /// Whether a try may start while another is under way.
    pub racing: bool,
    /// Whether a client repeats what was answered.
    pub again: bool,
}

/// A command or a read.
#[derive(Clone, Debug)]
pub enum What {
    /// A command.
    Command(Box<Request>),
    /// A read of rows.
    Read(Vec<RowKey>),
}

impl Scenario {
    /// Two warm-less nodes, tiny options, nothing goes wrong.
    pub fn new(name: &str, setup: Vec<Request>, asks: Vec<Ask>) -> Self {
        Self {
            name: name.to_owned(),
            setup,
            asks,
            nodes: 2,
            options: Options {
                tail: 2,
                group: 2,
                page: 2,
                raise_every: 1,
                tries: 2,
                ..Options::default()
            },
            faults: 0,
            read_faults: false,
            crashes: 0,
            clocks: [100, 200],
            jumps: 0,
            inbox_tail: 1,
            gathers: false,
            split: false,
            stepwise: false,
        }
    }

    /// The store after the set-up.
    ///
    /// # Panics
    /// If the set-up is refused: the scenario is wrong.
    pub fn store(&self) -> Store {
        let mut store = Store::default();
        let mut node = Appender::new(self.options.clone());
        for request in &self.setup {
            node.submit(Arc::new(request.clone()));
            let answers = run_to_end(&mut node, &mut store, self);
            let committed = matches!(answers[..], [Outcome::Committed { .. }]);
            assert!(committed, "{}: {request:?}: {answers:?}", self.name);
        }
        store
    }
}

/// I/Os after which a node that meets no fault must have answered.
const PATIENCE: usize = 500;

/// Runs a node without faults until it is idle; what it answered. It answers
/// nothing, and is left as it stands, if it does not come to an end.
pub fn run_to_end(node: &mut Appender, store: &mut Store, scenario: &Scenario) -> Vec<Outcome> {
    for _ in 0..PATIENCE {
        let Some(io) = node.poll(scenario.clocks[0]) else {
            let answers = node.take_answers().into_iter();
            return answers.map(|(_, outcome)| outcome).collect();
        };
        let mut wrote = true;
        for part in Write::parts(&io) {
            wrote = store.write(&part, scenario.inbox_tail);
        }
        let done = match &io {
            confab_log::appender::Io::Append(_) => Done::Appended(wrote),
            confab_log::appender::Io::Apply(..) => Done::Applied,
            confab_log::appender::Io::Raise(_) => Done::Raised,
            _ => store.answer(&io).unwrap_or(Done::Failed),
        };
        node.complete(done);
    }
    Vec::new()
}
