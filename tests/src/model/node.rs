//! One node: the real appender, and the I/O that it has under way. What the
//! appender knows is its own affair; nothing here looks into it.

use confab_log::{
    Appender, Row, RowKey, Seq,
    appender::{Done, Io, Options, Ticket},
};

use super::store::Write;

/// One try of an ask, sent to a node and not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Try {
    /// The node's name for it.
    pub ticket: Ticket,
    /// Which ask.
    pub ask: usize,
    /// 1 for the first.
    pub number: u8,
    /// The log's head when it arrived.
    pub arrived: Seq,
    /// The newest event that anybody had been told of by then.
    pub acked: Seq,
}

/// Names tries: an ask and the bits of its tries.
pub type Tries = Vec<(usize, u8)>;

/// The bit of a try.
pub fn bit(number: u8) -> u8 {
    1 << (number - 1)
}

/// An I/O under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    /// What the appender asked for.
    pub io: Io,
    /// Writes that have not landed yet, the next one first.
    pub parts: Vec<Write>,
    /// Rows that were read, of a load that is under way.
    pub loaded: Vec<(RowKey, Option<Row>)>,
    /// What came out, on its way to the node.
    pub result: Option<Done>,
    /// The tries whose events an append carries.
    pub tries: Tries,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Whether it was asked for anything since it started.
    pub used: bool,
    /// The code under test.
    pub appender: Appender,
    /// The I/O under way.
    pub flight: Option<Flight>,
    /// What it owes an answer.
    pub tries: Vec<Try>,
    /// Those of them that it works on together.
    pub group: Vec<Ticket>,
    /// Which of the scenario's two clocks it has.
    pub clock: usize,
    /// The newest event it published since it last forgot what it knew.
    pub published: Option<Seq>,
}

impl Node {
    /// Cold, and free.
    pub fn cold(options: &Options) -> Self {
        Self {
            used: false,
            appender: Appender::new(options.clone()),
            flight: None,
            tries: Vec::new(),
            group: Vec::new(),
            clock: 0,
            published: None,
        }
    }

    /// Answered tries leave the group; after the last, those that wait become one.
    pub(super) fn regroup(&mut self, size: usize) {
        let tries = &self.tries;
        self.group.retain(|ticket| tries.iter().any(|asked| asked.ticket == *ticket));
        if self.group.is_empty() {
            let next = tries.iter().take(size);
            self.group = next.map(|asked| asked.ticket).collect();
        }
    }
}
