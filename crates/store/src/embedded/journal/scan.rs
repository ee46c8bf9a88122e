//! Finds out whether a journal holds all that was acknowledged.
//!
//! Each group is one batch, and the next one is written only after the fsync of
//! the one before has succeeded. So a broken batch with a whole one after it was
//! acknowledged, and the disk has lost it; a broken one at the end was not, if
//! it is the write that a crash cut off. The engine tells these apart no more
//! than any journal does by itself: it drops whatever follows a broken head,
//! and refuses to open a folder whose last batch does not match its checksum.

use super::batch::{self, Found};

/// What a write that a crash has cut off may leave out: whole sectors, which are
/// zeros in a file that was enlarged before.
const SECTOR: usize = 512;

/// What a journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every batch in it is whole; behind them is nothing.
    Whole,
    /// What is behind these bytes is the one write that a crash cut off.
    Torn {
        /// Where the last whole batch ends.
        whole: usize,
    },
    /// Rows that were acknowledged are lost.
    Damaged {
        /// Where the first broken batch begins.
        at: usize,
        /// Whether whole batches follow; else it is the last one.
        more: bool,
    },
}

/// Judges the bytes of a journal, up to where its file has any.
pub(super) fn judge(bytes: &[u8]) -> Verdict {
    let (mut at, mut last) = (0, 0);
    while let Found::Batch { end, seqno } = batch::at(bytes, at) {
        // No checksum covers it; but it grows from batch to batch.
        if at > 0 && seqno <= last {
            return Verdict::Damaged { at, more: true };
        }
        (at, last) = (end, seqno);
    }
    let rest = &bytes[at..];
    if is_zero(rest) {
        return Verdict::Whole;
    }
    if follows(bytes, at + 1, last) {
        return Verdict::Damaged { at, more: true };
    }
    match batch::at(bytes, at) {
        Found::CutOff => Verdict::Torn { whole: at },
        Found::Broken { to } if is_zero(&bytes[to..]) => Verdict::Torn { whole: at },
        // What makes no sense any more may be in a sector that was never written.
        Found::Broken { to } if lacks_a_sector(bytes, at, (to + 1).next_multiple_of(SECTOR)) => {
            Verdict::Torn { whole: at }
        }
        Found::Altered { to } if lacks_a_sector(bytes, at, to) => Verdict::Torn { whole: at },
        _ => Verdict::Damaged { at, more: false },
    }
}

/// Whether a whole batch, newer than this one, begins somewhere from here on. What
/// a user writes is none: a batch has zeros in it, which no text may have.
fn follows(bytes: &[u8], from: usize, last: u64) -> bool {
    let starts = bytes.iter().enumerate().skip(from).filter(|(_, byte)| **byte == 1);
    let mut starts = starts.map(|(at, _)| batch::at(bytes, at));
    starts.any(|found| matches!(found, Found::Batch { seqno, .. } if seqno > last))
}

/// Whether there is nothing in some sector, or in the part of one, that a batch
/// has between these bytes. Where it begins and where it ends there would be something.
fn lacks_a_sector(bytes: &[u8], begin: usize, end: usize) -> bool {
    let (mut at, end) = (begin, end.min(bytes.len()));
    while at < end {
        let next = (at + 1).next_multiple_of(SECTOR).min(end);
        if is_zero(&bytes[at..next]) {
            return true;
        }
        at = next;
    }
    false
}

