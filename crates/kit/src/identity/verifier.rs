//! Verifies tokens: an allow-list of asymmetric algorithms, each bound to its
//! key, so that neither `none` nor a public key used as an HMAC secret passes.
//! Verified tokens are remembered by their hash until they, or their key, end.

use std::sync::Arc;

use confab_log::ids::{TenantId, UserId};
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;

use super::{
    Caller, CallerKind,
    jwks::Jwks,
    key::{Algorithm, Key, KeyError, PublicKey},
    key_ring::{Found, KeyRing},
    token_cache::{self, TokenCache},
};
use crate::{
    clock,
    error::{Error, Reason},
};

/// Longer tokens are refused unread.
const MAX_TOKEN_BYTES: usize = 8192;
/// Devices' and sessions' names are at most this long, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// What Confab's own commands are signed with, as `confab:retention`.
const RESERVED: &str = "confab:";

/// What a [`Verifier`] accepts.
#[derive(Clone, Debug)]
pub struct VerifierOptions {
    /// The `iss` of every token.
    pub issuer: String,
    /// The `aud` of every token, or one of them.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway_seconds: u64,
    /// The algorithms of fetched keys.
    pub algorithms: Vec<Algorithm>,
    /// The keys that are believed for ever.
    pub keys: Vec<PublicKey>,
    /// Keys that the issuer publishes, believed as long as it does.
    pub jwks: Option<Jwks>,
}

/// Verifies tokens; cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
}

struct Shared {
    options: VerifierOptions,
    keys: KeyRing,
    leeway: i64,
    cache: TokenCache,
}

#[derive(Deserialize)]
struct VerifiedClaims {
    sub: String,
    tenant: String,
    #[serde(deserialize_with = "whole_seconds")]
    iat: i64,
    #[serde(deserialize_with = "whole_seconds")]
    exp: i64,
    kind: Option<String>,
    device_id: Option<String>,
    session_id: Option<String>,
    scope: Option<String>,
}

impl Verifier {
    /// Reads the configured keys. Fetched ones come with [`Verifier::keep_keys_fresh`].
    pub fn new(options: VerifierOptions) -> Result<Self, KeyError> {
        let keys = options.keys.iter().map(|key| Key::from_pem(key, &options));
        let keys = KeyRing::new(keys.collect::<Result<_, _>>()?);
        let leeway = i64::try_from(options.leeway_seconds).unwrap_or(i64::MAX);
        Ok(Self {
            shared: Arc::new(Shared { options, keys, leeway, cache: TokenCache::default() }),
        })
    }

    /// Fetches the issuer's keys, for ever. Whoever has built the verifier runs
    /// it once, in the background; without `jwks` it does nothing.
    pub async fn keep_keys_fresh(self) {
        if let Some(jwks) = &self.shared.options.jwks {
            jwks.run(&self.shared.keys, &self.shared.options).await;
        }
    }

    /// Whether tokens can be verified: the issuer's keys, if any are to be
    /// fetched, have been fetched once.
    pub fn is_ready(&self) -> bool {
        self.shared.options.jwks.as_ref().is_none_or(Jwks::is_ready)
    }

    /// Who the token speaks for, or why it does not: `INVALID_TOKEN`,
    /// `TOKEN_EXPIRED` or `WRONG_AUDIENCE`. `STORE_UNAVAILABLE` when its key is
    /// not known and the issuer cannot be asked for it; waits for the issuer's
    /// answer for some seconds at most.
    pub async fn verify(&self, token: &str) -> Result<Caller, Error> {
        match self.recall(token) {
            Some(outcome) => outcome,
            None => self.verify_afresh(token).await,
        }
    }

    /// The same for a token that was verified before; `None` for one that was
    /// not, or not lately. Looks at no signature and waits for nothing.
    pub fn recall(&self, token: &str) -> Option<Result<Caller, Error>> {
        let caller = self.shared.cache.recall(&token_cache::hash(token))?;
        if caller.expires_at.saturating_add(self.shared.leeway) < clock::now_seconds() {
            return Some(Err(expired()));
        }
        Some(Ok(caller))
    }

