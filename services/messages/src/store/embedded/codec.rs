//! Keys of the embedded store: bytes that sort. Values are as on every engine.

use confab_log::{ConversationId, Seq, TenantId, UserId};
use confab_store::StoreError;

use super::LogKey;

pub(super) use crate::store::value::{decode, encode};

/// `tenant length, tenant, conversation`: everything of one log shares it.
pub(super) fn log_prefix(key: &LogKey) -> Vec<u8> {
    let tenant = key.tenant.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(tenant.len() + 32);
    // A tenant's name has at most 64 bytes.
    bytes.push(u8::try_from(tenant.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(tenant);
    bytes.extend_from_slice(&key.conversation.to_bytes());
    bytes
}

/// A tenant's one row.
pub(super) fn tenant(tenant: &TenantId) -> Vec<u8> {
    let text = tenant.as_str().as_bytes();
    // A tenant's name has at most 64 bytes.
    let mut bytes = vec![u8::try_from(text.len()).unwrap_or(u8::MAX)];
    bytes.extend_from_slice(text);
    bytes
}

/// A message in a thread.
pub(super) fn thread(key: &LogKey, root: Seq, message: Seq) -> Vec<u8> {
    let mut bytes = row(key, root);
    bytes.extend_from_slice(&message.to_be_bytes());
    bytes
}

/// A message that mentions a user. The user's length comes first, so that one
/// user's rows cannot be a part of another's range.
pub(super) fn mention(key: &LogKey, user: &UserId, message: Seq) -> Vec<u8> {
    let mut bytes = log_prefix(key);
    let user = user.as_str().as_bytes();
    // A user's name has at most 128 bytes.
    bytes.push(u8::try_from(user.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(user);
    bytes.extend_from_slice(&message.to_be_bytes());
    bytes
}

/// The seq that a key ends with.
pub(super) fn seq_at_end(key: &[u8]) -> Result<Seq, StoreError> {
    let bytes = key.last_chunk().ok_or_else(|| StoreError::corrupt("key: no seq"))?;
    Ok(Seq::from_be_bytes(*bytes))
}

/// The log back from its prefix, and how many bytes it took.
pub(super) fn parse_log(bytes: &[u8]) -> Option<(LogKey, usize)> {
    let (&length, rest) = bytes.split_first()?;
    let tenant = rest.get(..usize::from(length))?;
    let conversation = rest.get(usize::from(length)..usize::from(length) + 16)?;
    let key = LogKey {
        tenant: TenantId::parse(std::str::from_utf8(tenant).ok()?).ok()?,
        conversation: ConversationId::from_bytes(conversation.try_into().ok()?),
    };
    Some((key, 1 + usize::from(length) + 16))
}

/// A row of the log.
pub(super) fn row(key: &LogKey, seq: Seq) -> Vec<u8> {
    let mut bytes = log_prefix(key);
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes
}

/// A user's row beside the log.
pub(super) fn user(key: &LogKey, user: &UserId) -> Vec<u8> {
    let mut bytes = log_prefix(key);
    bytes.extend_from_slice(user.as_str().as_bytes());
    bytes
}

/// A user's reactions to a message.
pub(super) fn reactions(key: &LogKey, message: Seq, user: Option<&UserId>) -> Vec<u8> {
    let mut bytes = row(key, message);
    bytes.extend_from_slice(user.map_or("", UserId::as_str).as_bytes());
    bytes
}

/// A mark: a log that was written to in this hour.
pub(super) fn mark(hour: u64, key: &LogKey) -> Vec<u8> {
    let mut bytes = hour.to_be_bytes().to_vec();
    bytes.extend(log_prefix(key));
    bytes
}

/// The user at the end of a key.
pub(super) fn user_at(key: &[u8], prefix: usize) -> Result<UserId, StoreError> {
    key.get(prefix..)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| UserId::parse(text).ok())
        .ok_or_else(|| StoreError::corrupt("key: no user"))
}
