//! Who calls: what a verified token says, how tokens are verified, the key
//! that signs them in dev mode, what was revoked, and the mesh's shared
//! credential. Tokens are never shown in `Debug` output and never logged.
//!
//! Begin with `verifier`. Its keys are in a `key_ring`; `jwks` keeps those fresh
//! that the issuer publishes (`fetch` brings the document, `jwk_set` reads it).

mod dev_key;
mod fetch;
mod jwk_set;
mod jwks;
mod key;
mod key_ring;
mod revocations;
mod token_cache;
mod verifier;

use std::{fmt, sync::Arc};

use confab_log::ids::{TenantId, UserId};
use serde::{Deserialize, Serialize};

use crate::{clock, random};

pub use dev_key::{DevKey, DevKeyError};
pub use fetch::UrlError;
pub use jwks::{Jwks, JwksOptions};
pub use key::{Algorithm, KeyError, PublicKey};
pub use revocations::{Revocation, Revocations, RevokedTokens};
pub use verifier::{Verifier, VerifierOptions};

/// The audience of tokens when nothing else is configured.
pub const DEFAULT_AUDIENCE: &str = "confab";
/// The issuer of tokens in dev mode.
pub const DEV_ISSUER: &str = "confab-dev";
/// The key id of tokens in dev mode.
pub const DEV_KEY_ID: &str = "dev";

/// Kinds of caller that can be told apart by their proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// A person's device.
    User,
    /// A team's own backend.
    Application,
    /// A tenant's administrator.
    TenantAdmin,
    /// Another Confab process.
    Mesh,
}

/// Who makes a call, proven.
#[derive(Clone)]
pub struct Caller {
    /// What kind.
    pub kind: CallerKind,
    /// Whose world; comes from the verified token only.
    pub tenant: TenantId,
    /// Which user, or the application's own name.
    pub user: UserId,
    /// Which device; empty unless a user.
    pub device_id: Arc<str>,
    /// Which session; empty unless a user.
    pub session_id: Arc<str>,
    /// What the token allows.
    pub scopes: Arc<[String]>,
    /// When the token was issued, in seconds since 1970-01-01T00:00:00Z.
    pub issued_at: i64,
    /// When the token ends, in seconds since 1970-01-01T00:00:00Z.
    pub expires_at: i64,
    /// The token, for calls made on the caller's behalf.
    pub token: Arc<str>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("kind", &self.kind)
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .field("device_id", &self.device_id)
            .field("session_id", &self.session_id)
            .field("scopes", &self.scopes)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Caller {
    /// Another Confab process. It has no tenant of its own: mesh requests
    /// name theirs.
    pub(crate) fn mesh() -> Option<Self> {
        Some(Self {
            kind: CallerKind::Mesh,
            tenant: TenantId::parse("mesh").ok()?,
            user: UserId::parse("mesh").ok()?,
            device_id: Arc::from(""),
            session_id: Arc::from(""),
            scopes: Arc::from([]),
            issued_at: 0,
            expires_at: i64::MAX,
            token: Arc::from(""),
        })
    }

    /// Whether it is a person, with a person's rights only.
    pub fn is_user(&self) -> bool {
        self.kind == CallerKind::User
    }

    /// Whether the token names the scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
}

/// What is written into a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user, or the application's name.
    pub sub: String,
    /// The tenant.
    pub tenant: String,
    /// The issuer.
    pub iss: String,
    /// The audience.
    pub aud: String,
    /// Issued at, in seconds since 1970-01-01T00:00:00Z.
    pub iat: i64,
    /// Ends at, in seconds since 1970-01-01T00:00:00Z.
    pub exp: i64,
    /// Not before, in seconds since 1970-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// `user` (also when absent), `application` or `tenant_admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The device; required of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The session; required of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl Claims {
    /// A user's token for one hour, on a device `device`, in a fresh session.
    pub fn user(tenant: &str, user: &str) -> Self {
        let now = clock::now_seconds();
        Self {
            sub: user.to_owned(),
            tenant: tenant.to_owned(),
            iss: DEV_ISSUER.to_owned(),
            aud: DEFAULT_AUDIENCE.to_owned(),
            iat: now,
            exp: now + 3600,
            nbf: None,
            kind: None,
            device_id: Some("device".to_owned()),
            session_id: Some(random::uuid()),
            scope: None,
        }
    }

    /// An application's token for one hour.
    pub fn application(tenant: &str, name: &str) -> Self {
        Self {
            kind: Some("application".to_owned()),
            device_id: None,
            session_id: None,
            ..Self::user(tenant, name)
        }
    }

    /// A tenant administrator's token for one hour.
    pub fn tenant_admin(tenant: &str, name: &str) -> Self {
        Self { kind: Some("tenant_admin".to_owned()), ..Self::application(tenant, name) }
    }
}

/// The secret that Confab processes show each other.
#[derive(Clone)]
pub struct Credential(Arc<str>);

impl Credential {
    /// From configuration.
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// A fresh one, for a mesh inside one process.
    pub fn generate() -> Self {
        Self(hex::encode(random::bytes::<32>()).into())
    }

    /// Whether the text is the secret, in constant time.
    pub fn matches(&self, text: &[u8]) -> bool {
        // blake3::Hash compares in constant time.
        blake3::hash(self.0.as_bytes()) == blake3::hash(text)
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(***)")
    }
}

#[cfg(test)]
mod tests;
