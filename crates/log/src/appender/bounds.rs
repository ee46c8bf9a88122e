//! What one append may hold. A store whose rows are in partitions can append to
//! one of them at a time, and not without measure. The commands of a group that do
//! not fit wait for the next one.

use std::{convert::Infallible, num::NonZeroU64};

use super::Appender;
use crate::{Event, Seq};

/// The bounds of one append; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AppendBounds {
    /// Its rows are in one partition of so many, the first of which begins at row 1.
    pub partition_rows: Option<NonZeroU64>,
    /// Its events have so many bytes, encoded, unless it is a single one.
    pub bytes: Option<usize>,
}

/// What a group's append holds so far.
#[derive(Debug, Default)]
pub(super) struct Filling {
    partition: Option<u64>,
    bytes: usize,
}

impl Filling {
    /// Takes an event, unless it does not fit. The first one always does.
    pub(super) fn takes(&mut self, bounds: &AppendBounds, event: &Event) -> bool {
        let partition = bounds.partition_rows.map_or(0, |rows| partition_of(event.seq, rows));
        let bytes = bounds.bytes.map_or(0, |_| encoded_bytes(event));
        let first = self.partition.is_none();
        let too_large = bounds.bytes.is_some_and(|most| self.bytes + bytes > most);
        if !first && (self.partition != Some(partition) || too_large) {
            return false;
        }
        self.partition = Some(partition);
        self.bytes += bytes;
        true
    }
}

impl Appender {
    /// The group ends before this one. The others are the first of the next group,
    /// with all that is known about them.
    pub(super) fn cut_group(&mut self, at: usize) {
        for waiting in self.group.drain(at..).rev() {
            self.queue.push_front(waiting);
        }
    }
}

fn partition_of(seq: Seq, rows: NonZeroU64) -> u64 {
    seq.saturating_sub(1) / rows
}

fn encoded_bytes(event: &Event) -> usize {
    struct Counter(usize);
    impl minicbor::encode::Write for Counter {
        type Error = Infallible;
        fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
            self.0 += bytes.len();
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Counting cannot fail.
    let _infallible = minicbor::encode(event, &mut counter);
    counter.0
}
