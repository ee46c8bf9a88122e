//! The signing key of dev mode: made on the first start, kept in the data
//! folder, readable by its owner only. Never used when keys are configured.

use std::{borrow::Borrow, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{EncodingKey, Header, jwk::AlgorithmParameters, jwk::Jwk};

use super::{
    Algorithm, Claims, DEFAULT_AUDIENCE, DEV_ISSUER, DEV_KEY_ID, PublicKey, Verifier,
    VerifierOptions,
};
use crate::{random, secret_file};

/// The key's file in the data folder.
const FILE: &str = "dev-key.pem";
/// PKCS #8 v1 of an Ed25519 key up to its 32 bytes (RFC 8410).
const PRIVATE_PREFIX: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// `SubjectPublicKeyInfo` of an Ed25519 key up to its 32 bytes (RFC 8410).
const PUBLIC_PREFIX: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why the dev key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DevKeyError {
    /// The file cannot be read or written.
    #[error("dev key file {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("dev key file {0} holds no Ed25519 key; delete it and a new one is made")]
    Malformed(String),
    /// The key cannot be used or a token cannot be signed.
    #[error("dev key cannot be used: {0}")]
    Unusable(String),
}

/// Signs tokens in dev mode.
pub struct DevKey {
    signing: EncodingKey,
    public_pem: String,
    x: String,
}

impl DevKey {
    /// Reads the key in the data folder, or makes one there with mode 0600.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, DevKeyError> {
        let path = data_dir.join(FILE);
        let make = || pem("PRIVATE KEY", PRIVATE_PREFIX, &random::bytes::<32>());
        let text = secret_file::load_or_create(&path, make)
            .map_err(|source| DevKeyError::File { path: path.display().to_string(), source })?;
        Self::from_pem(&text).ok_or_else(|| DevKeyError::Malformed(path.display().to_string()))?
    }

    /// Reads the key in the data folder; `None` where no server has made one yet.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, DevKeyError> {
        let path = data_dir.join(FILE);
        match path.try_exists() {
            Ok(false) => Ok(None),
            Ok(true) => Self::load_or_create(data_dir).map(Some),
            Err(source) => Err(DevKeyError::File { path: path.display().to_string(), source }),
        }
    }

    /// A key that lives in memory only, for tests.
    pub fn ephemeral() -> Result<Self, DevKeyError> {
        Self::from_seed(&random::bytes())
    }

    fn from_pem(pem: &str) -> Option<Result<Self, DevKeyError>> {
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body.trim()).ok()?;
        let seed: [u8; 32] = der.strip_prefix(PRIVATE_PREFIX)?.try_into().ok()?;
        Some(Self::from_seed(&seed))
    }

    fn from_seed(seed: &[u8; 32]) -> Result<Self, DevKeyError> {
        let unusable =
            |error: jsonwebtoken::errors::Error| DevKeyError::Unusable(error.to_string());
        let signing = EncodingKey::from_ed_der(&[PRIVATE_PREFIX, seed].concat());
        let jwk =
            Jwk::from_encoding_key(&signing, jsonwebtoken::Algorithm::EdDSA).map_err(unusable)?;
        let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else {
            return Err(DevKeyError::Unusable("not an Ed25519 key".to_owned()));
        };
        let x = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(&pair.x)
            .map_err(|error| DevKeyError::Unusable(error.to_string()))?;
        Ok(Self { signing, public_pem: pem("PUBLIC KEY", PUBLIC_PREFIX, &x), x: pair.x })
    }

    /// A signed token; takes claims or a reference to them.
    ///
    /// # Panics
    /// Never: the key was proven to sign when it was read.
    pub fn sign(&self, claims: impl Borrow<Claims>) -> String {
        self.try_sign(claims.borrow()).expect("a proven key signs")
    }

    fn try_sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.kid = Some(DEV_KEY_ID.to_owned());
        jsonwebtoken::encode(&header, claims, &self.signing)
    }

    /// The public half, in PEM.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The public half as a JSON Web Key Set.
    pub fn jwks(&self) -> String {
        let key = serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "x": self.x,
            "kid": DEV_KEY_ID, "alg": "EdDSA", "use": "sig",
        });
        serde_json::json!({ "keys": [key] }).to_string()
    }

    /// A verifier of what this key signs.
    pub fn verifier(&self) -> Result<Verifier, super::KeyError> {
        Verifier::new(VerifierOptions {
            issuer: DEV_ISSUER.to_owned(),
            audience: DEFAULT_AUDIENCE.to_owned(),
            leeway_seconds: 60,
            algorithms: Algorithm::ALL.to_vec(),
            keys: vec![self.public_key()],
            jwks: None,
        })
    }

    /// The public half, as a verifier takes it.
    pub fn public_key(&self) -> PublicKey {
        PublicKey {
            kid: DEV_KEY_ID.to_owned(),
            algorithm: Algorithm::EdDSA,
            pem: self.public_pem.clone(),
        }
    }
}

impl std::fmt::Debug for DevKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DevKey(***)")
    }
}

fn pem(label: &str, prefix: &[u8], key: &[u8]) -> String {
    let body = STANDARD.encode([prefix, key].concat());
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
