//! What must be true of every run, however fast: each conversation's events
//! come 1, 2, 3 … without a hole and once, each sender's messages in the order
//! of its sends, and everything that was acknowledged is there, the same for
//! every reader. Pure: it is told what was acknowledged and what was seen.

use std::collections::{BTreeMap, HashMap};

use confab_proto::messages::v1::{Event, event::Kind};

/// Findings that are told; the rest is counted.
const TOLD: usize = 20;

/// Where a message comes from. It travels as the request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which sender.
    pub(super) sender: u32,
    /// The how-manieth message of this sender, from 1.
    pub(super) number: u64,
    /// When it was due, in microseconds since the run began.
    pub(super) due_micros: u64,
}

impl Mark {
    pub(super) fn request_id(&self) -> String {
        format!("bench.{}.{}.{}", self.sender, self.number, self.due_micros)
    }

    fn parse(request_id: &str) -> Option<Self> {
        let mut parts = request_id.strip_prefix("bench.")?.split('.');
        let mut next = || parts.next()?.parse::<u64>().ok();
        let mark =
            Self { sender: u32::try_from(next()?).ok()?, number: next()?, due_micros: next()? };
        next().is_none().then_some(mark)
    }
}

/// Broken promises: the first of them in words, all of them in number.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    pub(super) count: u64,
    pub(super) told: Vec<String>,
}

impl Findings {
    pub(super) fn find(&mut self, what: impl Into<String>) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(what.into());
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.count += other.count;
        let room = TOLD.saturating_sub(self.told.len());
        self.told.extend(other.told.into_iter().take(room));
    }
}

/// One reader of one conversation.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    name: String,
    cursor: u64,
    /// The last message seen of each sender.
    numbers: HashMap<u32, u64>,
    /// Of all that was seen, in its order; `None` after a gap.
    order: Option<u64>,
    pub(super) gaps: u64,
    pub(super) findings: Findings,
}

impl Reader {
    /// Begins after the event `cursor`. `name` says who read, for findings.
    pub(super) fn after(name: impl Into<String>, cursor: u64) -> Self {
        Self {
            name: name.into(),
            cursor,
            numbers: HashMap::new(),
            order: Some(cursor),
            gaps: 0,
            findings: Findings::default(),
        }
    }

    /// The last event seen.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next event that came; the mark of a message of this run.
    pub(super) fn see(&mut self, event: &Event) -> Option<Mark> {
        let due = self.cursor + 1;
        if event.seq < due {
            self.find(&format!("event {} came again after {}", event.seq, self.cursor));
            return None;
        }
        if event.seq > due {
            self.find(&format!("event {} came where {due} was due", event.seq));
        }
        self.cursor = event.seq;
        let mark = mark_of(event)?;
        if let Some(last) = self.numbers.insert(mark.sender, mark.number)
            && mark.number != last + 1
        {
            let Mark { sender, number, .. } = mark;
            self.find(&format!("message {number} of sender {sender} came after {last}"));
        }
        self.order = self.order.map(|order| chain(order, event.seq, mark));
        Some(mark)
    }

    /// Events that the server said it does not push.
    pub(super) fn pass_gap(&mut self, from: u64, to: u64) {
        if from != self.cursor + 1 || to < from {
            self.find(&format!("a gap {from} to {to} after event {}", self.cursor));
        }
        self.cursor = self.cursor.max(to);
        self.numbers.clear();
        self.order = None;
        self.gaps += 1;
    }

    /// Holds what another reader of the conversation saw against this one.
    pub(super) fn compare(&mut self, other: &Self) {
        if self.cursor != other.cursor {
            self.find(&format!("ended at event {}, the log at {}", self.cursor, other.cursor));
        } else if self.order.is_some() && self.order != other.order {
            self.find(&format!(
                "saw another order than {} up to event {}",
                other.name, self.cursor
            ));
        }
    }

    fn find(&mut self, what: &str) {
        self.findings.find(format!("{}: {what}", self.name));
    }
}

/// The mark of a message of this run.
pub(super) fn mark_of(event: &Event) -> Option<Mark> {
    match &event.kind {
        Some(Kind::MessageCreated(_)) => Mark::parse(&event.request_id),
        _ => None,
    }
}

/// FNV-1a over whole words: not against malice, only against difference.
fn chain(order: u64, seq: u64, mark: Mark) -> u64 {
    let words = [seq, u64::from(mark.sender), mark.number];
    words.into_iter().fold(order, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3))
}

/// What was acknowledged in one conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    acknowledged: BTreeMap<u64, Mark>,
    pub(super) findings: Findings,
}

impl Ledger {
    /// The server said that the message stands at `seq`.
    pub(super) fn acknowledge(&mut self, seq: u64, mark: Mark) {
        if let Some(other) = self.acknowledged.insert(seq, mark) {
            self.findings.find(format!("event {seq} was acknowledged for {other:?} and {mark:?}"));
        }
    }

