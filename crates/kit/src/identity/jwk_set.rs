//! A JSON Web Key Set (RFC 7517) as it comes from an issuer: takes the keys
//! that tokens may be verified with and leaves out all others. Fetches nothing.

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, OctetKeyPairParameters,
    RSAKeyParameters,
};
use serde::Deserialize;
use serde_json::Value;

use super::{VerifierOptions, key::Key};

/// What a set holds.
pub(super) struct KeySet {
    pub(super) keys: Vec<Key>,
    /// Of other types and uses, malformed, or with another one's name.
    pub(super) ignored: usize,
}

/// Why a document is no set.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetError {
    #[error("the answer is no JSON Web Key Set: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("none of the {0} keys can be used")]
    NoKeys(usize),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// A key as it is written down; what decides whether it is for signatures of ours.
#[derive(Deserialize)]
struct Entry {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// Of a private key.
    d: Option<Value>,
}

/// Reads a document. A set without one usable key is refused.
pub(super) fn read(document: &[u8], options: &VerifierOptions) -> Result<KeySet, SetError> {
    let entries = serde_json::from_slice::<Document>(document)?.keys;
    let all = entries.len();
    let mut keys: Vec<Key> = Vec::new();
    for entry in entries {
        match key(entry, options) {
            Ok(key) if keys.iter().any(|other| is_named_alike(other, &key)) => {
                tracing::debug!(kid = key.kid(), "key of the issuer ignored: its name is taken");
            }
            Ok(key) => keys.push(key),
            Err(problem) => tracing::debug!(problem, "key of the issuer ignored"),
        }
    }
    if keys.is_empty() {
        return Err(SetError::NoKeys(all));
    }
    let ignored = all - keys.len();
    Ok(KeySet { keys, ignored })
}

fn is_named_alike(one: &Key, other: &Key) -> bool {
    one.kid() == other.kid() && one.algorithm() == other.algorithm()
}

fn key(entry: Value, options: &VerifierOptions) -> Result<Key, &'static str> {
    let entry: Entry = serde_json::from_value(entry).map_err(|_| "malformed")?;
    if entry.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return Err("not for signatures");
    }
    if entry.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
        return Err("not for signatures");
    }
    if entry.d.is_some() {
        return Err("a private key that everybody can read");
    }
    let kid = entry.kid.clone();
    let declared = entry.alg.clone();
    let key = Key::new(kid, parameters(entry)?, options)?;
    if declared.is_some_and(|alg| alg != format!("{:?}", key.algorithm())) {
        return Err("for another algorithm");
    }
    if !options.algorithms.contains(&key.algorithm()) {
        return Err("for an algorithm that auth.algorithms does not list");
    }
    Ok(key)
}

/// Symmetric keys have no place here: whoever can read one can sign with it.
fn parameters(entry: Entry) -> Result<AlgorithmParameters, &'static str> {
    let part = |part: Option<String>| part.ok_or("malformed");
    match (entry.kty.as_str(), entry.crv.as_deref()) {
        ("RSA", _) => Ok(AlgorithmParameters::RSA(RSAKeyParameters {
            n: part(entry.n)?,
            e: part(entry.e)?,
            ..RSAKeyParameters::default()
        })),
        ("EC", Some("P-256")) => {
            Ok(AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
                curve: EllipticCurve::P256,
                x: part(entry.x)?,
                y: part(entry.y)?,
                ..EllipticCurveKeyParameters::default()
            }))
        }
        ("OKP", Some("Ed25519")) => Ok(AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
            curve: EllipticCurve::Ed25519,
            x: part(entry.x)?,
            ..OctetKeyPairParameters::default()
        })),
        _ => Err("of a type that is not supported"),
    }
}
