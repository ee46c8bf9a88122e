//! Keys as bytes. A key begins with the tenant and its length, so that tenants
//! cannot meet. Values are as on every engine.

use confab_log::{ConversationId, TenantId};
use confab_store::StoreError;

pub(super) use crate::store::value::{decode, encode};

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