/// By whole sectors, which the processor compares fast.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(SECTOR).all(|chunk| chunk == &[0; SECTOR][..chunk.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch with one row of so many bytes.
    fn batch(seqno: u64, bytes: usize) -> Vec<u8> {
        let mut item = vec![2, 0, 0];
        item.extend(7_u64.to_le_bytes());
        item.extend(3_u16.to_le_bytes());
        let length = u32::try_from(bytes).expect("small").to_le_bytes();
        item.extend(length);
        item.extend(length);
        item.extend(b"key");
        item.extend((0..bytes).map(|number| b'a' + u8::try_from(number % 20).unwrap_or_default()));
        let mut batch = vec![1];
        batch.extend(1_u32.to_le_bytes());
        batch.extend(seqno.to_le_bytes());
        batch.extend(&item);
        batch.push(3);
        batch.extend(xxhash_rust::xxh3::xxh3_64(&item).to_le_bytes());
        batch.extend(b"FJL\x03");
        batch
    }

    fn journal() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (seqno, size) in [(5, 10), (6, 900), (9, 300), (10, 1600)] {
            bytes.extend(batch(seqno, size));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_whole_journal_may_have_been_enlarged_before() {
        let (mut bytes, _) = journal();
        assert_eq!(judge(&[]), Verdict::Whole);
        assert_eq!(judge(&bytes), Verdict::Whole);
        bytes.resize(bytes.len() + 10_000, 0);
        assert_eq!(judge(&bytes), Verdict::Whole);
    }

    /// Wherever a crash cuts the last write off, and whatever sectors of it are
    /// missing, what was acknowledged before is whole.
    #[test]
    fn a_torn_end_is_told_from_damage() {
        let (bytes, ends) = journal();
        let last = ends[2];
        for cut in last + 1..bytes.len() {
            assert_eq!(judge(&bytes[..cut]), Verdict::Torn { whole: last }, "cut at {cut}");
            let mut enlarged = bytes[..cut].to_vec();
            enlarged.resize(bytes.len() + 4096, 0);
            assert_eq!(judge(&enlarged), Verdict::Torn { whole: last }, "zeros from {cut}");
        }
        for sector in last / SECTOR..=bytes.len() / SECTOR {
            let mut torn = bytes.clone();
            torn.resize(bytes.len() + 4096, 0);
            torn[(sector * SECTOR).max(last)..(sector + 1) * SECTOR].fill(0);
            assert_eq!(judge(&torn), Verdict::Torn { whole: last }, "without sector {sector}");
        }
    }

    /// Any changed byte of any batch but the last is damage; a number that is
    /// changed so that the order stays is none.
    #[test]
    fn damage_below_the_last_batch_is_found() {
        let (bytes, ends) = journal();
        let begins: Vec<usize> = [0].iter().chain(&ends).copied().collect();
        for at in 0..ends[2] {
            let begin = begins.iter().filter(|begin| **begin <= at).max().copied().unwrap_or(0);
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            let verdict = judge(&damaged);
            if !(5..13).contains(&(at - begin)) {
                assert_eq!(verdict, Verdict::Damaged { at: begin, more: true }, "byte {at}");
            } else if at - begin < 12 {
                assert!(matches!(verdict, Verdict::Damaged { .. }), "byte {at}: {verdict:?}");
            }
        }
    }

    /// In the last batch, too, unless it looks as if it had not been written.
    #[test]
    fn damage_of_the_last_batch_is_found_where_no_sector_is_missing() {
        let (mut bytes, ends) = journal();
        let (last, end) = (ends[2], bytes.len());
        bytes.resize(end + 4096, 0);
        let found = (last..end).filter(|at| {
            let mut damaged = bytes.clone();
            damaged[*at] ^= 0x41;
            judge(&damaged) == Verdict::Damaged { at: last, more: false }
        });
        // Lengths that reach beyond the end cannot be told from a cut, and the
        // number of the last batch may be any.
        let missed = end - last - found.count();
        assert!(missed <= 8 + 4 + 2, "{missed} bytes");
    }

    /// A batch inside a row is older than the batch it is in.
    #[test]
    fn what_a_row_says_is_no_later_batch() {
        let inner = batch(4, 20);
        let mut bytes = batch(5, 10);
        let whole = bytes.len();
        let mut torn = batch(6, 2000);
        torn[100..100 + inner.len()].copy_from_slice(&inner);
        torn.truncate(1500);
        bytes.extend(torn);
        assert_eq!(judge(&bytes), Verdict::Torn { whole });
    }
}
