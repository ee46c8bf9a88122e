//! Keys as bytes. Every key begins with the tenant and its length, so that no
//! tenant's keys can be a part of another's range. Values are as on every engine.

use confab_log::{ConversationId, Micros, TenantId, UserId, mutant};
use confab_store::StoreError;

use crate::domain::{ActionPlace, ReportId};

pub(super) use crate::store::value::{decode, encode};

pub(super) fn conversation_key(tenant: &TenantId, conversation: &ConversationId) -> Vec<u8> {
    let mut key = tenant_key(tenant);
    key.extend(conversation.to_bytes());
    key
}

pub(super) fn member_key(
    tenant: &TenantId,
    conversation: &ConversationId,
    user: &UserId,
) -> Vec<u8> {
    // The user is the rest of the key and needs no length: rows of one
    // conversation are in the order of the users' ids.
    let mut key = conversation_key(tenant, conversation);
    key.extend(user.as_str().as_bytes());
    key
}

pub(super) fn inbox_key(tenant: &TenantId, user: &UserId) -> Vec<u8> {
    let mut key = tenant_key(tenant);
    push_text(&mut key, user.as_str());
    key
}

pub(super) fn entry_key(
    tenant: &TenantId,
    user: &UserId,
    conversation: &ConversationId,
) -> Vec<u8> {
    let mut key = inbox_key(tenant, user);
    key.extend(conversation.to_bytes());
    key
}

pub(super) fn event_key(inbox: &[u8], inbox_seq: u64) -> Vec<u8> {
    let mut key = inbox.to_vec();
    key.extend(inbox_seq.to_be_bytes());
    key
}

/// The first key above every key that begins with the prefix: for prefixes
/// that end in a conversation, before users, whose bytes are all below 0xFF.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    key.push(0xFF);
    key
}

pub(super) fn user_of(prefix: &[u8], key: &[u8]) -> Result<UserId, StoreError> {
    let text = key.strip_prefix(prefix).and_then(|rest| std::str::from_utf8(rest).ok());
    let user = text.and_then(|text| UserId::parse(text).ok());
    user.ok_or_else(|| StoreError::corrupt("a member's key names no user"))
}

pub(super) fn conversation_of(prefix: &[u8], key: &[u8]) -> Result<ConversationId, StoreError> {
    let bytes = key.strip_prefix(prefix).and_then(|rest| rest.try_into().ok());
    let id = bytes.map(ConversationId::from_bytes);
    id.ok_or_else(|| StoreError::corrupt("an inbox entry's key names no conversation"))
}

pub(super) fn profile_key(tenant: &TenantId, user: &UserId) -> Vec<u8> {
    // The user is the rest of the key and needs no length: profiles are in the
    // order of the users' ids.
    let mut key = tenant_key(tenant);
    key.extend(user.as_str().as_bytes());
    key
}

pub(super) fn block_key(tenant: &TenantId, user: &UserId, other: &UserId) -> Vec<u8> {
    let mut key = inbox_key(tenant, user);
    key.extend(other.as_str().as_bytes());
    key
}

pub(super) fn action_key(
    tenant: &TenantId,
    conversation: &ConversationId,
    (seq, nth): ActionPlace,
) -> Vec<u8> {
    let mut key = conversation_key(tenant, conversation);
    key.extend(seq.to_be_bytes());
    key.extend(nth.to_be_bytes());
    key
}

pub(super) fn place_of_action(key: &[u8]) -> Result<ActionPlace, StoreError> {
    let corrupt = || StoreError::corrupt("an action's key names no event");
    let bytes: &[u8; 12] = key.last_chunk().ok_or_else(corrupt)?;
    let (seq, nth) = bytes.split_at(8);
    match (seq.try_into(), nth.try_into()) {
        (Ok(seq), Ok(nth)) => Ok((u64::from_be_bytes(seq), u32::from_be_bytes(nth))),
        _ => Err(corrupt()),
    }
}

pub(super) fn report_key(tenant: &TenantId, id: ReportId) -> Vec<u8> {
    let mut key = tenant_key(tenant);
    key.extend(id.0);
    key
}

/// A report's place in a list: by its time.
pub(super) fn report_place(tenant: &TenantId, time: Micros, id: ReportId) -> Vec<u8> {
    let mut key = tenant_key(tenant);
    // Times are after 1970; an earlier one is as good as then.
    key.extend(u64::try_from(time).unwrap_or(0).to_be_bytes());
    key.extend(id.0);
    key
}

pub(super) fn report_of(place: &[u8]) -> Result<ReportId, StoreError> {
    let id = place.last_chunk().copied().map(ReportId);
    id.ok_or_else(|| StoreError::corrupt("a report's place names no report"))
}

/// The first key above every key of the tenant that ends in 24 bytes.
pub(super) fn after_tenant(tenant: &TenantId) -> Vec<u8> {
    let mut key = tenant_key(tenant);
    key.extend([0xFF; 25]);
    key
}

pub(super) fn tenant_key(tenant: &TenantId) -> Vec<u8> {
    let mut key = Vec::with_capacity(96);
    let dropped = mutant::is("tenant-key-dropped");
    push_text(&mut key, if dropped { "one-for-all" } else { tenant.as_str() });
    key
}

fn push_text(key: &mut Vec<u8>, text: &str) {
    // Names have at most 128 bytes, see `confab_log::ids`.
    key.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    key.extend(text.as_bytes());
}
