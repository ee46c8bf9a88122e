//! Keys and values as bytes. A key begins with the tenant and its length, so
//! that tenants cannot meet; a value begins with the version of its format.

use confab_log::{ConversationId, TenantId, row::ConversationRow};
use confab_store::StoreError;

/// The format that this version writes, and the only one so far.
const VERSION: u8 = 1;

pub(super) fn key(tenant: &TenantId, conversation: &ConversationId) -> Vec<u8> {
    let mut key = tenant_key(tenant);
    key.extend(conversation.to_bytes());
    key
}

/// What every key of a tenant begins with.
pub(super) fn tenant_key(tenant: &TenantId) -> Vec<u8> {
    let text = tenant.as_str().as_bytes();
    let mut key = Vec::with_capacity(1 + text.len() + 16);
    // Tenants' names have at most 64 bytes, see `confab_log::ids`.
    key.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    key.extend(text);
    key
}

/// The greatest key that a tenant can have.
pub(super) fn last_key(tenant: &TenantId) -> Vec<u8> {
    let mut key = tenant_key(tenant);
    key.extend([u8::MAX; 16]);
    key
}

/// The names back from a key.
pub(super) fn parse(key: &[u8]) -> Result<(TenantId, ConversationId), StoreError> {
    let names = || {
        let (length, rest) = key.split_first()?;
        let (tenant, id) = rest.split_at_checked(usize::from(*length))?;
        let tenant = TenantId::parse(std::str::from_utf8(tenant).ok()?).ok()?;
        Some((tenant, ConversationId::from_bytes(id.try_into().ok()?)))
    };
    names().ok_or_else(|| StoreError::corrupt("a key names no conversation"))
}

pub(super) fn encode(row: &ConversationRow) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Writing to a Vec cannot fail.
    let _infallible = minicbor::encode(row, &mut bytes);
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<ConversationRow, StoreError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => minicbor::decode(body)
            .map_err(|error| StoreError::corrupt(format!("a row does not decode: {error}"))),
        Some((version, _)) => {
            Err(StoreError::corrupt(format!("a row has the unknown format {version}")))
        }
        None => Err(StoreError::corrupt("a row is empty")),
    }
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
        for bytes in [&[][..], &[2, 0], &[VERSION], &[VERSION, 0xFF]] {
            assert!(matches!(decode(bytes), Err(StoreError::Corrupt { .. })), "{bytes:?}");
        }
    }
}
