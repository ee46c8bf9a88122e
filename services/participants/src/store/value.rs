//! Stored values as bytes. The same on every engine.

use bytes::Bytes;
use confab_store::{StoreError, value::Format};
use minicbor::{Decode, Encode};

/// What this version writes, and the only one so far.
const FORMAT: Format = Format(1);

pub(super) fn encode<T: Encode<()>>(value: &T) -> Bytes {
    FORMAT.encode(value)
}

pub(super) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, StoreError> {
    FORMAT.decode(bytes)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use confab_log::{
        ConversationId, UserId,
        event::Role,
        inbox::{Entry, Settings},
        row::{Interval, MemberRow, Restriction},
    };

    use super::*;
    use crate::domain::{InboxBody, InboxEvent};

    /// What version 1 wrote must be read for ever.
    fn fixture<T>(fixture: &str, value: &T)
    where
        T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + Debug,
    {
        assert_eq!(hex::encode(encode(value)), fixture);
        let bytes = hex::decode(fixture).expect("a fixture is hexadecimal");
        assert_eq!(&decode::<T>(&bytes).expect("a fixture decodes"), value);
    }

    #[test]
    fn format_1_stays_readable() {
        let row = MemberRow {
            role: Role::Admin,
            intervals: vec![
                Interval { join: 1, leave: Some(4) },
                Interval { join: 9, leave: None },
            ],
            join_time: 1_700_000_000_000_000,
            leave_time: None,
            mute: Some(Restriction {
                until: Some(5),
                reason: "loud".to_owned(),
                actor: UserId::parse("ada").expect("a user"),
                time: 4,
            }),
            ban: None,
            applied_seq: 12,
        };
        let entry = Entry {
            last_effect: 9,
            active: true,
            join_seq: 9,
            leave_seq: 0,
            read_seq: 11,
            settings: Settings::default(),
        };
        let conversation = Some(ConversationId::from_bytes([7; 16]));
        let body = InboxBody::Joined { seq: 9, role: Role::Member };
        let event = InboxEvent { inbox_seq: 3, conversation, time: 8, body };
        fixture("01878202808282010481091b00060a24181e4000f68405646c6f75646361646104f60c", &row);
        fixture("018509f509000b", &entry);
        fixture(
            "018403782030373037303730373037303730373037303730373037303730373037303730370882008209820180",
            &event,
        );
    }

    #[test]
    fn what_is_not_ours_is_corrupt() {
        for bytes in [&[][..], &[2, 0], &[1], &[1, 0xFF]] {
            let decoded = decode::<Entry>(bytes);
            assert!(matches!(decoded, Err(StoreError::Corrupt { .. })), "{bytes:?}");
        }
    }
}
