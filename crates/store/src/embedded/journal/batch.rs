//! Batches as fjall 3 writes them into a journal: read to tell whole ones from
//! broken ones, never to use what they say.
//!
//! ```text
//! start  1, items: u32, seqno: u64
//! item   2, type: u8, compression: u8, keyspace: u64, key: u16, value: u32,
//!        on disk: u32, then the key and the value on disk
//! clear  4, keyspace: u64
//! end    3, xxh3 of all items and clears: u64, "FJL" 3
//! ```
//!
//! Numbers are little-endian. A test holds this against what fjall writes.

/// What ends every batch.
const MAGIC: &[u8] = b"FJL\x03";
const START: usize = 1 + 4 + 8;
const ITEM: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;
const CLEAR: usize = 1 + 8;
const END: usize = 1 + 8 + 4;

/// What stands at a place where a batch may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole batch.
    Batch {
        /// Its first byte after the end.
        end: usize,
        /// Its number in the order of writing.
        seqno: u64,
    },
    /// It begins as a batch does and is cut off by the end of the bytes.
    CutOff,
    /// No batch, or one whose parts make sense up to here only.
    Broken {
        /// The first byte that makes none.
        to: usize,
    },
    /// A batch from its start to its end, with other bytes than were written.
    Altered {
        /// Its first byte after the end.
        to: usize,
    },
}

/// Looks at the batch that begins here.
pub(super) fn at(bytes: &[u8], begin: usize) -> Found {
    let mut cursor = Cursor { bytes, at: begin };
    match cursor.batch() {
        Ok(seqno) => Found::Batch { end: cursor.at, seqno },
        Err(Stop::CutOff) => Found::CutOff,
        Err(Stop::Broken) => Found::Broken { to: cursor.at },
        Err(Stop::Altered) => Found::Altered { to: cursor.at },
    }
}

enum Stop {
    CutOff,
    Broken,
    Altered,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Moves behind a whole batch and returns its number; on an error stays at what is wrong.
    fn batch(&mut self) -> Result<u64, Stop> {
        let start = self.take(1, START)?;
        let (items, seqno) = (u32_at(start, 1), u64_at(start, 5));
        let from = self.at;
        for _ in 0..items {
            self.part()?;
        }
        let hash = xxhash_rust::xxh3::xxh3_64(&self.bytes[from..self.at]);
        let end = self.take(3, END)?;
        match (&end[9..] == MAGIC, u64_at(end, 1) == hash) {
            (true, true) => Ok(seqno),
            (true, false) => Err(Stop::Altered),
            (false, _) => {
                // If it was cut off, there is nothing from here on at the latest.
                self.at -= 1;
                Err(Stop::Broken)
            }
        }
    }

    fn part(&mut self) -> Result<(), Stop> {
        match self.bytes.get(self.at) {
            Some(4) => self.take(4, CLEAR).map(drop),
            Some(2) => {
                let begin = self.at;
                let head = self.take(2, ITEM)?;
                let (key, on_disk) = (u16_at(head, 11), u32_at(head, 17));
                let length = usize::from(key) + usize::try_from(on_disk).unwrap_or(usize::MAX);
                if length <= self.bytes.len() - self.at {
                    self.at += length;
                    return Ok(());
                }
                self.at = begin;
                Err(Stop::CutOff)
            }
            Some(_) => Err(Stop::Broken),
            None => Err(Stop::CutOff),
        }
    }

    /// The bytes of one head with this tag.
    fn take(&mut self, tag: u8, length: usize) -> Result<&'a [u8], Stop> {
        if self.bytes.get(self.at).is_some_and(|found| *found != tag) {
            return Err(Stop::Broken);
        }
        let taken = self.bytes.get(self.at..self.at + length).ok_or(Stop::CutOff)?;
        self.at += length;
        Ok(taken)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// Of a head, which is as long as it is asked for.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|found| found.try_into().ok()).unwrap_or([0; N])
}
