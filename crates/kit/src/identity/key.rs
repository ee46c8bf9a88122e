//! A key that tokens are verified with: bound to one algorithm, proven to be
//! usable before it is used, and able to be retired. Knows no tokens' claims.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use confab_log::mutant;
use jsonwebtoken::{
    DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use serde::{Deserialize, Serialize};

use super::VerifierOptions;

/// Sizes of RSA keys, in bits: shorter ones can be broken (RFC 7518 §3.3),
/// longer ones are not supported.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The algorithms that tokens may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    RS256,
    /// ECDSA on P-256, SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RS256, Self::ES256, Self::EdDSA];

    pub(super) fn is(self, other: jsonwebtoken::Algorithm) -> bool {
        self.as_jwt() == other
    }

    fn as_jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    /// The one algorithm that a key of this kind is used with.
    fn of(parameters: &AlgorithmParameters) -> Option<Self> {
        match parameters {
            AlgorithmParameters::RSA(_) => Some(Self::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Some(Self::ES256)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Some(Self::EdDSA)
            }
            _ => None,
        }
    }
}

/// A key from the configuration.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// Its name in the tokens' header.
    pub kid: String,
    /// The one algorithm that it is used with.
    pub algorithm: Algorithm,
    /// The key in PEM.
    pub pem: String,
}

/// A key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("key {kid:?} is not a valid {algorithm:?} public key in PEM: {message}")]
pub struct KeyError {
    kid: String,
    algorithm: Algorithm,
    message: String,
}

/// A usable key.
pub(super) struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    validation: Validation,
    /// What the key is, so that the same one is known again.
    parameters: AlgorithmParameters,
    retired: AtomicBool,
}

impl Key {
    /// A key from the configuration.
    pub(super) fn from_pem(key: &PublicKey, options: &VerifierOptions) -> Result<Self, KeyError> {
        let bad =
            |message: String| KeyError { kid: key.kid.clone(), algorithm: key.algorithm, message };
        let pem = key.pem.as_bytes();
        let read = match key.algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_pem(pem),
            Algorithm::ES256 => DecodingKey::from_ec_pem(pem),
            Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
        };
        let decoding = read.map_err(|error| bad(error.to_string()))?;
        let jwk = Jwk::from_decoding_key(&decoding, Some(key.algorithm.as_jwt()))
            .map_err(|error| bad(error.to_string()))?;
        let made = Self::new(Some(key.kid.clone()), jwk.algorithm, options);
        made.map_err(|problem| bad(problem.to_owned()))
    }

    /// A key of these numbers; refused with the problem unless it can be used.
    pub(super) fn new(
        kid: Option<String>,
        parameters: AlgorithmParameters,
        options: &VerifierOptions,
    ) -> Result<Self, &'static str> {
        let algorithm = Algorithm::of(&parameters).ok_or("of a type that is not supported")?;
        check_size(&parameters)?;
        let decoding = match &parameters {
            AlgorithmParameters::RSA(key) => DecodingKey::from_rsa_components(&key.n, &key.e),
            AlgorithmParameters::EllipticCurve(key) => {
                DecodingKey::from_ec_components(&key.x, &key.y)
            }
            AlgorithmParameters::OctetKeyPair(key) => DecodingKey::from_ed_components(&key.x),
            _ => return Err("of a type that is not supported"),
        };
        let decoding = decoding.map_err(|_| "malformed")?;
        // No signature is of this key, but one that is no key is told from it.
        jsonwebtoken::crypto::verify("", b"", &decoding, algorithm.as_jwt())
            .map_err(|_| "not a point on its curve")?;
        let validation = validation(algorithm, options);
        Ok(Self { kid, algorithm, decoding, validation, parameters, retired: false.into() })
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the other one is this key, read again.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kid == other.kid && self.parameters == other.parameters
    }

    /// The claims, if this key signed the token and the token holds now.
    pub(super) fn decode<C: serde::de::DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<C, jsonwebtoken::errors::Error> {
        jsonwebtoken::decode::<C>(token, &self.decoding, &self.validation).map(|data| data.claims)
    }

    /// From now on nothing that it signed is believed, remembered or not.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire) && !mutant::is("token-outlives-key")
    }
}

/// Sizes that the cryptography below would take, or stumble over.
fn check_size(parameters: &AlgorithmParameters) -> Result<(), &'static str> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "not in base64url");
    match parameters {
        AlgorithmParameters::RSA(key) => {
            let modulus = bytes(&key.n)?;
            let leading = modulus.iter().take_while(|byte| **byte == 0).count();
            let zeros = modulus.get(leading).map_or(0, |byte| byte.leading_zeros() as usize);
            let bits = (modulus.len() - leading) * 8 - zeros;
            if !RSA_BITS.contains(&bits) {
                return Err("an RSA key that has not 2048 to 4096 bits");
            }
            let exponent = bytes(&key.e)?;
            let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
            if !odd || exponent == [1] || exponent.len() > 4 {
                return Err("an RSA key with a bad exponent");
            }
        }
        AlgorithmParameters::EllipticCurve(key) => {
            if bytes(&key.x)?.len() != 32 || bytes(&key.y)?.len() != 32 {
                return Err("not a point on its curve");
            }
        }
        AlgorithmParameters::OctetKeyPair(key) => {
            if bytes(&key.x)?.len() != 32 {
                return Err("not a point on its curve");
            }
        }
        _ => return Err("of a type that is not supported"),
    }
    Ok(())
}

fn validation(algorithm: Algorithm, options: &VerifierOptions) -> Validation {
    let mut validation = Validation::new(algorithm.as_jwt());
    validation.leeway = options.leeway_seconds;
    validation.validate_nbf = true;
    validation.set_audience(&[&options.audience]);
    validation.set_issuer(&[&options.issuer]);
    validation.set_required_spec_claims(&["exp", "sub", "aud", "iss"]);
    validation
}
