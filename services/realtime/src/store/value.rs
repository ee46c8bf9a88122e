//! Stored values as bytes, and sessions among them. The same on every engine.

use std::collections::BTreeMap;

use bytes::Bytes;
use confab_log::{ConversationId, Micros};
use confab_store::value::Format;
use minicbor::{Decode, Encode};

use super::{SessionRecord, StoreError};

/// What this version writes, and the only one so far.
const FORMAT: Format = Format(1);

pub(super) fn encode<T: Encode<()>>(value: &T) -> Bytes {
    FORMAT.encode(value)
}

pub(super) fn decode<'b, T: Decode<'b, ()>>(value: &'b [u8]) -> Result<T, StoreError> {
    FORMAT.decode(value)
}

#[derive(Encode, Decode)]
struct StoredSession {
    #[n(0)]
    device_id: String,
    #[n(1)]
    watch: Vec<StoredCursor>,
    #[n(2)]
    inbox_seq: u64,
    #[n(3)]
    epoch: u64,
    #[n(4)]
    last_seen: Micros,
    /// Absent in what the first version wrote.
    #[n(5)]
    login: Option<String>,
    /// Absent in what the first version wrote.
    #[n(6)]
    created: Option<Micros>,
}

#[derive(Encode, Decode)]
struct StoredCursor {
    #[n(0)]
    conversation: ConversationId,
    #[n(1)]
    seq: u64,
}

/// A session as it is stored.
pub(super) fn session_bytes(record: &SessionRecord) -> Bytes {
    let cursor =
        |(id, seq): (&ConversationId, &u64)| StoredCursor { conversation: id.clone(), seq: *seq };
    encode(&StoredSession {
        device_id: record.device_id.clone(),
        watch: record.watch.iter().map(cursor).collect(),
        inbox_seq: record.inbox_seq,
        epoch: record.epoch,
        last_seen: record.last_seen,
        login: Some(record.login.clone()),
        created: Some(record.created),
    })
}

/// A session that was stored.
pub(super) fn session(value: &[u8]) -> Result<SessionRecord, StoreError> {
    let stored: StoredSession = decode(value)?;
    let watch: BTreeMap<_, _> =
        stored.watch.into_iter().map(|cursor| (cursor.conversation, cursor.seq)).collect();
    Ok(SessionRecord {
        device_id: stored.device_id,
        login: stored.login.unwrap_or_default(),
        created: stored.created.unwrap_or(stored.last_seen),
        watch,
        inbox_seq: stored.inbox_seq,
        epoch: stored.epoch,
        last_seen: stored.last_seen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    /// What any version has written must be read for ever.
    #[test]
    fn sessions_that_were_written_before_are_read() {
        let without_login = "01856570686f6e658182782030313031303130313031303130313031303130313031303130313031303130310704021b00060a24181e4000";
        let with_login = "01876570686f6e658182782030313031303130313031303130313031303130313031303130313031303130310704021b00060a24181e4000656c6f67696e1b0005af3107a40000";
        let watch = BTreeMap::from([(ConversationId::from_bytes([1; 16]), 7)]);
        let due = SessionRecord {
            device_id: "phone".to_owned(),
            login: "login".to_owned(),
            created: 1_600_000_000_000_000,
            watch,
            inbox_seq: 4,
            epoch: 2,
            last_seen: 1_700_000_000_000_000,
        };
        assert_eq!(session(&bytes(with_login)).expect("read"), due);
        assert_eq!(session_bytes(&due).as_ref(), bytes(with_login), "and is written so now");
        let due = SessionRecord { login: String::new(), created: due.last_seen, ..due };
        assert_eq!(session(&bytes(without_login)).expect("read"), due);
        assert!(session(&[2]).is_err() && session(&[]).is_err(), "of an unknown format");
    }
}
