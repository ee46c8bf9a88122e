//! Verifies tokens: an allow-list of asymmetric algorithms, each bound to its
//! key, so that neither `none` nor a public key used as an HMAC secret passes.
//! Verified tokens are remembered by their hash until they end.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, PoisonError, RwLock},
};

use confab_log::ids::{TenantId, UserId};
use jsonwebtoken::{DecodingKey, Validation, errors::ErrorKind};
use serde::Deserialize;

use super::{Caller, CallerKind};
use crate::{
    clock,
    error::{Error, Reason},
};

/// Longer tokens are refused unread.
const MAX_TOKEN_BYTES: usize = 8192;
/// Tokens remembered in each of two generations.
const CACHED_TOKENS: usize = 16_384;
/// Devices' and sessions' names are at most this long, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// The algorithms that tokens may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    RS256,
    /// ECDSA on P-256, SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

/// A key that tokens are verified with.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// Its name in the tokens' header.
    pub kid: String,
    /// The one algorithm that it is used with.
    pub algorithm: Algorithm,
    /// The key in PEM.
    pub pem: String,
}

/// What a [`Verifier`] accepts.
#[derive(Clone, Debug)]
pub struct VerifierOptions {
    /// The `iss` of every token.
    pub issuer: String,
    /// The `aud` of every token.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway_seconds: u64,
    /// The keys.
    pub keys: Vec<PublicKey>,
}

/// A key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("key {kid:?} is not a valid {algorithm:?} public key in PEM: {message}")]
pub struct KeyError {
    kid: String,
    algorithm: Algorithm,
    message: String,
}

/// Verifies tokens.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
}

struct Shared {
    keys: HashMap<String, (DecodingKey, Validation)>,
    leeway: i64,
    cache: RwLock<Cache>,
}

type TokenHash = [u8; 32];

/// Two generations: when the young one is full it becomes the old one, and
/// the old one is forgotten. Bounded, without a list to keep in order.
#[derive(Default)]
struct Cache {
    young: HashMap<TokenHash, Caller>,
    old: HashMap<TokenHash, Caller>,
}

#[derive(Deserialize)]
struct VerifiedClaims {
    sub: String,
    tenant: String,
    iat: i64,
    exp: i64,
    kind: Option<String>,
    device_id: Option<String>,
    session_id: Option<String>,
    scope: Option<String>,
}

impl Verifier {
    /// Reads the keys.
    pub fn new(options: VerifierOptions) -> Result<Self, KeyError> {
        let mut keys = HashMap::new();
        for key in options.keys {
            let decoding = decoding_key(&key)?;
            let mut validation = Validation::new(jwt_algorithm(key.algorithm));
            validation.leeway = options.leeway_seconds;
            validation.validate_nbf = true;
            validation.set_audience(&[&options.audience]);
            validation.set_issuer(&[&options.issuer]);
            validation.set_required_spec_claims(&["exp", "sub", "aud", "iss"]);
            keys.insert(key.kid, (decoding, validation));
        }
        let leeway = i64::try_from(options.leeway_seconds).unwrap_or(i64::MAX);
        Ok(Self { shared: Arc::new(Shared { keys, leeway, cache: RwLock::default() }) })
    }

    /// Who the token speaks for, or why it does not: `INVALID_TOKEN`,
    /// `TOKEN_EXPIRED` or `WRONG_AUDIENCE`.
    pub fn verify(&self, token: &str) -> Result<Caller, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid("the token is too long"));
        }
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(caller) = self.shared.remembered(&hash) {
            if caller.expires_at.saturating_add(self.shared.leeway) < clock::now_seconds() {
                return Err(expired());
            }
            return Ok(caller);
        }
        let caller = self.verify_afresh(token)?;
        self.shared.remember(hash, caller.clone());
        Ok(caller)
    }

    fn verify_afresh(&self, token: &str) -> Result<Caller, Error> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| refusal(&error))?;
        let key = match &header.kid {
            Some(kid) => self.shared.keys.get(kid),
            None if self.shared.keys.len() == 1 => self.shared.keys.values().next(),
            None => None,
        };
        let (key, validation) = key.ok_or_else(|| invalid("the token's key is not known"))?;
        let claims = jsonwebtoken::decode::<VerifiedClaims>(token, key, validation)
            .map_err(|error| refusal(&error))?
            .claims;
        if claims.iat > clock::now_seconds().saturating_add(self.shared.leeway) {
            return Err(invalid("the token was issued in the future"));
        }
        caller(claims, token)
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.shared.keys.keys()).finish_non_exhaustive()
    }
}

impl Shared {
    fn remembered(&self, hash: &TokenHash) -> Option<Caller> {
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = cache.young.get(hash) {
            return Some(caller.clone());
        }
        let caller = cache.old.get(hash)?.clone();
        drop(cache);
        self.remember(*hash, caller.clone());
        Some(caller)
    }

    fn remember(&self, hash: TokenHash, caller: Caller) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.young.len() >= CACHED_TOKENS {
            cache.old = mem::take(&mut cache.young);
        }
        cache.young.insert(hash, caller);
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

fn jwt_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
    }
}

fn decoding_key(key: &PublicKey) -> Result<DecodingKey, KeyError> {
    let pem = key.pem.as_bytes();
    let read = match key.algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_pem(pem),
        Algorithm::ES256 => DecodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
    };
    let bad =
        |message: String| KeyError { kid: key.kid.clone(), algorithm: key.algorithm, message };
    let decoding = read.map_err(|error| bad(error.to_string()))?;
    // Rejects a key of the wrong size or curve now, not at the first token.
    let algorithm = jwt_algorithm(key.algorithm);
    let jwk = jsonwebtoken::jwk::Jwk::from_decoding_key(&decoding, Some(algorithm))
        .map_err(|error| bad(error.to_string()))?;
    let wrong_curve = matches!(
        &jwk.algorithm,
        jsonwebtoken::jwk::AlgorithmParameters::EllipticCurve(parameters)
            if parameters.curve != jsonwebtoken::jwk::EllipticCurve::P256
    );
    if wrong_curve { Err(bad("not on the curve P-256".to_owned())) } else { Ok(decoding) }
}
