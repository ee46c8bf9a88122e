//! Stored values as bytes. The same on every engine.

use bytes::Bytes;
use confab_log::row::ConversationRow;
use confab_store::{StoreError, value::Format};

/// What this version writes, and the only one so far.
const FORMAT: Format = Format(1);

pub(super) fn encode(row: &ConversationRow) -> Bytes {
    FORMAT.encode(row)
}

pub(super) fn decode(bytes: &[u8]) -> Result<ConversationRow, StoreError> {
    FORMAT.decode(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use confab_log::{Digest, RequestId, UserId, event::Kind};

    use super::*;

    /// What version 1 wrote must be read for ever.
    #[test]
    fn format_1_stays_readable() {
        let creator = UserId::parse("ada").expect("a user");
        let request = RequestId::parse("r-1").expect("a request id");
        let time = 1_700_000_000_000_000;
        let row = ConversationRow {
            title: "Tea".to_owned(),
            description: "at five".to_owned(),
            metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            participant_count: 3,
            update_time: time + 1,
            delete_time: Some(time + 2),
            version_seq: 4,
            applied_seq: 6,
            ..ConversationRow::new(Kind::Group, creator, request, Digest([9; 16]), time, 1)
        };
        let fixture = concat!(
            "018f82028063546561676174206669766560a1616b61766361646163722d318150090909",
            "09090909090909090909090909031b00060a24181e40001b00060a24181e4001f61b0006",
            "0a24181e40020406",
        );
        assert_eq!(hex::encode(encode(&row)), fixture);
        assert_eq!(decode(&encode(&row)).expect("a fixture decodes"), row);
    }

    #[test]
    fn what_is_not_ours_is_corrupt() {
        for bytes in [&[][..], &[2, 0], &[1], &[1, 0xFF]] {
            assert!(matches!(decode(bytes), Err(StoreError::Corrupt { .. })), "{bytes:?}");
        }
    }
}