    async fn verify_afresh(&self, token: &str) -> Result<Caller, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| refusal(&error))?;
        if header.crit.is_some() {
            return Err(invalid("the token asks for extensions that are not supported"));
        }
        let key = self.key(header.kid.as_deref(), header.alg).await?;
        let claims: VerifiedClaims = key.decode(token).map_err(|error| refusal(&error))?;
        if claims.iat > clock::now_seconds().saturating_add(self.shared.leeway) {
            return Err(invalid("the token was issued in the future"));
        }
        let caller = caller(claims, token)?;
        self.shared.cache.remember(token_cache::hash(token), caller.clone(), key);
        Ok(caller)
    }

    /// The key that the token's header names; a name that is not known may be
    /// a new one of the issuer's.
    async fn key(
        &self,
        kid: Option<&str>,
        algorithm: jsonwebtoken::Algorithm,
    ) -> Result<Arc<Key>, Error> {
        let Shared { options, keys, .. } = &*self.shared;
        let mut found = keys.find(kid, algorithm);
        let allowed = options.algorithms.iter().any(|one| one.is(algorithm));
        if let (Found::Nothing, true, Some(jwks)) = (&found, allowed, &options.jwks) {
            let fresh = jwks.look_again().await;
            found = keys.find(kid, algorithm);
            if !fresh && matches!(found, Found::Nothing) {
                let why = "the token's key is not known, and its issuer cannot be asked for it";
                return Err(Error::new(Reason::StoreUnavailable, why));
            }
        }
        match found {
            Found::Key(key) => Ok(key),
            Found::OtherAlgorithm => {
                Err(invalid("the token's algorithm is not the one of its key"))
            }
            Found::Nothing => Err(invalid("the token's key is not known")),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.shared.keys).finish_non_exhaustive()
    }
}

fn caller(claims: VerifiedClaims, token: &str) -> Result<Caller, Error> {
    let kind = match claims.kind.as_deref() {
        None | Some("user") => CallerKind::User,
        Some("application") => CallerKind::Application,
        Some("tenant_admin") => CallerKind::TenantAdmin,
        Some(_) => return Err(invalid("the claim `kind` is not a known one")),
    };
    let tenant =
        TenantId::parse(&claims.tenant).map_err(|_| invalid("the claim `tenant` is malformed"))?;
    let user = UserId::parse(&claims.sub).map_err(|_| invalid("the claim `sub` is malformed"))?;
    if claims.sub.starts_with(RESERVED) {
        return Err(invalid("the claim `sub` is a name of Confab's own"));
    }
    let needed = kind == CallerKind::User;
    Ok(Caller {
        kind,
        tenant,
        user,
        device_id: name(claims.device_id, needed, "the claim `device_id` is missing or malformed")?,
        session_id: name(
            claims.session_id,
            needed,
            "the claim `session_id` is missing or malformed",
        )?,
        scopes: claims
            .scope
            .iter()
            .flat_map(|text| text.split_whitespace())
            .map(str::to_owned)
            .collect(),
        issued_at: claims.iat,
        expires_at: claims.exp,
        token: token.into(),
    })
}

fn name(claim: Option<String>, needed: bool, refusal: &str) -> Result<Arc<str>, Error> {
    let text = claim.unwrap_or_default();
    let good = text.len() <= MAX_NAME_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !good || (needed && text.is_empty()) {
        return Err(invalid(refusal));
    }
    Ok(text.into())
}

fn refusal(error: &jsonwebtoken::errors::Error) -> Error {
    match error.kind() {
        ErrorKind::ExpiredSignature => expired(),
        ErrorKind::InvalidAudience => wrong_audience("the token is for another audience"),
        ErrorKind::InvalidIssuer => wrong_audience("the token is from another issuer"),
        ErrorKind::ImmatureSignature => invalid("the token is not valid yet"),
        ErrorKind::InvalidSignature => invalid("the token's signature is wrong"),
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            invalid("the token's algorithm is not the one of its key")
        }
        ErrorKind::MissingRequiredClaim(claim) => {
            invalid(&format!("the claim `{claim}` is missing or malformed"))
        }
        _ => invalid("the token is malformed or a required claim is missing"),
    }
}

fn invalid(message: &str) -> Error {
    Error::new(Reason::InvalidToken, message)
}

fn expired() -> Error {
    Error::new(Reason::TokenExpired, "the token has expired")
}

fn wrong_audience(message: &str) -> Error {
    Error::new(Reason::WrongAudience, message)
}

/// A `NumericDate` (RFC 7519 §2), which may have a fraction.
fn whole_seconds<'de, D: serde::Deserializer<'de>>(number: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(number)?;
    #[expect(clippy::cast_possible_truncation, reason = "a time that far away is not cut by much")]
    let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
    seconds.ok_or_else(|| serde::de::Error::custom("not a time"))
}