    /// Holds the log's messages of this run against it. Every send was settled,
    /// so there must be neither less nor more.
    pub(super) fn compare(&mut self, name: &str, log: &BTreeMap<u64, Mark>) {
        for (seq, mark) in &self.acknowledged {
            if log.get(seq) != Some(mark) {
                let found = log.get(seq);
                self.findings.find(format!(
                    "{name}: event {seq} was acknowledged as {mark:?}, the log has {found:?}"
                ));
            }
        }
        for (seq, mark) in log.iter().filter(|(seq, _)| !self.acknowledged.contains_key(seq)) {
            self.findings.find(format!("{name}: event {seq}, {mark:?}, answers no send"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, sender: u32, number: u64) -> Event {
        Event {
            seq,
            request_id: mark(sender, number).request_id(),
            kind: Some(Kind::MessageCreated(confab_proto::messages::v1::Message::default())),
            ..Event::default()
        }
    }

    fn mark(sender: u32, number: u64) -> Mark {
        Mark { sender, number, due_micros: number * 10 }
    }

    fn reader(seen: &[(u64, u32, u64)]) -> Reader {
        let mut reader = Reader::after("reader", 2);
        for (seq, sender, number) in seen {
            reader.see(&event(*seq, *sender, *number));
        }
        reader
    }

    #[test]
    fn a_mark_survives_as_a_request_id() {
        let mark = mark(7, 300);
        assert_eq!(Mark::parse(&mark.request_id()), Some(mark));
        for other in ["bench.1.2", "bench.1.2.3.4", "bench.a.2.3", "3f1c", "bench.-1.2.3"] {
            assert_eq!(Mark::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_dense_log_in_order_has_no_findings() {
        let reader = reader(&[(3, 1, 1), (4, 2, 5), (5, 1, 2), (6, 2, 6)]);
        assert_eq!((reader.findings.count, reader.cursor()), (0, 6));
    }

    #[test]
    fn holes_repetitions_and_swaps_are_found() {
        assert_eq!(reader(&[(3, 1, 1), (5, 2, 2)]).findings.count, 1, "a hole");
        assert_eq!(reader(&[(3, 1, 1), (3, 1, 1)]).findings.count, 1, "twice");
        assert_eq!(reader(&[(3, 1, 1), (4, 1, 1)]).findings.count, 1, "stored twice");
        assert_eq!(reader(&[(3, 1, 2), (4, 1, 1)]).findings.count, 1, "the sender's order");
        assert_eq!(reader(&[(4, 1, 1)]).findings.count, 1, "the first one is missing");
    }

    #[test]
    fn an_announced_gap_is_no_hole_but_a_wrong_one_is() {
        let mut reader = reader(&[(3, 1, 1)]);
        reader.pass_gap(4, 9);
        reader.see(&event(10, 1, 8));
        assert_eq!((reader.findings.count, reader.gaps, reader.cursor()), (0, 1, 10));
        reader.pass_gap(13, 14);
        assert_eq!(reader.findings.count, 1);
    }

    #[test]
    fn readers_must_agree() {
        let log = reader(&[(3, 1, 1), (4, 2, 1)]);
        let mut same = log.clone();
        same.compare(&log);
        assert_eq!(same.findings.count, 0);
        let mut other = reader(&[(3, 2, 1), (4, 1, 1)]);
        other.compare(&log);
        assert_eq!(other.findings.count, 1, "another order");
        let mut short = reader(&[(3, 1, 1)]);
        short.compare(&log);
        assert_eq!(short.findings.count, 1, "the last one never came");
    }

    #[test]
    fn what_was_acknowledged_is_in_the_log_and_nothing_else() {
        let mut ledger = Ledger::default();
        ledger.acknowledge(3, mark(1, 1));
        ledger.acknowledge(4, mark(2, 1));
        let log = BTreeMap::from([(3, mark(1, 1)), (4, mark(2, 1))]);
        ledger.compare("log", &log);
        assert_eq!(ledger.findings.count, 0);
        let mut lost = ledger.clone();
        lost.compare("log", &BTreeMap::from([(3, mark(1, 1))]));
        assert_eq!(lost.findings.count, 1, "lost");
        let mut more = log.clone();
        more.insert(5, mark(1, 1));
        ledger.compare("log", &more);
        assert_eq!(ledger.findings.count, 1, "stored twice");
        ledger.acknowledge(4, mark(9, 1));
        assert_eq!(ledger.findings.count, 2, "one place for two");
    }

    #[test]
    fn findings_are_all_counted_and_some_told() {
        let mut findings = Findings::default();
        for number in 0..50 {
            findings.find(format!("{number}"));
        }
        let mut all = Findings::default();
        all.absorb(findings.clone());
        all.absorb(findings);
        assert_eq!((all.count, all.told.len()), (100, TOLD));
    }
}
